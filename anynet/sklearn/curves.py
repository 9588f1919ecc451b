"""The callback that keeps an estimator's curves and decides, as scikit-learn does, when training ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anynet.callbacks import Callback, Run
from anynet.metrics import LossMetric

SMALLEST_RATE = 1e-6
"""The learning rate below which ``learning_rate="adaptive"`` gives up."""


@dataclass(frozen=True)
class DataLoss(LossMetric):
    """The loss without what regularisation adds."""

    @property
    def name(self) -> str:
        return "data_loss"


def reported(logs: Mapping[str, float], prefix: str, outputs: int) -> float:
    """Return the loss as scikit-learn reports it: the squared error as a mean over the outputs, though it trains on the sum."""
    return logs[f"{prefix}loss"] + logs.get(f"{prefix}data_loss", 0.0) * (1.0 / outputs - 1.0)


class Watch(Callback):
    """Writes an estimator's `loss_curve_` and its companions after each epoch.

    Parameters
    ----------
    estimator
        Whose attributes to write, and whose `tol`, `n_iter_no_change` and `verbose` count.
    examples : int
        Examples in an epoch.
    score : callable, optional
        Gives the score on what was held out; then that decides when to stop, and the best parameters are kept.
    """

    def __init__(self, estimator: Any, examples: int, score: Any = None) -> None:
        self._estimator, self._examples, self._score = estimator, examples, score
        self._best: Any = None
        self.stopped = self.interrupted = False

    def on_fit_begin(self, run: Run) -> None:
        if self._adapts:  # from the first step on it is in the optimizer's state, whose structure then stays
            run.model.learning_rate_factor = run.model.learning_rate_factor
        if self._score is not None:
            self._best = run.model.params

    @property
    def _adapts(self) -> bool:
        estimator = self._estimator
        return (
            isinstance(estimator.solver, str)
            and estimator.solver == "sgd"
            and (isinstance(estimator.learning_rate, str) and estimator.learning_rate != "constant")
        )

    def on_epoch_end(self, run: Run) -> None:
        estimator, logs = self._estimator, run.logs
        loss = reported(logs, "", estimator.n_outputs_)
        estimator.n_iter_ += 1
        estimator.t_ += self._examples
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(reported(logs, "val_", estimator.n_outputs_))
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}", flush=True)
        if math.isnan(loss):
            run.stop = True
            return
        self._count(run)
        if self._adapts and estimator.learning_rate == "invscaling":
            run.model.learning_rate_factor = (estimator.t_ + 1) ** -estimator.power_t
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._stop_or_slow_down(run)

    def _count(self, run: Run) -> None:
        """Count epochs without improvement of the loss, or of the score on what was held out."""
        estimator = self._estimator
        if self._score is None:
            improved = estimator.loss_ <= estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
        else:
            score = self._score()
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}", flush=True)
            improved = not score < estimator.best_validation_score_ + estimator.tol
            if score > estimator.best_validation_score_:
                estimator.best_validation_score_ = score
                self._best = run.model.params
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1

    def _stop_or_slow_down(self, run: Run) -> None:
        estimator = self._estimator
        what = "Training loss" if self._score is None else "Validation score"
        said = f"{what} no better by tol={estimator.tol:g} in {estimator.n_iter_no_change} epochs"
        if not self._adapts or estimator.learning_rate != "adaptive":
            run.stop = True
            self._say(f"{said}: stopping")
            return
        factor = run.model.learning_rate_factor
        if estimator.learning_rate_init * factor <= SMALLEST_RATE:
            run.stop = True
            self._say(f"{said}, at the smallest learning rate: stopping")
            return
        run.model.learning_rate_factor = factor / 5.0
        estimator._no_improvement_count = 0
        self._say(f"{said}: learning rate set to {estimator.learning_rate_init * factor / 5.0:f}")

    def _say(self, text: str) -> None:
        if self._estimator.verbose:
            print(text, flush=True)

    def on_fit_end(self, run: Run) -> None:
        self.stopped, self.interrupted = run.stop, run.interrupted
        if self._best is not None:
            run.model.params = self._best
            self._best = None

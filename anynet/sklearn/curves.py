"""Callback that records an estimator's curves and stops training when scikit-learn would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.callbacks import Callback, Run
from anynet.metrics import LossMetric, Metric

if TYPE_CHECKING:
    from anynet.sklearn.base import BaseMLP

SMALLEST_RATE = 1e-6
"""Learning rate at or below which ``learning_rate="adaptive"`` stops training."""


@dataclass(frozen=True)
class DataLoss(LossMetric):
    """The loss without the regularization term."""

    @property
    def name(self) -> str:
        return "data_loss"


@dataclass(frozen=True)
class Score(Metric):
    """The score of an estimator on its held-out examples.

    Parameters
    ----------
    activate : callable
        Function from the outputs of the model to those of the estimator.
    score : callable
        Function from the estimator's outputs for all held-out examples, on the host, to the score.
    """

    activate: Callable[[Array], Array]
    score: Callable[[np.ndarray], float]

    keeps_examples = True
    greater_is_better = True

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return (self.activate(y_pred),)

    def value(self, sums: tuple[np.ndarray, ...]) -> float:
        return float(self.score(sums[0]))


def sklearn_loss(logs: Mapping[str, float], prefix: str, outputs: int) -> float:
    """Return the reported loss, in which squared errors are averaged over the outputs."""
    return logs[f"{prefix}loss"] + logs.get(f"{prefix}data_loss", 0.0) * (1.0 / outputs - 1.0)


class CurveRecorder(Callback):
    """Write an estimator's `loss_curve_` and related attributes after each epoch.

    Parameters
    ----------
    estimator : BaseMLP
        Estimator whose attributes are written, and whose `tol`, `n_iter_no_change` and `verbose` apply.
    examples : int
        Number of examples per epoch.
    no_improvement_count : int
        Number of consecutive epochs without improvement before this fit, updated during it.
    score : Score, optional
        Score of the validation data. If given, the score instead of the loss determines when to stop, and the best parameters
        are restored at the end.
    """

    def __init__(
        self, estimator: BaseMLP, examples: int, no_improvement_count: int, score: Score | None = None
    ) -> None:
        self._estimator, self._examples, self._score = estimator, examples, score
        self.validation_metrics = () if score is None else (score,)
        self._best: Any = None
        self.no_improvement_count = no_improvement_count
        self.stopped = self.interrupted = False

    def on_fit_begin(self, run: Run) -> None:
        if self._adapts:  # adds the factor to the optimizer state now, so that its structure is constant in training
            run.model.learning_rate_factor = run.model.learning_rate_factor
        if self._score is not None:
            self._best = run.model.copy_params()

    @property
    def _adapts(self) -> bool:
        return self._estimator.solver == "sgd" and self._estimator.learning_rate in ("invscaling", "adaptive")

    def on_epoch_end(self, run: Run) -> None:
        estimator, logs = self._estimator, run.logs
        loss = sklearn_loss(logs, "", estimator.n_outputs_)
        estimator.n_iter_ += 1
        estimator.t_ += self._examples
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(sklearn_loss(logs, "val_", estimator.n_outputs_))
        self._print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if math.isnan(loss):
            run.stop = True
            return
        self._count(run)
        if self._adapts and estimator.learning_rate == "invscaling":
            run.model.learning_rate_factor = (estimator.t_ + 1) ** -estimator.power_t
        if self.no_improvement_count > estimator.n_iter_no_change:
            self._stop_or_slow_down(run)

    def _count(self, run: Run) -> None:
        """Count epochs without improvement of the loss, or of the score on held-out examples."""
        estimator = self._estimator
        if self._score is None:
            improved = estimator.loss_ <= estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
        else:
            score = run.logs[f"val_{self._score.name}"]
            estimator.validation_scores_.append(score)
            self._print(f"Validation score: {score:f}")
            improved = not score < estimator.best_validation_score_ + estimator.tol
            if score > estimator.best_validation_score_:
                estimator.best_validation_score_ = score
                self._best = run.model.copy_params()
        self.no_improvement_count = 0 if improved else self.no_improvement_count + 1

    def _stop_or_slow_down(self, run: Run) -> None:
        estimator = self._estimator
        what = "Training loss" if self._score is None else "Validation score"
        reason = f"{what} did not improve by tol={estimator.tol:g} in {estimator.n_iter_no_change} epochs"
        if not self._adapts or estimator.learning_rate != "adaptive":
            run.stop = True
            self._print(f"{reason}: stopping")
            return
        factor = run.model.learning_rate_factor
        if estimator.learning_rate_init * factor <= SMALLEST_RATE:
            run.stop = True
            self._print(f"{reason}, at the smallest learning rate: stopping")
            return
        run.model.learning_rate_factor = factor / 5.0
        self.no_improvement_count = 0
        self._print(f"{reason}: learning rate set to {estimator.learning_rate_init * factor / 5.0:f}")

    def _print(self, text: str) -> None:
        if self._estimator.verbose:
            print(text, flush=True)

    def on_fit_end(self, run: Run) -> None:
        self.stopped, self.interrupted = run.stop, run.interrupted
        if self._best is not None:
            run.model.params = self._best
            self._best = None

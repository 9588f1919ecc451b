"""Learning-rate reduction on plateaus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anynet.callbacks.base import Callback, Run
from anynet.callbacks.monitor import Monitor
from anynet.checks import check_int, check_number
from anynet.optimizers import lr_factor


class ReduceLROnPlateau(Callback):
    """Reduce the learning rate when a monitored quantity stops improving.

    Parameters
    ----------
    monitor : str
        Key in the history.
    factor : float, in (0, 1)
        Factor of each reduction.
    patience : int, in [0, inf)
        Number of epochs without improvement after which the learning rate is reduced; 0 means 1. PyTorch waits one more.
    min_delta : float, in [0, inf)
        Changes of at most this size do not count as improvement.
    min_factor : float, in [0, 1)
        Lower bound of the total factor.
    mode : "auto", "min" or "max"
        Whether a lower or a higher value is better; "auto" uses the metric's direction.

    Notes
    -----
    It sets `Model.learning_rate_factor`, which also multiplies schedules. The count of epochs restarts after each reduction,
    as in PyTorch; there is no cooldown.

    Examples
    --------
    >>> ReduceLROnPlateau(factor=0.5, patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 5,
        min_delta: float = 0.0,
        min_factor: float = 0.0,
        mode: str = "auto",
    ) -> None:
        where = "ReduceLROnPlateau"
        self.monitor = Monitor(where, monitor, mode, min_delta)
        check_number(where, "factor", factor, "(0, 1)")
        check_number(where, "min_factor", min_factor, "[0, 1)")
        self.factor, self.min_factor = float(factor), float(min_factor)
        self.patience = check_int(where, "patience", patience, at_least=0)
        self._waited = 0

    def on_fit_begin(self, run: Run) -> None:
        self.monitor.begin(run)
        lr_factor.check("ReduceLROnPlateau", run.model.optimizer)
        if self.monitor.reset_unless_restored():
            self._waited = 0

    def on_epoch_end(self, run: Run) -> None:
        self._waited = 0 if self.monitor.better(run) else self._waited + 1
        if self._waited >= max(1, self.patience):
            self._waited = 0
            run.model.learning_rate_factor = max(self.min_factor, run.model.learning_rate_factor * self.factor)

    def state(self) -> dict[str, Any]:
        return {**self.monitor.state(), "waited": self._waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.monitor.restore(state)
        self._waited = int(state["waited"])

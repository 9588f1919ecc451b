"""Stop when nothing gets better any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anynet import tree
from anynet.callbacks.base import Callback, Run
from anynet.callbacks.monitor import Monitor
from anynet.checks import check_int


class EarlyStopping(Callback):
    """End training when a quantity has not got better for `patience` epochs, and take the best parameters back.

    Parameters
    ----------
    monitor : str
        Key in the history.
    patience : int >= 0
        Epochs in a row that may pass without anything better than the best, the last of them ends training, as in Keras;
        0 means 1.
    min_delta : float >= 0
        Better means better by more than this.
    restore_best : bool
        Whether the model ends with the parameters of the best epoch, however training ends; else it keeps the last ones.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" asks the metric.

    Attributes
    ----------
    best : float
        The best value; NaN before there is one.
    best_epoch : int
        Its epoch, from 1; 0 before there is one.

    References
    ----------
    Goodfellow, Bengio, Courville (2016), "Deep Learning", algorithm 7.1, evaluated once for each epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str = "auto",
    ) -> None:
        self.monitor = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience = check_int("EarlyStopping", "patience", patience, at_least=0)
        self.restore_best = bool(restore_best)
        self.best_epoch = 0
        self._params: Any = None
        self._resumed = False

    @property
    def best(self) -> float:
        return self.monitor.best

    def on_fit_begin(self, run: Run) -> None:
        self.monitor.begin(run)
        if not self._resumed:
            self.monitor.best, self.best_epoch, self._params = float("nan"), 0, None
        self._resumed = False

    def on_epoch_end(self, run: Run) -> None:
        if self.monitor.better(run):
            self.best_epoch = run.epoch
            if self.restore_best:
                self._params = tree.map(run.model.backend.to_numpy, run.model.params)
        elif run.epoch - self.best_epoch >= max(1, self.patience):
            run.stop = True

    def on_fit_end(self, run: Run) -> None:
        if self._params is not None:
            run.model.params = self._params
            self._params = None

    def state(self) -> dict[str, Any]:
        return {**self.monitor.state(), "best_epoch": self.best_epoch, "params": self._params}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.monitor.restore(state)
        self.best_epoch, self._params = int(state["best_epoch"]), state["params"]
        self._resumed = True

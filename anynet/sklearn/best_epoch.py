"""Callback that keeps the parameters of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from anynet import backends, tree
from anynet.callbacks import Callback, Run


class BestEpoch(Callback):
    """Keep the parameters of the best epoch.

    The caller restores them after the fit, so that a checkpoint written at its end holds those of the last batch.

    Parameters
    ----------
    monitor : str
        Key in the history. A lower value is better, except for an accuracy.
    ties : bool
        Whether an epoch that equals the best one replaces it.
    patience : int, optional
        Number of epochs without a better one after which training stops.

    Attributes
    ----------
    params : tree of arrays
        Parameters of the best epoch; None before the first one.
    epoch, value : int, float
        Best epoch, from 1, and its value of the monitored quantity.
    interrupted : bool
        Whether Ctrl-C ended the fit.
    """

    def __init__(self, monitor: str, *, ties: bool, patience: int | None = None) -> None:
        self._monitor, self._ties, self._patience = monitor, ties, patience
        self._sign = -1.0 if monitor.endswith("accuracy") else 1.0
        self.epoch, self.value, self.interrupted = 0, math.inf * self._sign, False
        self.params: Any = None

    def on_epoch_end(self, run: Run) -> None:
        value = float(run.logs[self._monitor])
        if self._sign * value < self._sign * self.value or (self._ties and value == self.value):
            self.epoch, self.value, self.params = run.epoch, value, run.model.copy_params()
        elif self._patience is not None and run.epoch - self.epoch >= self._patience:
            run.stop = True

    def on_fit_end(self, run: Run) -> None:
        self.interrupted = run.interrupted

    def state(self) -> dict[str, Any]:
        params = None if self.params is None else tree.map(backends.to_numpy, self.params)
        return {"epoch": self.epoch, "value": self.value, "params": params}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.value, self.params = int(state["epoch"]), float(state["value"]), state["params"]

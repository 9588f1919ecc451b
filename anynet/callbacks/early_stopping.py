"""Early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anynet import tree
from anynet.callbacks.base import Callback, Run
from anynet.callbacks.monitor import Monitor
from anynet.checks import check_int
from anynet.layers import Frozen, Layer, Sequential


class EarlyStopping(Callback):
    """Stop when a monitored quantity stops improving.

    Parameters
    ----------
    monitor : str
        Key in the history.
    patience : int, in [0, inf)
        Number of epochs without improvement after which training stops, as in Keras; 0 means 1.
    min_delta : float, in [0, inf)
        Changes of at most this size do not count as improvement.
    restore_best : bool
        Whether to restore the parameters of the best epoch when training ends for any reason.
    mode : "auto", "min" or "max"
        Whether a lower or a higher value is better; "auto" uses the metric's direction.

    Attributes
    ----------
    best : float
        Best value so far; NaN initially.
    best_epoch : int
        Epoch of the best value, from 1; 0 initially.

    References
    ----------
    Goodfellow, Bengio, Courville (2016), "Deep Learning", algorithm 7.1, evaluated once per epoch.
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
        self._frozen: list[int] = []

    @property
    def best(self) -> float:
        return self.monitor.best

    def on_fit_begin(self, run: Run) -> None:
        self.monitor.begin(run)
        if self.monitor.reset_unless_restored():
            self.best_epoch, self._params = 0, None

    def on_epoch_end(self, run: Run) -> None:
        if self.monitor.better(run):
            self.best_epoch = run.epoch
            if self.restore_best:
                self._params = tree.map(run.model.backend.to_numpy, run.model.copy_params())
                self._frozen = _frozen(run.model.layer)
        elif run.epoch - self.best_epoch >= max(1, self.patience):
            run.stop = True

    def on_fit_end(self, run: Run) -> None:
        if self._params is not None:
            run.model.params = _rearranged(self._params, self._frozen, _frozen(run.model.layer))
            self._params = None

    def state(self) -> dict[str, Any]:
        return {**self.monitor.state(), "best_epoch": self.best_epoch, "params": self._params, "frozen": self._frozen}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.monitor.restore(state)
        self.best_epoch, self._params = int(state["best_epoch"]), state["params"]
        self._frozen = [int(number) for number in state.get("frozen", [])]


def _frozen(layer: Layer) -> list[int]:
    """Return the numbers of the layers that `Model.freeze` has frozen."""
    layers = layer.layers if isinstance(layer, Sequential) else ()
    return [number for number, one in enumerate(layers) if isinstance(one, Frozen)]


def _rearranged(params: Any, old: list[int], new: list[int]) -> Any:
    """Return parameters in the structure in which the layers `new` instead of `old` are frozen."""
    if old == new:
        return params
    bare = [part["layer"] if number in old else part for number, part in enumerate(params)]
    return [{"layer": part} if number in new else part for number, part in enumerate(bare)]

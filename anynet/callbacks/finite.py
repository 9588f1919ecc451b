"""Detection of NaN and infinity during training."""

from __future__ import annotations

from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.callbacks.base import Callback, Run
from anynet.checks import check_int
from anynet.data.sources import Call
from anynet.layers.hooks import LayerCall, with_hook


class NotFinite(Exception):
    """A number that is not finite, with its location as the message."""


class StopOnNaN(Callback):
    """Raise an error when the loss or a parameter is NaN or infinite, and name the layer where it first occurred.

    Parameters
    ----------
    every : int, in [1, inf)
        Number of calls of the backend (batches; on JAX up to 32 batches each) between checks. A check copies the model and
        waits for the device; the batches since the last check are kept in memory.

    Raises
    ------
    FloatingPointError
        From `fit`. The model is restored to the last check, when all values were finite; `Model.history` contains the
        completed epochs.

    Notes
    -----
    After a failed check, the batches since the last check are repeated layer by layer: outputs from first to last layer,
    the loss, gradients from last to first layer, and the optimizer's update. The error names the first value that is not
    finite. A `Checkpoint` written between two checks may contain such values, except with ``every=1``.
    """

    def __init__(self, *, every: int = 10) -> None:
        self.every = check_int("StopOnNaN", "every", every, at_least=1)
        self._before: Any = None
        self._calls: list[tuple[int, Call]] = []

    def on_epoch_begin(self, run: Run) -> None:
        self._look(run)

    def on_batch_end(self, run: Run) -> None:
        self._calls.append((run.batch, run.call))  # type: ignore[arg-type]
        if len(self._calls) >= self.every:
            self._look(run)

    def on_epoch_end(self, run: Run) -> None:
        self._look(run)

    def on_fit_end(self, run: Run) -> None:
        self._before, self._calls = None, []

    def _look(self, run: Run) -> None:
        model = run.model
        arrays = [run.loss] if self._calls else []
        if all(_finite(a) for a in [*arrays, *tree.leaves(model._carry[0])]):
            self._before = tree.map(lambda a: model.backend.asarray(a, copy=True), model._carry)
            self._calls = []
            return
        model._carry = self._before or model._carry
        where = _search(model, self._calls) or "the parameters, before the first batch"
        raise FloatingPointError(
            f"StopOnNaN: expected finite numbers, got NaN or infinity in epoch {run.epoch}, first in {where}; "
            "lower the learning rate, scale x to a size of about 1, or check for a logarithm of zero or division by zero"
        )


def _finite(x: Array) -> bool:
    xp = namespace(x)
    if not xp.isdtype(x.dtype, "real floating"):
        return True
    return bool(xp.all(xp.isfinite(x)))


def _search(model: Any, calls: list[tuple[int, Call]]) -> str | None:
    """Repeat the batches of the calls, and return the location of the first number that is not finite."""
    functions = model._compiled
    layer = with_hook(model.layer, _see)
    step = functions.make_step(layer)
    carry = tree.map(lambda a: model.backend.asarray(a, copy=True), model._carry)
    for last, call in calls:
        first = last - -(-(call.stop - call.start) // call.size) + 1
        for number, batch in enumerate(_batches(model, call), first):
            try:
                with np.errstate(all="ignore"):
                    carry, _ = step(carry, *batch)
            except NotFinite as found:
                return f"{found}, batch {number}"
            for path, array in tree.leaves_with_paths(carry[0]):
                if not _finite(array):
                    return f"the update of {tree.name(path)} by {type(functions.optimizer).__name__}, batch {number}"
    return None


def _batches(model: Any, call: Call) -> Any:
    for start in range(call.start, call.stop, call.size):
        rows = slice(start, min(start + call.size, call.stop))
        if call.order is None:
            yield tuple(None if a is None else a[rows, ...] for a in call.data)
        else:
            take = model.backend.xp.take
            yield tuple(None if a is None else take(a, call.order[rows], axis=0) for a in call.data)


def _see(event: LayerCall) -> None:
    name = f"layer {tree.name(event.path)}, {event.layer!r}" if event.path else repr(event.layer)
    if event.method == "forward" and not _finite(event.output):
        raise NotFinite(f"the output of {name}")
    if event.method == "backward":
        if not _finite(event.input):
            raise NotFinite(f"the gradient of the loss that reaches {name}")
        for path, array in tree.leaves_with_paths(event.grads):
            if not _finite(array):
                raise NotFinite(f"the gradient of {tree.name(path)} in {name}")
        if event.output is not None and not _finite(event.output):
            raise NotFinite(f"the gradient that leaves {name}")

"""Detection of NaN and infinity during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.callbacks.base import Callback, Run
from anynet.checks import check_int
from anynet.layers.hooks import LayerCall

if TYPE_CHECKING:
    from anynet.data.batch import Chunk
    from anynet.layers import Layer
    from anynet.training.state import TrainState


class NotFinite(Exception):
    """A number that is not finite, with its location as the message."""


class StopOnNaN(Callback):
    """Raise an error naming the layer when the loss or parameters become NaN or infinite.

    Parameters
    ----------
    every : int, in [1, inf)
        Number of calls of the backend (batches; on JAX up to 32 batches each) between checks. A check copies the model and
        waits for the device; the batches since the last check are kept in memory.

    Raises
    ------
    FloatingPointError
        From `fit`. The model is restored to the last check, when all values were finite; `Model.history` contains the
        completed epochs. If a callback has frozen or unfrozen layers since, it is not restored, and the error names no layer.

    Notes
    -----
    After a failed check, the batches since the last check are repeated layer by layer: outputs from first to last layer,
    the loss, gradients from last to first layer, and the optimizer's update. The error names the first value that is not
    finite. A `Checkpoint` written between two checks may contain such values, except with ``every=1``.
    """

    def __init__(self, *, every: int = 10) -> None:
        self.every = check_int("StopOnNaN", "every", every, at_least=1)
        self._before: TrainState | None = None
        self._layer: Layer | None = None
        self._chunks: list[tuple[int, Chunk]] = []

    def on_epoch_begin(self, run: Run) -> None:
        self._check(run)

    def on_batch_end(self, run: Run) -> None:
        assert run.chunk is not None
        self._chunks.append((run.batch, run.chunk))
        if len(self._chunks) >= self.every:
            self._check(run)

    def on_epoch_end(self, run: Run) -> None:
        self._check(run)

    def on_fit_end(self, run: Run) -> None:
        self._before, self._layer, self._chunks = None, None, []

    def _check(self, run: Run) -> None:
        state = run.model.state
        losses = [run.loss] if self._chunks else []
        if all(_finite(a) for a in [*losses, *tree.leaves(state.params)]):
            self._before, self._layer, self._chunks = state, run.model.layer, []
            return
        where = "the parameters, before the first batch"
        if self._before is not None and run.model.layer != self._layer:
            where = "an update since layers were frozen or unfrozen"  # the state before it has other layers
        elif self._before is not None:
            run.model.state = self._before
            where = _search(run, self._before, self._chunks) or where
        raise FloatingPointError(
            f"StopOnNaN: expected finite numbers, got NaN or infinity in epoch {run.epoch}, first in {where}; "
            "lower the learning rate, scale x to a size of about 1, or check for a logarithm of zero or division by zero"
        )


def _finite(x: Any) -> bool:
    """Return whether an array, or each of several, holds finite numbers only."""
    return all(bool(namespace(a).all(namespace(a).isfinite(a))) for a in tree.leaves(x) if _is_float(a))


def _is_float(x: Array) -> bool:
    return namespace(x).isdtype(x.dtype, "real floating")


def _search(run: Run, state: TrainState, chunks: list[tuple[int, Chunk]]) -> str | None:
    """Repeat the batches and return the location of the first number that is not finite."""
    batches = [batch for _, chunk in chunks for batch in chunk.batches()]
    steps = run.repeat_steps(_raise_if_not_finite, state, batches)
    for number in range(chunks[-1][0] - len(batches) + 1, chunks[-1][0] + 1):
        try:
            with np.errstate(all="ignore"):
                state = next(steps)
        except NotFinite as found:
            return f"{found}, batch {number}"
        for path, array in tree.leaves_with_paths(state.params):
            if not _finite(array):
                return f"the update of {tree.name(path)} by {type(run.model.optimizer).__name__}, batch {number}"
    return None


def _raise_if_not_finite(call: LayerCall) -> None:
    name = f"layer {tree.name(call.path)}, {call.layer!r}" if call.path else repr(call.layer)
    if call.method == "forward" and not _finite(call.output):
        raise NotFinite(f"the output of {name}")
    if call.method == "backward":
        if not _finite(call.input):
            raise NotFinite(f"the gradient of the loss that reaches {name}")
        for path, array in tree.leaves_with_paths(call.grads):
            if not _finite(array):
                raise NotFinite(f"the gradient of {tree.name(path)} in {name}")
        if call.output is not None and not _finite(call.output):
            raise NotFinite(f"the gradient that leaves {name}")

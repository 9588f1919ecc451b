"""Trace a NumPy training step once, then replay it in preallocated buffers.

A step written in Python allocates an array for each intermediate result, and walks through layers and trees of parameters to
find the next operation. For a small network this costs more than the mathematics. Therefore, after a few steps with batches of
one shape and layout, the step is

1. traced: it runs on tracers, which record a graph of its operations (`trace`),
2. planned: each intermediate result gets a buffer or a last use (`memory.plan_memory`),
3. executed: the same operations run in the same order, without the Python code between them (`executable.Executable`).

The results are those of the step, bit for bit. Two steps verify this before the third is replayed. A step that differs, cannot be
traced or needs too much memory runs as it is written. `replayable.is_replayable` decides which steps may be traced at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.executable import Executable
from anynet.backends.replay.memory import plan_memory
from anynet.backends.replay.trace import UntraceableError, trace

VERIFY_STEPS = 2
"""Number of steps in which the results of tracing must equal those of the step."""
MAX_GRAPHS = 4
"""Number of batch signatures for which a step is traced."""
MAX_REPLAY_BYTES = 2**25
"""Memory of all executables of a step. A model has two steps, that of `train_step` and that of `fit`."""


class ReplayedStep:
    """A step, ``step(carry, *batch) -> carry, out``, which may change the arrays of its carry in place.

    Parameters
    ----------
    step : callable
    warmup_steps : int
        Steps with one batch signature that run as they are written, before the step is traced.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]], warmup_steps: int) -> None:
        self._step, self._warmup_steps = step, warmup_steps
        self._counts: dict[Any, int] = {}
        """Steps taken with each signature."""
        self._executables: dict[Any, Executable] = {}
        self._carry: Any = None
        """The carry that the last step returned. Another one comes from outside, and its step is not replayed."""
        self._leaves: list[Any] = []
        self._active: Executable | None = None
        """The executable that is bound to the leaves of that carry."""

    def __call__(self, carry: Any, *batch: Any) -> tuple[Any, Any]:
        signature = _signature(batch)
        executable = self._executables.get(signature)
        if executable is not None and carry is self._carry and self._bind(signature, executable):
            try:
                self._carry, out = executable.run(self._leaves, batch)
            except BaseException:
                executable.unbind()
                self._active = None
                raise
            return self._carry, out
        if carry is not self._carry:
            for bound in self._executables.values():
                bound.unbind()  # or the arrays of the old carry would be kept
        self._active = None
        self._carry, out = (
            self._step(carry, *batch) if signature in self._executables else self._try(signature, carry, batch)
        )
        return self._carry, out

    def _bind(self, signature: Any, executable: Executable) -> bool:
        """Bind an executable to the present carry, and return whether it could be bound."""
        if executable is self._active:
            return True
        if self._active is None:
            self._leaves = tree.leaves(self._carry)
        if not executable.is_bound(self._leaves) and not executable.bind(self._carry, self._leaves):
            del self._executables[signature], self._counts[signature]  # the carry has another structure: trace again
            return False
        self._active = executable
        return True

    def _try(self, signature: Any, carry: Any, batch: Sequence[Any]) -> tuple[Any, Any]:
        """Take a step as it is written. After the warm-up trace it too, and compare the results."""
        if signature is None or len(self._executables) == MAX_GRAPHS:
            return self._step(carry, *batch)
        count = self._counts[signature] = self._counts.get(signature, 0) + 1
        last = self._warmup_steps + VERIFY_STEPS
        if not self._warmup_steps < count <= last:
            return self._step(carry, *batch)
        try:
            with np.errstate(all="ignore"):  # the step itself warns
                executable, result = self._trace(carry, batch, steady=count == last)
        except Exception:  # whatever a step may raise where it meets tracers
            result = None
        expected = self._step(carry, *batch)
        if result is None or not _identical(result, expected):
            self._counts[signature] = last  # do not try again
        elif count == last:
            self._executables[signature] = executable
        return expected

    def _trace(self, carry: Any, batch: Sequence[Any], steady: bool) -> tuple[Executable, tuple[Any, Any]]:
        """Trace a step, and return its executable with the results of a step from a copy of the carry."""
        graph = trace(self._step, _copy(carry), batch)
        plan = plan_memory(graph)
        if plan.nbytes + sum(other.nbytes for other in self._executables.values()) > MAX_REPLAY_BYTES:
            raise UntraceableError("too much memory")
        if steady and not graph.is_steady:
            raise UntraceableError("a carry whose dtypes or layouts change")
        executable = Executable(graph, plan)
        copied = _copy(carry)
        leaves = tree.leaves(copied)
        if not executable.bind(copied, leaves):
            raise UntraceableError("a view that is a copy in another layout")
        result = executable.run(leaves, batch)
        executable.unbind()
        return executable, result


def _signature(batch: Sequence[Any]) -> Any:
    """Return what a graph depends on: shape, dtype and strides of each array of a batch; None if there are other arrays."""
    signature: list[Any] = []
    for array in batch:
        if array is None:
            signature.append(None)
        elif type(array) is np.ndarray:
            signature.append((array.shape, array.dtype, array.strides))
        else:
            return None
    return tuple(signature)


def _copy(values: tree.Tree) -> tree.Tree:
    return tree.map(lambda a: a.copy(order="K") if isinstance(a, np.ndarray) else a, values)


def _identical(a: Any, b: Any) -> bool:
    """Return whether two trees of arrays are equal to the last bit."""
    ours, theirs = list(tree.leaves_with_paths(a)), list(tree.leaves_with_paths(b))
    return len(ours) == len(theirs) and all(
        path == other
        and type(x) is type(y)
        and x.dtype == y.dtype
        and x.shape == y.shape
        and x.tobytes() == y.tobytes()
        for (path, x), (other, y) in zip(ours, theirs, strict=True)
    )

"""Trace a NumPy training step once, then replay it in preallocated buffers.

A step written in Python allocates an array for each intermediate result, and walks layers and trees of parameters. In a small
network this takes longer than the arithmetic. After a few steps with batches of one shape and layout, the step is therefore

1. traced: it runs on tracers, which record a graph of its operations (`trace`),
2. planned: each intermediate result gets a buffer or a last use (`MemoryPlan`),
3. executed: the same operations run in the same order, without the Python code in between (`Executable`).

Results are identical bit for bit, which two steps verify before the third is replayed. A step that differs, cannot be traced or
needs too much memory runs unchanged. `is_replayable` decides which steps may be traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.executable import Executable
from anynet.backends.replay.memory import MemoryPlan
from anynet.backends.replay.trace import UntraceableError, trace

VERIFY_STEPS = 2
"""Number of steps in which replay must give the results of the step."""
MAX_GRAPHS = 4
"""Number of batch signatures for which a step is traced."""
MAX_REPLAY_BYTES = 2**25
"""Maximum memory of the executables of a step. A model has two steps, for `train_step` and for `fit`."""

UNTRACEABLE = "not a NumPy array"
"""Signature of a batch's entry with which a step is not traced, such as a tuple of several inputs."""


class ReplayedStep:
    """A step ``(carry, *batch) -> carry, out`` that may change its carry in place.

    Parameters
    ----------
    step : callable
    warmup_steps : int
        Number of steps per batch signature that run unchanged before the step is traced.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]], warmup_steps: int) -> None:
        self._step, self._warmup_steps = step, warmup_steps
        self._counts: dict[Any, int] = {}
        """Number of steps taken, by signature."""
        self._candidates: dict[Any, Executable] = {}
        """Executables that gave the results of one step so far."""
        self._executables: dict[Any, Executable] = {}
        self._carry: Any = None
        """The carry that the last step returned. A step from another one, such as a copy, is neither verified nor replayed."""
        self._leaves: list[Any] = []
        self._active: Executable | None = None
        """The executable bound to these leaves."""
        self._active_signature: Any = ()

    def __call__(self, carry: Any, *batch: Any) -> tuple[Any, Any]:
        signature = _signature(batch)
        same = signature == self._active_signature  # cheaper than a look-up by hash
        executable = self._active if same else self._executables.get(signature)
        if executable is not None and carry is self._carry and (same or self._bind(signature, executable)):
            try:
                self._carry, out = executable.run(self._leaves, batch)
            except BaseException:
                executable.unbind()
                self._deactivate()
                raise
            return self._carry, out
        if carry is not self._carry:
            for bound in self._executables.values():
                bound.unbind()  # release the arrays of the old carry
        self._deactivate()
        is_foreign = carry is not self._carry and self._carry is not None
        plain = is_foreign or signature in self._executables
        self._carry, out = self._step(carry, *batch) if plain else self._try(signature, carry, batch)
        return self._carry, out

    def _bind(self, signature: Any, executable: Executable) -> bool:
        """Bind an executable to the current carry, and return whether that succeeded."""
        if self._active is None:
            self._leaves = tree.leaves(self._carry)
        if not executable.is_bound(self._leaves) and not executable.bind(self._carry, self._leaves):
            del self._executables[signature], self._counts[signature]  # the carry has another structure: trace again
            return False
        self._active, self._active_signature = executable, signature
        return True

    def _deactivate(self) -> None:
        self._active, self._active_signature = None, ()

    def _try(self, signature: Any, carry: Any, batch: Sequence[Any]) -> tuple[Any, Any]:
        """Take a step unchanged. After the warm-up, also trace it and compare the results."""
        if UNTRACEABLE in signature or len(self._executables) == MAX_GRAPHS:
            return self._step(carry, *batch)
        count = self._counts[signature] = self._counts.get(signature, 0) + 1
        last = self._warmup_steps + VERIFY_STEPS
        if not self._warmup_steps < count <= last:
            return self._step(carry, *batch)
        candidate = self._candidates.pop(signature, None)
        try:
            with np.errstate(all="ignore"):  # the step itself will warn
                executable, result = self._rehearse(candidate, carry, batch, steady=count == last)
        except Exception:  # a step may raise anything because of tracers
            result = None
        expected = self._step(carry, *batch)
        if result is None or not _identical(result, expected):
            self._counts[signature] = last  # do not try again
        elif count == last:
            self._executables[signature] = executable
        elif executable.is_steady:
            self._candidates[signature] = executable
        return expected

    def _rehearse(
        self, candidate: Executable | None, carry: Any, batch: Sequence[Any], *, steady: bool
    ) -> tuple[Executable, tuple[Any, Any]]:
        """Return an executable, and its results from a copy of the carry; trace the step unless a candidate fits."""
        copied = _copy(carry)
        leaves = tree.leaves(copied)
        if candidate is None or not candidate.bind(copied, leaves):
            candidate = self._trace(carry, batch, steady)
            if not candidate.bind(copied, leaves):
                raise UntraceableError("a view that is a copy in another layout")
        result = candidate.run(leaves, batch)
        candidate.unbind()
        return candidate, result

    def _trace(self, carry: Any, batch: Sequence[Any], steady: bool) -> Executable:
        graph = trace(self._step, _copy(carry), batch)
        plan, others = MemoryPlan(graph), [*self._executables.values(), *self._candidates.values()]
        if plan.nbytes + sum(other.nbytes for other in others) > MAX_REPLAY_BYTES:
            raise UntraceableError("too much memory")
        if steady and not graph.is_steady:
            raise UntraceableError("a carry whose dtypes or layouts change")
        return Executable(plan)


def _signature(batch: Sequence[Any]) -> tuple[Any, ...]:
    """Return shape, dtype and strides of the arrays of a batch."""
    return tuple(
        [
            (array.shape, array.dtype, array.strides)
            if type(array) is np.ndarray
            else None
            if array is None
            else UNTRACEABLE
            for array in batch
        ]
    )


def _copy(values: tree.Tree) -> tree.Tree:
    return tree.map(lambda a: a.copy(order="K") if isinstance(a, np.ndarray) else a, values)


def _identical(a: Any, b: Any) -> bool:
    """Return whether two trees of arrays are equal bit for bit."""
    return all(x == y for x, y in zip_longest(_contents(a), _contents(b)))


def _contents(values: tree.Tree) -> Iterator[tuple[Any, ...]]:
    for path, leaf in tree.leaves_with_paths(values):
        yield path, type(leaf), leaf.dtype, leaf.shape, leaf.tobytes()

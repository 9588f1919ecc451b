"""Run a training step that was written down, in memory that is kept for it.

A step written in Python makes a new array for each intermediate result, and walks through layers and trees of parameters to
find out what to do; for a small network that costs more than the mathematics. So after a few steps of one shape its
operations are written down (`anynet.backends.replay.trace`) and from then on carried out one after another, into arrays that are
there already (`anynet.backends.replay.executable`). They are the same operations of NumPy in the same order, so the numbers are
the same bit for bit. That is not taken on trust but compared, twice; a step that differs, or cannot be written down, stays
as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.executable import Program

TRIALS = 2
"""Steps in which the results must agree."""
ROOM = 2**25
"""Bytes that all programs of a step may need. A model has two steps, that of `train_step` and that of `fit`."""
SHAPES = 4
"""How many shapes of a batch are written down."""


class Replayed:
    """A step, ``step(carry, *batch) -> carry, out``, which may change the arrays of its carry in place.

    Parameters
    ----------
    step : callable
    patience : int
        Steps of one shape that are taken as they come, before it is tried to write one down.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]], patience: int) -> None:
        self._step, self._patience = step, patience
        self._taken: dict[Any, int] = {}
        self._programs: dict[Any, Program] = {}
        self._carry: Any = None
        """What was returned last. With another one, somebody has come in between."""
        self._leaves: list[Any] = []
        self._active: Program | None = None
        """The program that is bound to the leaves of that carry."""

    def __call__(self, carry: Any, *batch: Any) -> tuple[Any, Any]:
        kinds = _kinds(batch)
        program = self._programs.get(kinds)
        if program is not None and carry is self._carry and self._ready(program):
            try:
                self._carry, out = program.run(self._leaves, batch)
            except BaseException:
                program.unbind()  # it is broken off, and holds intermediate results
                self._active = None
                raise
            return self._carry, out
        if carry is not self._carry:
            for program in self._programs.values():
                program.unbind()  # or it would keep the arrays of a carry that is gone
        self._active = None
        self._carry, out = self._step(carry, *batch) if kinds in self._programs else self._try(kinds, carry, batch)
        return self._carry, out

    def _ready(self, program: Program) -> bool:
        """Have a program work on the present carry; return whether it can."""
        if program is self._active:
            return True
        if self._active is None:
            self._leaves = tree.leaves(self._carry)
        if not (self._active and program.is_bound(self._leaves)) and not program.bind(self._carry, self._leaves):
            kinds = next(kinds for kinds, known in self._programs.items() if known is program)
            del self._programs[kinds], self._taken[kinds]  # the carry has another structure: begin again
            return False
        self._active = program
        return True

    def _try(self, kinds: Any, carry: Any, batch: tuple[Any, ...]) -> tuple[Any, Any]:
        """Take a step as it is written; when enough have been taken, try whether it can be replayed."""
        count = self._taken[kinds] = self._taken.get(kinds, 0) + 1
        if kinds is None or not 0 < count - self._patience <= TRIALS or len(self._programs) == SHAPES:
            return self._step(carry, *batch)
        try:
            room = ROOM - sum(other.nbytes for other in self._programs.values())
            program = Program(self._step, _copy(carry), batch, room)
            copied = _copy(carry)
            leaves = tree.leaves(copied)
            replayed = program.run(leaves, batch) if program.bind(copied, leaves) else None
            program.unbind()
        except Exception:  # numbers were asked for, or whatever else somebody's layer may do
            replayed = None
        taken = self._step(carry, *batch)
        if replayed is None or not _same(replayed, taken):
            self._taken[kinds] = self._patience + TRIALS  # not again
        elif count == self._patience + TRIALS:
            self._programs[kinds] = program
        return taken


def _kinds(batch: tuple[Any, ...]) -> Any:
    """Return what the arrays of a batch have in common with those of others that one program serves; None for others."""
    kinds: list[Any] = []
    for array in batch:
        if array is None:
            kinds.append(None)
        elif type(array) is np.ndarray:
            kinds.append((array.shape, array.dtype, array.strides))
        else:
            return None
    return tuple(kinds)


def _copy(values: tree.Tree) -> tree.Tree:
    return tree.map(lambda a: a.copy(order="K") if isinstance(a, np.ndarray) else a, values)


def _same(a: Any, b: Any) -> bool:
    """Return whether two trees of arrays are the same to the last bit."""
    ours, theirs = list(tree.leaves_with_paths(a)), list(tree.leaves_with_paths(b))
    return len(ours) == len(theirs) and all(
        path == other
        and type(x) is type(y)
        and x.dtype == y.dtype
        and x.shape == y.shape
        and x.tobytes() == y.tobytes()
        for (path, x), (other, y) in zip(ours, theirs, strict=True)
    )

"""A training step, written down once, with memory for its intermediate results: see `anynet.backends.replay`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import array_api_compat.numpy as compat
import numpy as np

from anynet import tree
from anynet.backends.recording import UFUNCS, Call, CannotRecord, Recorded, Recorder, Update
from anynet.namespace import Array

ROOM = 2**26
"""Bytes of intermediate results beyond which a step is not written down: beside its work, calls cost nothing."""

REDUCTIONS = {compat.sum: np.add.reduce, compat.max: np.maximum.reduce, compat.min: np.minimum.reduce}


class Operation(NamedTuple):
    """An operation on numbered values: `numbers` has that of each argument, or None for one that is always the same."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    numbers: tuple[int | None, ...]
    result: int | None
    into: Callable[..., Any] | None
    """The function with the argument `out`, if the result may go into a buffer."""

    @property
    def elementwise(self) -> bool:
        """Whether each element of the result may be written as soon as the same element of the arguments was read."""
        return isinstance(self.into, np.ufunc) and self.into is not np.matmul


class Program:
    """A step, ``step(carry, *batch) -> carry, out``, written down for one shape of its arguments.

    Each array in it has a number: those of the carry, those of the batch, then the results. *Kept* are the arrays of the carry
    that are still in their places at the end, changed or not. They, the buffers for intermediate results, and views of either
    are *fixed*: known before a step begins. Everything else goes through a register.

    Raises
    ------
    Exception
        Any, if the step does something that cannot be written down.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]], carry: Any, batch: tuple[Any, ...]) -> None:
        recorder = Recorder(ROOM)
        wrapped = tree.map(recorder.wrap, carry)
        given = [None if array is None else recorder.wrap(array) for array in batch]
        new, out = step(wrapped, *given)
        before, after = list(tree.places(wrapped)), list(tree.places(new))
        if [path for path, _ in before] != [path for path, _ in after]:
            raise CannotRecord("another structure of the carry")
        values = [*(leaf for _, leaf in before), *given, *(call.result for call in recorder.calls)]
        number = {id(value): i for i, value in enumerate(values) if value is not None}
        self._arrays: list[Any] = [None if value is None else value.value for value in values]
        self._kinds = [(path, leaf.shape, leaf.dtype) for path, leaf in before]
        self._kept = [old is now for (_, old), (_, now) in zip(before, after, strict=True)]
        self._moved = [(i, number[id(now)]) for i, (_, now) in enumerate(after) if not self._kept[i]]
        self._new, self._out = (tree.map(lambda a: number[id(a)], part) for part in (new, out))
        self._operations = [_operation(call, number) for call in recorder.calls]
        self._sources = _sources(self._operations, self._arrays)
        leaving = {self._root(i) for i in [*(i for _, i in self._moved), *tree.leaves(self._out)]}
        self._buffered = {
            op.result: op for op in self._operations if op.into and op.result not in {*leaving, *self._sources}
        }
        self._joined: dict[int, list[int]] = {}
        self._buffers: dict[int | None, np.ndarray] = {}
        self._operations = [self._pack(op) if isinstance(op.function, Update) else op for op in self._operations]
        self._allocate()
        self._registers: list[Any] = [None] * len(self._arrays)
        self._arrays, self._steps, self._bound = [], [], []  # type: ignore[var-annotated]

    def _root(self, number: int) -> int:
        """Return the number of the array in whose memory a value lies."""
        while (source := self._sources.get(number)) is not None:
            number = source
        return number

    def _pack(self, op: Operation) -> Operation:
        """Return an update of many rows as one of a single row, where its arrays can be laid side by side.

        A rule is elementwise, and a small network has more rows than it is worth calling NumPy for.
        """
        rows, width = op.function.rows, op.function.width  # type: ignore[attr-defined]
        columns: list[Any] = [op.numbers[i : rows * width : width] for i in range(width)]
        params, gradients, *slots = columns
        kept = all(i is not None and i < len(self._kept) and self._kept[i] for c in (params, *slots) for i in c)
        made = all(i in self._buffered and self._arrays[i].flags.c_contiguous for i in gradients)
        if not kept or not made or len({self._arrays[i].dtype for column in columns for i in column}) > 1:
            return op
        numbers = []
        for column in columns:
            numbers.append(len(self._arrays))
            self._arrays.append(None)
            if column is gradients:
                like = [self._arrays[i] for i in column]
                block = self._buffers[numbers[-1]] = np.empty(sum(a.size for a in like), dtype=like[0].dtype)
                self._buffers.update(zip(column, _split(block, [a.shape for a in like]), strict=True))
            else:
                self._joined[numbers[-1]] = list(column)
        flat = rows * width
        return op._replace(
            function=Update(op.function.run, 1, width),  # type: ignore[attr-defined]
            args=(None,) * width + op.args[flat:],
            numbers=(*numbers, *op.numbers[flat:]),
        )

    def _allocate(self) -> None:
        """Make a buffer for each result that is not given away, in memory that several share one after another.

        An elementwise operation may write over an argument that nobody needs any more.
        """
        last = {self._root(i): time for time, op in enumerate(self._operations) for i in op.numbers if i is not None}
        memory: dict[int | None, np.ndarray] = {}
        free: dict[int, list[np.ndarray]] = {}

        def release(op: Operation, time: int) -> None:
            for root in {self._root(i) for i in op.numbers if i is not None}:
                if last[root] == time and root in memory:
                    piece = memory.pop(root)
                    free.setdefault(piece.nbytes, []).append(piece)

        for time, op in enumerate(self._operations):
            if op.elementwise:
                release(op, time)
            if op.result in self._buffered and op.result not in self._buffers:
                like = self._arrays[op.result]  # type: ignore[index]
                spare = free.get(like.nbytes)
                piece = memory[op.result] = spare.pop() if spare else np.empty(like.nbytes, dtype=np.uint8)
                self._buffers[op.result] = np.ndarray(like.shape, like.dtype, piece, strides=like.strides)
            release(op, time)

    def bind(self, carry: Any, leaves: list[Any]) -> bool:
        """Make everything ready for the arrays of a carry; return whether they are of the kind that is known.

        The `leaves` that are laid side by side for the update are replaced in the list.
        """
        if [(path, leaf.shape, leaf.dtype) for path, leaf in tree.places(carry)] != self._kinds:
            return False
        fixed: dict[int | None, Any] = dict(self._buffers)
        for block, members in self._joined.items():
            fixed[block], parts = _join([leaves[i] for i in members])
            for i, part in zip(members, parts, strict=True):
                leaves[i] = part
        fixed.update((i, leaf) for i, leaf in enumerate(leaves) if self._kept[i])
        steps = []
        for op in self._operations:
            args = [arg if i is None else fixed.get(i) for arg, i in zip(op.args, op.numbers, strict=True)]
            holes = [(place, i) for place, i in enumerate(op.numbers) if i is not None and i not in fixed]
            if op.result in self._buffers:
                into = partial(op.into, out=fixed[op.result], **op.options)  # type: ignore[arg-type, misc]
                steps.append(_step(into, args, holes, self._registers, None))
            elif op.result in self._sources and not holes:
                view = fixed[op.result] = op.function(*args, **op.options)
                if _owner(view) is not _owner(fixed[self._sources[op.result]]):
                    return False  # in another order in memory it is a copy
            else:
                function = partial(op.function, **op.options) if op.options else op.function
                steps.append(_step(function, args, holes, self._registers, op.result))
        self._steps, self._bound = steps, self._kept_of(leaves)
        self._make_new, self._make_out = (_maker(part, fixed, self._registers) for part in (self._new, self._out))
        return True

    def is_bound(self, leaves: list[Any]) -> bool:
        """Return whether it was bound to just these, of a carry that the same step returned."""
        return bool(self._steps) and all(a is b for a, b in zip(self._kept_of(leaves), self._bound, strict=True))

    def _kept_of(self, leaves: list[Any]) -> list[Any]:
        return [leaf for leaf, kept in zip(leaves, self._kept, strict=True) if kept]

    def run(self, leaves: list[Any], batch: Sequence[Any]) -> tuple[Any, Any]:
        """Take a step from the carry that it is bound to; its `leaves` become those of the new one."""
        registers, first = self._registers, len(self._kept)
        for i, _ in self._moved:
            registers[i] = leaves[i]
        registers[first : first + len(batch)] = batch
        for step in self._steps:
            step()
        for i, number in self._moved:
            leaves[i] = registers[number]
        return self._make_new(), self._make_out()


def _operation(call: Call, number: dict[int, int]) -> Operation:
    function, options, made = call.function, call.options, call.result
    reduced = REDUCTIONS.get(function) if set(options) <= {"axis", "keepdims"} and len(call.args) == 1 else None
    if reduced is not None and made is not None and made.dtype.kind == "f":
        function, options = reduced, {"axis": None, **options}
    array = made is not None and isinstance(made.value, np.ndarray) and made.ndim > 0
    into = _into(function, options) if array else None
    return Operation(
        function,
        tuple([None if isinstance(arg, Recorded) else arg for arg in call.args]),
        options,
        tuple([number[id(arg)] if isinstance(arg, Recorded) else None for arg in call.args]),
        None if made is None else number[id(made)],
        into,
    )


def _into(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any] | None:
    """Return the same with the argument `out`, if there is such a thing."""
    if function in REDUCTIONS.values():
        return function
    if options:
        return None
    if function is compat.astype:
        return _cast
    return UFUNCS.get(function, function if isinstance(function, np.ufunc) else None)


def _cast(x: Array, dtype: Any, out: np.ndarray) -> None:
    np.copyto(out, x, casting="unsafe")


def _sources(operations: list[Operation], arrays: list[Any]) -> dict[int | None, int]:
    """Return, for each result that is a view, the number of the array that it looks at."""
    sources: dict[int | None, int] = {}
    for op in operations:
        if op.result is not None and isinstance(arrays[op.result], np.ndarray):
            owner = _owner(arrays[op.result])
            seen = (i for i in op.numbers if i is not None and _owner(arrays[i]) is owner)
            if (source := next(seen, None)) is not None:
                sources[op.result] = source
    return sources


def _owner(array: Any) -> Any:
    """Return the array that memory belongs to."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array


def _split(block: np.ndarray, shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Yield views of a block's parts, in these shapes."""
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield block[start:stop].reshape(shape)
        start = stop


def _join(arrays: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a block in which arrays lie side by side, and its parts: the arrays themselves, if they do already."""
    shapes, block = [a.shape for a in arrays], _owner(arrays[0])
    if block.ndim == 1 and block.size == sum(a.size for a in arrays) and block.dtype == arrays[0].dtype:
        parts = _split(block, shapes)
        if all(a.__array_interface__ == part.__array_interface__ for a, part in zip(arrays, parts, strict=True)):
            return block, arrays
    block = np.concatenate([a.reshape(-1) for a in arrays])
    return block, list(_split(block, shapes))


def _step(
    function: Callable[..., Any],
    args: list[Any],
    holes: list[tuple[int, int]],
    registers: list[Any],
    result: int | None,
) -> Callable[[], Any]:
    """Return what carries out an operation, and takes from registers what is not fixed."""
    if not holes and result is None:
        return partial(function, *args)

    def step() -> None:
        for place, register in holes:
            args[place] = registers[register]
        made = function(*args)
        if result is not None:
            registers[result] = made

    return step


def _maker(part: Any, fixed: dict[int | None, Any], registers: list[Any]) -> Callable[[], Any]:
    """Return what makes a tree from one of numbers; a part of it in which all is fixed is made once."""
    if all(i in fixed for i in tree.leaves(part)):
        made = tree.map(fixed.__getitem__, part)
        return lambda: made
    if isinstance(part, dict):
        entries = [(key, _maker(value, fixed, registers)) for key, value in part.items()]
        return lambda: {key: make() for key, make in entries}
    if isinstance(part, (list, tuple)):
        kind, makers = type(part), [_maker(value, fixed, registers) for value in part]
        return lambda: kind([make() for make in makers])
    return lambda: registers[part]

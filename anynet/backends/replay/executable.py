"""A training step, written down once, with memory for its intermediate results: see `anynet.backends.replay`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, compress
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.backends.replay.trace import UFUNCS, CannotRecord, Operation, Recorder, Update, owner

OVERHEAD = 2048
"""Bytes of Python objects for each operation."""
SMALL = 4096
"""Bytes of a result without a buffer up to which it stays until the next step; larger ones are given up after their last use."""

REDUCTIONS = {compat.sum: np.add.reduce, compat.max: np.maximum.reduce, compat.min: np.minimum.reduce}


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

    def __init__(self, step: Callable[..., tuple[Any, Any]], carry: Any, batch: tuple[Any, ...], room: int) -> None:
        recorder = Recorder()
        wrapped = tree.map(recorder.wrap, carry)
        new, out = step(wrapped, *map(recorder.input, batch))
        if recorder.refused is not None:
            raise CannotRecord(recorder.refused)
        before, after = list(tree.leaves_with_paths(wrapped)), list(tree.leaves_with_paths(new))
        if [path for path, _ in before] != [path for path, _ in after]:
            raise CannotRecord("another structure of the carry")
        self._expected = _structure(carry)
        self._kept = [old is now for (_, old), (_, now) in zip(before, after, strict=True)]
        self._moved = [(i, now.number) for i, (_, now) in enumerate(after) if not self._kept[i]]
        self._new, self._out = (tree.map(lambda a: a.number, part) for part in (new, out))
        self._kinds: list[Any] = list(recorder.kinds)
        self._sources, self._root = recorder.sources, recorder.root
        self._operations = [_quick(op, self._kinds) for op in recorder.operations]
        self._leaving = {*(i for _, i in self._moved), *tree.leaves(self._out)}
        leaving = {self._root(i) for i in self._leaving}
        self._into = {
            op.result: into
            for op in self._operations
            if op.result is not None
            and op.result not in {*leaving, *self._sources}
            and (into := _into(op, self._kinds))
        }
        """For each result that may go into a buffer, what puts it there: a function with the argument `out`."""
        self._joined: dict[int, tuple[int, ...]] = {}
        self._buffers: dict[int, np.ndarray] = {}
        self._operations = [self._pack(op) if isinstance(op.function, Update) else op for op in self._operations]
        constants = {id(arg): arg.nbytes for op in self._operations for arg in op.args if isinstance(arg, np.ndarray)}
        self.nbytes = self._allocate() + sum(constants.values()) + OVERHEAD * len(self._operations)
        """Bytes that a step needs at a time beside its arguments."""
        self._freed: dict[int, list[int]] = {}
        """The registers to clear after each operation; after the last, at the end of the step."""
        self.nbytes += self._free()
        if self.nbytes > room:
            raise CannotRecord("too much memory")
        self._at_end = self._freed.pop(len(self._operations), [])
        self._registers: list[Any] = [None] * len(self._kinds)
        self._steps: list[Callable[[], Any]] = []
        self._bound: list[Any] = []
        self._make_new: Callable[[], Any] | None = None
        self._make_out: Callable[[], Any] | None = None

    def _pack(self, op: Operation) -> Operation:
        """Return an update of many rows as one of a single row, where its arrays can be laid side by side.

        A rule is elementwise, and a small network has more rows than it is worth calling NumPy for.
        """
        rows, width = op.function.rows, op.function.width  # type: ignore[attr-defined]
        columns: list[Any] = [op.numbers[i : rows * width : width] for i in range(width)]
        params, gradients, *slots = columns
        kept = all(i is not None and i < len(self._kept) and self._kept[i] for c in (params, *slots) for i in c)
        if not kept or not all(i in self._into for i in gradients):
            return op
        if not all(self._kinds[i].in_order for column in columns for i in column):
            return op
        dtypes = {self._kinds[i].dtype for column in columns for i in column}
        if len(dtypes) > 1:
            return op
        shapes = [self._kinds[i].shape for i in gradients]
        block = np.empty(sum(map(math.prod, shapes)), dtype=dtypes.pop())
        self._buffers.update(zip(gradients, _split(block, shapes), strict=True))
        numbers = list(range(len(self._kinds), len(self._kinds) + width))
        self._kinds += [None] * width
        for number, column in zip(numbers, columns, strict=True):
            if column is gradients:
                self._buffers[number] = block
            else:
                self._joined[number] = column
        flat = rows * width
        return op._replace(
            function=Update(op.function.run, 1, width),  # type: ignore[attr-defined]
            args=(None,) * width + op.args[flat:],
            numbers=(*numbers, *op.numbers[flat:]),
        )

    def _free(self) -> int:
        """Find out when registers can be cleared, and return the bytes of all that lie there at a time, at most."""
        fixed = {*self._buffers, *self._joined, *(i for i, kept in enumerate(self._kept) if kept)}
        made: dict[int, int] = {}
        last: dict[int, int] = {}
        for time, op in enumerate(self._operations):
            last.update((i, time) for i in op.numbers if i is not None)
            if op.result is None:
                continue
            if op.result in self._sources and all(i is None or i in fixed for i in op.numbers):
                fixed.add(op.result)
            made[op.result] = last[op.result] = time
        end, changes, small = len(self._operations), [0] * (len(self._operations) + 1), 0
        until: dict[int, int] = {}
        for i, kind in enumerate(self._kinds):
            if i in fixed or kind is None:
                continue
            root, time = self._root(i), end if i in self._leaving else last.get(i, end)
            until[root] = max(until.get(root, 0), time)
            if root not in made or self._kinds[root].nbytes > SMALL:
                self._freed.setdefault(time, []).append(i)
        for root, time in until.items():
            nbytes = self._kinds[root].nbytes
            if nbytes <= SMALL:
                small += nbytes
            elif root in made:
                changes[made[root]] += nbytes
                changes[time] -= nbytes
        return small + max(accumulate(changes))

    def _allocate(self) -> int:
        """Make a buffer for each result that is not given away, in memory that several share one after another.

        An elementwise operation may write over an argument that nobody needs any more. What matrix products read or write
        lies apart: other cores have it in their caches, and writing to it is slower.
        """
        last = {self._root(i): time for time, op in enumerate(self._operations) for i in op.numbers if i is not None}
        products = [op for op in self._operations if op.function in (operator.matmul, np.matmul)]
        apart = {self._root(i) for op in products for i in (*op.numbers, op.result) if i is not None}
        total = sum(buffer.nbytes for buffer in self._buffers.values() if buffer.base is None)
        memory: dict[int, np.ndarray] = {}
        free: dict[tuple[int, bool], list[np.ndarray]] = {}

        def release(op: Operation, time: int) -> None:
            for root in {self._root(i) for i in op.numbers if i is not None}:
                if last[root] == time and root in memory:
                    piece = memory.pop(root)
                    free.setdefault((piece.nbytes, root in apart), []).append(piece)

        for time, op in enumerate(self._operations):
            into = self._into.get(op.result)  # type: ignore[arg-type]
            if isinstance(into, np.ufunc) and into is not np.matmul:
                release(op, time)
            if into is not None and op.result is not None and op.result not in self._buffers:
                like = self._kinds[op.result]
                key = like.nbytes, op.result in apart
                if not free.get(key):
                    total += like.nbytes
                    free[key] = [np.empty(like.nbytes, dtype=np.uint8)]
                memory[op.result] = free[key].pop()
                self._buffers[op.result] = np.ndarray(like.shape, like.dtype, memory[op.result], strides=like.strides)
            release(op, time)
        return total

    def bind(self, carry: Any, leaves: list[Any]) -> bool:
        """Make everything ready for the arrays of a carry; return whether they are of the kind that is known.

        The `leaves` that are laid side by side for the update are replaced in the list.
        """
        if _structure(carry) != self._expected:
            return False
        fixed: dict[int, Any] = dict(self._buffers)
        for block, members in self._joined.items():
            fixed[block], parts = _join([leaves[i] for i in members])
            for i, part in zip(members, parts, strict=True):
                leaves[i] = part
        fixed.update((i, leaf) for i, leaf in enumerate(leaves) if self._kept[i])
        steps: list[Callable[[], Any]] = []
        registers = self._registers
        for time, op in enumerate(self._operations):
            args = [arg if i is None else fixed.get(i) for arg, i in zip(op.args, op.numbers, strict=True)]
            holes = [(place, i) for place, i in enumerate(op.numbers) if i is not None and i not in fixed]
            if op.result in self._buffers:
                into = partial(self._into[op.result], out=fixed[op.result], **op.options)
                steps.append(_step(into, args, holes, registers, None))
            elif op.result is not None and op.result in self._sources and not holes:
                view = fixed[op.result] = op.function(*args, **op.options)
                if owner(view) is not owner(fixed[self._sources[op.result]]):
                    return False  # in another order in memory it is a copy
            else:
                function = partial(op.function, **op.options) if op.options else op.function
                steps.append(_step(function, args, holes, registers, op.result))
            steps += [partial(registers.__setitem__, i, None) for i in self._freed.get(time, ())]
        self._steps, self._bound = steps, self._kept_of(leaves)
        self._make_new, self._make_out = (_maker(part, fixed, self._registers) for part in (self._new, self._out))
        return True

    def unbind(self) -> None:
        """Forget the arrays of the carry, and of any step that was broken off."""
        self._steps, self._bound = [], []
        self._registers[:] = [None] * len(self._kinds)
        self._make_new = self._make_out = None

    def is_bound(self, leaves: list[Any]) -> bool:
        """Return whether it was bound to just these, of a carry that the same step returned."""
        now = self._kept_of(leaves)
        return bool(self._steps) and len(now) == len(self._bound) and all(map(operator.is_, now, self._bound))

    def _kept_of(self, leaves: list[Any]) -> list[Any]:
        return list(compress(leaves, self._kept))

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
        results = self._make_new(), self._make_out()  # type: ignore[misc]  # it is bound
        for i in self._at_end:
            registers[i] = None
        return results


def _quick(op: Operation, kinds: list[Any]) -> Operation:
    """Return the same operation without a detour through NumPy's Python code."""
    reduction = REDUCTIONS.get(op.function)
    if (
        reduction
        and len(op.args) == 1
        and set(op.options) <= {"axis", "keepdims"}
        and kinds[op.result].dtype.kind == "f"  # type: ignore[index]
    ):
        return op._replace(function=reduction, options={"axis": None, **op.options})
    return op


def _into(op: Operation, kinds: list[Any]) -> Callable[..., Any] | None:
    """Return the function of an operation with the argument `out`, if there is such a thing."""
    if not kinds[op.result].is_array:  # type: ignore[index]
        return None
    if op.function in REDUCTIONS.values():
        return op.function
    if op.options:
        return None
    if op.function is compat.astype:
        return _cast
    return UFUNCS.get(op.function, op.function if isinstance(op.function, np.ufunc) else None)


def _cast(x: Array, dtype: Any, out: np.ndarray) -> None:
    np.copyto(out, x, casting="unsafe")


def _split(block: np.ndarray, shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Yield views of a block's parts, in these shapes."""
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield block[start:stop].reshape(shape)
        start = stop


def _join(arrays: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a block in which arrays lie side by side, and its parts: the arrays themselves, if they do already."""
    shapes, block = [a.shape for a in arrays], owner(arrays[0])
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
    if len(args) == 1 and holes and result is not None:
        ((_, only),) = holes

        def single() -> None:
            registers[result] = function(registers[only])

        return single

    def step() -> None:
        values = args.copy()  # or arguments would live until the next step
        for place, register in holes:
            values[place] = registers[register]
        made = function(*values)
        if result is not None:
            registers[result] = made

    return step


def _structure(carry: Any) -> list[Any]:
    """Return the paths and kinds of the arrays in a carry."""
    return [(path, type(leaf), leaf.shape, leaf.dtype, leaf.strides) for path, leaf in tree.leaves_with_paths(carry)]


def _maker(part: Any, fixed: dict[int, Any], registers: list[Any]) -> Callable[[], Any]:
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

"""Run a formula by compiled loops and NumPy's functions, with NumPy's results bit for bit.

A formula is cut at the functions that only NumPy computes, such as `exp`: *calls*. A *stage* is a compiled loop that writes the
arguments of some calls, and then these calls. The last stage is a loop that writes the results. Each loop starts from the
arguments of the formula and the results of calls, and repeats cheap operations rather than pass them on in memory. Stages run on
one tile at a time, whose intermediate results stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from anynet.arrays.llvm import C_TYPES, Access, Loop, compile_loop, is_native
from anynet.arrays.symbols import Formula, Operation, UntraceableFormulaError, trace

TILE_NUMBERS = 2**15
"""Numbers of each array of a tile, about: 128 KiB of float32."""
MAX_OPERATIONS = 400
"""Compilation takes longer than proportionally to the number of operations."""
SPECIAL = (0.0, 1.0, 0.5, 1e-3, 3.0, 17.5, 40.0, 90.0, 1e4, 1e-40, 1e-310, 1e30, 1e300, np.inf, np.nan)
"""Numbers that each program is verified with, with both signs."""


class Layout(NamedTuple):
    """The shape of the results, as rows and columns, and along which each argument changes."""

    shape: tuple[int, ...]
    rows: int
    columns: int
    changes: tuple[tuple[bool, bool], ...]


def layout(shapes: Sequence[tuple[int, ...]]) -> Layout | None:
    """Return the layout of arrays in row-major order, or None without one.

    >>> layout([(8, 5), (5,), (8, 1), ()])
    Layout(shape=(8, 5), rows=8, columns=5, changes=((True, True), (False, True), (True, False), (False, False)))
    """
    shape = np.broadcast_shapes(*shapes)
    if all(s == shape or np.prod(s) == 1 for s in shapes):
        changes = tuple([(s == shape, s == shape) if s else (False, False) for s in shapes])
        return Layout(shape, 1, int(np.prod(shape)), changes)
    for split in range(1, len(shape)):
        known = {shape: (True, True), (): (False, False), shape[split:]: (False, True)}
        known[shape[:split] + (1,) * (len(shape) - split)] = (True, False)
        for lead in range(1, split + 1):
            known.setdefault((1,) * lead + shape[split:], (False, True))
        if all(s in known for s in shapes):
            rows, columns = int(np.prod(shape[:split])), int(np.prod(shape[split:]))
            return Layout(shape, rows, columns, tuple([known[s] for s in shapes]))
    return None


class Scratch:
    """Memory for the tiles of programs that run one after the other."""

    def __init__(self) -> None:
        self._blocks: dict[int, np.ndarray] = {}

    def __call__(self, number: int, size: int, dtype: np.dtype) -> np.ndarray:
        """Return an array in block `number`."""
        nbytes = size * dtype.itemsize
        block = self._blocks.get(number)
        if block is None or block.nbytes < nbytes:
            block = self._blocks[number] = np.empty(nbytes, np.uint8)
        return block[:nbytes].view(dtype)


class _Stage(NamedTuple):
    kernel: Callable[..., None] | None
    arrays: list[int]
    """The numbers of the arrays that the kernel reads and writes."""
    calls: list[tuple[int, Operation]]


class Program:
    """A compiled formula.

    Parameters
    ----------
    function : callable
        The elementwise function.
    arguments : sequence
        Dtypes of its array arguments, and other arguments unchanged.
    changes : sequence of (bool, bool)
        Whether each array changes along rows and along columns.
    targets : sequence of (int or None)
        For each result, the number of the argument to overwrite, or None for an array of its own.

    Raises
    ------
    UntraceableFormulaError
        If the function cannot be compiled.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        changes: Sequence[tuple[bool, bool]],
        targets: Sequence[int | None] | None = None,
    ) -> None:
        self.formula = formula = trace(function, arguments)
        self._targets = tuple(targets or [None] * len(formula.results))
        if len(formula.operations) > MAX_OPERATIONS or len(self._targets) != len(formula.results):
            raise UntraceableFormulaError("its size")
        self._accesses = [
            Access(i, dtype, *by) for i, (dtype, by) in enumerate(zip(formula.arguments, changes, strict=True))
        ]
        self._stages: list[_Stage] = []
        self._calls = _calls(formula)
        self._end = len(formula.arguments) + len(formula.operations)
        """Number of the first result, after those of all values."""
        self._tiles: dict[int, np.dtype] = {}
        """Dtypes of the tiles that calls read and write, by number."""
        self.dtypes = [formula.dtype(value) for value in formula.results]
        self.returns_tuple = formula.returns_tuple
        self._own = [dtype for dtype, j in zip(self.dtypes, self._targets, strict=True) if j is None]
        """Dtypes of the results that do not overwrite an argument."""
        self._plan()
        last = self._stages[-1]
        everything = [*range(len(self._accesses)), *range(self._end, self._end + len(self._own))]
        self._only = last.kernel if not self._calls and last.arrays == everything else None
        """The kernel of a program that consists of one and uses all arguments."""
        if not self._is_exact(function, arguments):
            raise UntraceableFormulaError("a result that differs from NumPy's")

    def _plan(self) -> None:
        formula, depths = self.formula, self._calls
        known = {access.value: access for access in self._accesses}
        for depth in range(1, max(depths.values(), default=0) + 1):
            calls = [(i, self._operation(i)) for i in depths if depths[i] == depth]
            inputs = {i for _, operation in calls for i in operation.inputs if isinstance(i, int) and i not in depths}
            new = [i for i in sorted(inputs) if self._copy(i) not in self._tiles]
            self._tiles |= {self._copy(i): formula.dtype(i) for i in [*new, *(i for i, _ in calls)]}
            self._stages.append(_Stage(*self._loop(known, [(i, None) for i in new], map(self._copy, new)), calls))
            known |= {i: Access(i, operation.dtype) for i, operation in calls}
        stores = [(i, j) for i, j in zip(formula.results, self._targets, strict=True) if i != j]
        self._stages.append(_Stage(*self._loop(known, stores, range(self._end, self._end + len(self._own))), []))

    def _copy(self, value: int) -> int:
        """Return the number of a value's tile: its own, but for arguments, which have arrays already."""
        return value if value >= len(self.formula.arguments) else -1 - value

    def _operation(self, value: int) -> Operation:
        return self.formula.operations[value - len(self.formula.arguments)]

    def _loop(
        self, known: dict[int, Access], stores: list[tuple[int, int | None]], names: Iterable[int]
    ) -> tuple[Callable[..., None] | None, list[int]]:
        """Return the compiled loop that computes values from known ones, and the numbers of its arrays.

        `names` are the numbers of those that it writes and that are not arguments.
        """
        if not stores:
            return None, []
        needed, todo = set(), [i for i, _ in stores]
        while todo:
            value = todo.pop()
            if value not in needed:
                needed.add(value)
                if value not in known:
                    todo += [i for i in self._operation(value).inputs if isinstance(i, int)]
        loads = [known[i] for i in sorted(needed) if i in known]
        loads += [known[j] for _, j in stores if j is not None and known[j] not in loads]
        operations = tuple([(i, self._operation(i)) for i in sorted(needed) if i not in known])
        positions = {access.value: position for position, access in enumerate(loads)}
        written = tuple([(Access(i, self.formula.dtype(i)), None if j is None else positions[j]) for i, j in stores])
        kernel = compile_loop(Loop(tuple(loads), operations, written))
        return kernel, [*(access.value for access in loads), *names]

    def run(self, rows: int, columns: int, arguments: Sequence[Any], outs: Sequence[int]) -> None:
        """Compute the results that have arrays of their own into `outs`.

        Arrays are given by their addresses, and scalars by their values. Arrays are in row-major order, and writable where the
        program writes.
        """
        if self._only is not None and rows and columns:
            self._only(rows, columns, *arguments, *outs)
            return
        for function, args in self.calls(rows, columns, arguments, outs, Scratch()):
            function(*args)

    def calls(
        self, rows: int, columns: int, arguments: Sequence[Any], outs: Sequence[int], scratch: Scratch
    ) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """Yield the functions that `run` calls, and their arguments.

        They may be called later and repeatedly. Scalars may then be instances of `ctypes` types, whose values can change.
        """
        if not rows or not columns:
            return
        along = columns if rows == 1 else rows  # the axis that is cut into tiles
        width = 1 if rows == 1 else columns
        step = min(max(1, TILE_NUMBERS // width), along)
        tiles = {i: scratch(n, step * width, dtype) for n, (i, dtype) in enumerate(self._tiles.items())}
        addresses = {i: address(tile) for i, tile in tiles.items()}
        moving: list[tuple[int, int, int]] = []  # value, address, and bytes between tiles
        for access, start in zip(self._accesses, arguments, strict=True):
            addresses[access.value] = start
            if access.by_row if rows > 1 else access.by_column:
                moving.append((access.value, start, step * access.dtype.itemsize * (width if access.by_column else 1)))
        for i, (start, dtype) in enumerate(zip(outs, self._own, strict=True), start=self._end):
            moving.append((i, start, step * width * dtype.itemsize))
        for number, start in enumerate(range(0, along, step)):
            for value, base, stride in moving:
                addresses[value] = base + number * stride
            count = min(step, along - start)
            if count < step:
                tiles = {i: tile[: count * width] for i, tile in tiles.items()}
            size = (1, count) if rows == 1 else (count, columns)
            for kernel, values, operations in self._stages:
                if kernel is not None:
                    yield kernel, (*size, *[addresses[i] for i in values])
                for i, (ufunc, inputs, _) in operations:
                    given = [tiles[self._copy(j)] if isinstance(j, int) else j for j in inputs]
                    if ufunc is np.astype:
                        yield np.copyto, (tiles[i], *given, "unsafe")
                    else:
                        yield partial(ufunc, out=tiles[i]), tuple(given)

    def arguments(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Return the addresses of arrays, and the values of scalars."""
        return [a.item() if by.is_scalar else address(a) for a, by in zip(arrays, self._accesses, strict=True)]

    def cells(self) -> list[Any]:
        """Return a `ctypes` number for each scalar, and None for each other array."""
        return [C_TYPES[access.dtype.name]() if access.is_scalar else None for access in self._accesses]

    def _is_exact(self, function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
        """Return whether the program gives the bits of the function, also for infinities, NaN and zeros of both signs."""
        is_flat = all(access.by_row == access.by_column for access in self._accesses)
        rows, columns = (1, 1501) if is_flat else (3, 501)
        rng, arrays = np.random.default_rng(0), []
        for access in self._accesses:
            shape = (rows if access.by_row else 1, columns if access.by_column else 1)
            arrays.append(_sample(rng, access.dtype, shape))
        outs = [np.empty((rows, columns), dtype) for dtype in self._own]
        inputs = iter([array.copy() for array in arrays])
        with np.errstate(all="ignore"):
            made = function(*[next(inputs) if isinstance(a, np.dtype) else a for a in arguments])
            self.run(rows, columns, self.arguments(arrays), [*map(address, outs)])
        own = iter(outs)
        found = [next(own) if j is None else arrays[j] for j in self._targets]
        return all(map(_identical, made if isinstance(made, tuple) else (made,), found))


def has_calls(formula: Formula) -> bool:
    """Return whether a formula uses functions that only NumPy computes."""
    return bool(_calls(formula))


def _calls(formula: Formula) -> dict[int, int]:
    """Return the values that NumPy computes, with the length of the chain of calls up to each."""
    depths = [0] * len(formula.arguments)
    calls: dict[int, int] = {}
    for value, operation in enumerate(formula.operations, start=len(depths)):
        inputs = [i for i in operation.inputs if isinstance(i, int)]
        dtypes = tuple([formula.dtype(i) if isinstance(i, int) else i.dtype for i in operation.inputs])
        depth = max([depths[i] for i in inputs], default=0)
        if not is_native(operation, dtypes):
            depth += 1
            calls[value] = depth
        depths.append(depth)
    return calls


def _sample(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of a dtype: random ones and, for a quarter of the floats, `SPECIAL`."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind != "f":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype)
    special = np.array(SPECIAL)
    numbers = rng.normal(size=shape) * rng.choice([1e-3, 1.0, 10.0], size=shape)
    chosen = rng.choice(np.concatenate([special, -special]), size=shape)
    with np.errstate(over="ignore", under="ignore"):
        return np.where(rng.random(shape) < 0.25, chosen, numbers).astype(dtype)


def _identical(made: np.ndarray, found: np.ndarray) -> bool:
    """Return whether two arrays have the same bits, except for those of NaN."""
    same = made == found
    if made.dtype.kind == "f":
        same = (same & (np.signbit(made) == np.signbit(found))) | (np.isnan(made) & np.isnan(found))
    return made.dtype == found.dtype and bool(np.all(same))


def address(array: np.ndarray) -> int:
    """Return the address of the first number of an array."""
    return array.__array_interface__["data"][0]

"""Run an elementwise function as written until compiling it pays, then as a program.

Both give the same bits, so results do not depend on when the background thread has finished the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

from anynet.arrays import background, fallbacks
from anynet.arrays.programs import Layout, Program, Scratch, address, has_calls, layout
from anynet.arrays.symbols import trace

LARGE = 2**14
"""Numbers of an array from which a program is faster than the calls of NumPy that it replaces."""
SMALL = 2**8
"""Numbers of an array from which a program of one loop can be faster in a replayed step, where a call of it takes 2 µs."""
CALL = 2**12
"""Numbers that an operation of NumPy computes in the time that calling it takes."""
WORTHWHILE = 0.02
"""Seconds that a function must have taken before it is compiled, about as many as compiling it takes from the main thread."""
MAX_SIGNATURES = 64


class Pending:
    """A program that is compiled in the background once that pays.

    Attributes
    ----------
    program : Program or None
        The program, once it is compiled and verified.
    """

    def __init__(self, name: str, make: Callable[[], Program]) -> None:
        self.program: Program | None = None
        self._name, self._make = name, make
        self._spent, self._is_submitted = 0.0, False

    def spend(self, seconds: float) -> None:
        """Add to the time spent without the program."""
        self._spent += seconds
        if self._spent > WORTHWHILE and not self._is_submitted and is_available():
            self._is_submitted = True
            background.submit(self._compile)

    def _compile(self) -> None:
        try:
            self.program = self._make()
        except (ImportError, OSError, RuntimeError) as error:  # of llvmlite
            fallbacks.note(f"{self._name} compiled on NumPy", error)
        except Exception:  # a function may use anything, and each missing thing has its own error
            return


def is_available() -> bool:
    """Return whether llvmlite, the extra ``fast``, is installed."""
    return find_spec("llvmlite") is not None


class Elementwise:
    """An elementwise function of NumPy arrays and Python numbers.

    Attributes
    ----------
    function : callable
        The function as written.
    pending : dict
        Programs by how their arguments change along rows and columns, and by dtypes and numbers.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._known: dict[Any, Any] = {}
        self.pending: dict[Any, Pending] = {}

    def __call__(self, first: Any, *rest: Any) -> Any:
        if first.size < LARGE:
            return self.function(first, *rest)
        for arg in rest:
            if hasattr(type(arg), "apply_fused"):  # an array that records operations
                return type(arg).apply_fused(self, first, *rest)
        known = self.find((first, *rest))
        if known is None:
            return self.function(first, *rest)
        place, pending = known
        if pending.program is None:
            return self._timed(pending, (first, *rest))
        outs = [np.empty(place.shape, dtype) for dtype in pending.program.dtypes]
        _run(pending.program, place, (first, *rest), outs)
        return tuple(outs) if pending.program.returns_tuple else outs[0]

    def results(self, *args: Any) -> tuple[list[tuple[tuple[int, ...], np.dtype]], bool] | None:
        """Return what a program would compute, or None if none can.

        These are the shapes and dtypes of the results, and whether they are a tuple.
        """
        if args[0].size < SMALL or not is_available():
            return None
        known = self.find(args)
        if known is None:
            return None
        try:
            formula = trace(self.function, [a.dtype if _is_array(a) else a for a in args])
        except Exception:
            return None
        work = len(formula.operations) * (args[0].size + CALL)
        if args[0].size < LARGE and (work < 2 * LARGE or has_calls(formula)):
            return None
        return [(known[0].shape, formula.dtype(i)) for i in formula.results], formula.returns_tuple

    def write(self, outs: Sequence[np.ndarray], args: Sequence[Any]) -> None:
        """Compute the results into arrays in row-major order."""
        known = self.find(args)
        if known is not None and known[1].program is not None:
            _run(known[1].program, known[0], args, outs)
            return
        made = self.function(*args) if known is None else self._timed(known[1], args)
        for out, result in zip(outs, made if isinstance(made, tuple) else (made,), strict=True):
            out[...] = result

    def bind(
        self, outs: Sequence[np.ndarray], args: Sequence[Any], dynamic: Sequence[int], scratch: Scratch
    ) -> Callable[..., None]:
        """Return `write` as a function of the arguments at the positions `dynamic`.

        These are arrays of one number. The others and the results remain the same arrays, whose addresses are found once.
        """
        return _BoundCall(self, outs, args, dynamic, scratch)

    def _timed(self, pending: Pending, args: Sequence[Any]) -> Any:
        """Return the results of the function as written, and add its time to that spent without a program."""
        start = perf_counter()
        made = self.function(*args)
        pending.spend(perf_counter() - start)
        return made

    def find(self, args: Sequence[Any]) -> tuple[Layout, Pending] | None:
        """Return the layout of arguments and their program.

        It is None if they need the function as written.
        """
        key = tuple([(a.shape, a.dtype) if _is_array(a) else (type(a), str(a)) for a in args])
        known = self._known.get(key, ())
        if known == ():  # other threads may clear the dict at any time
            if len(self._known) >= MAX_SIGNATURES:
                self._known.clear()
            known = self._known[key] = self._describe(args)
        flags = [a.flags for a in args if type(a) is np.ndarray]
        if not known or not all(flag.c_contiguous and flag.aligned for flag in flags):
            return None
        return known if "raise" not in np.geterr().values() else None

    def _describe(self, args: Sequence[Any]) -> tuple[Layout, Pending] | None:
        if not all(_is_array(a) or type(a) in (int, float) for a in args):
            return None
        place = layout([a.shape for a in args if _is_array(a)])
        if place is None:
            return None
        arguments = [a.dtype if _is_array(a) else a for a in args]
        key = place.changes, tuple([(type(a), str(a)) for a in arguments])
        pending = self.pending.get(key)
        if pending is None:
            if len(self.pending) >= MAX_SIGNATURES:
                return None

            def make() -> Program:
                return Program(self.function, arguments, place.changes)

            pending = self.pending[key] = Pending(self.function.__name__, make)
        return place, pending


class _BoundCall:
    def __init__(
        self,
        function: Elementwise,
        outs: Sequence[np.ndarray],
        args: Sequence[Any],
        dynamic: Sequence[int],
        scratch: Scratch,
    ) -> None:
        self._function, self._outs, self._args, self._dynamic = function, outs, args, dynamic
        self._scratch = scratch
        self._calls: list[Callable[[], Any]] = []
        """The calls of the program, once it is compiled."""
        self._cells: list[Any] = []
        """The values that the calls use for the dynamic arguments."""
        self._reread: list[tuple[Any, np.ndarray]] = []
        """The values that they use for other arrays of one number, and these arrays."""

    def __call__(self, *values: Any) -> None:
        if not self._calls or "raise" in np.geterr().values():
            self._write(values)
            return
        for cell, value in zip(self._cells, values, strict=True):
            cell.value = value.item()
        for cell, array in self._reread:
            cell.value = array.item()
        for call in self._calls:
            call()

    def _write(self, values: Sequence[Any]) -> None:
        args = list(self._args)
        for position, value in zip(self._dynamic, values, strict=True):
            args[position] = value
        self._function.write(self._outs, args)
        known = self._function.find(args)
        if known is not None and known[1].program is not None:
            self._prepare(known[0], known[1].program, args)

    def _prepare(self, place: Layout, program: Program, args: Sequence[Any]) -> None:
        arguments: list[Any] = []
        cells: dict[int, Any] = {}
        positions = [position for position, arg in enumerate(args) if _is_array(arg)]
        for position, cell in zip(positions, program.cells(), strict=True):
            arguments.append(address(args[position]) if cell is None else cell)
            cells[position] = cell
        if any(cells[position] is None for position in self._dynamic):
            return
        self._cells = [cells.pop(position) for position in self._dynamic]
        self._reread = [(cell, args[position]) for position, cell in cells.items() if cell is not None]
        outs = [*map(address, self._outs)]
        calls = program.calls(place.rows, place.columns, arguments, outs, self._scratch)
        self._calls = [partial(function, *given) for function, given in calls]


def _is_array(value: Any) -> bool:
    return type(value) is np.ndarray or isinstance(value, np.generic)


def _run(program: Program, place: Layout, args: Sequence[Any], outs: Sequence[np.ndarray]) -> None:
    arrays = [np.asarray(a) for a in args if _is_array(a)]  # of scalars; they must live until the end
    program.run(place.rows, place.columns, program.arguments(arrays), [*map(address, outs)])

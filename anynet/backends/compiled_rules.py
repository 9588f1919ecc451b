"""Run update rules in tiles, and as compiled loops once compiling them pays.

A compiled rule gives NumPy's results bit for bit (`anynet.arrays.llvm`), and coefficients are converted to the arrays' dtype.
Results therefore do not depend on whether or when a rule is compiled. A program reads memory by address: rows whose arrays
differ in dtype or size, such as a float64 gradient of float32 parameters, run in tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from anynet.arrays.compiling import Pending
from anynet.arrays.programs import Program, address
from anynet.backends.tiled_rules import run_tiled, write_back

Rows = Sequence[tuple[Any, ...]]


class CompiledRule:
    """``run(rows, coefficients)`` of an update rule, which updates rows ``(p, g, *slots)`` in place."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self._rule, self._tiled = rule, run_tiled(rule)
        self._pending: dict[Any, Pending] = {}

    def __call__(self, rows: Rows, coefficients: tuple[Any, ...]) -> None:
        # np.float64 would promote float32 in tiles
        coefficients = tuple([float(c) if type(c) is np.float64 else c for c in coefficients])
        if not _are_alike(rows):
            self._tiled(rows, coefficients)
            return
        dtype = rows[0][0].dtype
        pending = self._pending.get((dtype, len(rows[0]))) or self._prepare(dtype, len(rows[0]), len(coefficients))
        if pending.program is None:
            began = perf_counter()
            self._tiled(rows, coefficients)
            pending.spend(perf_counter() - began)
            return
        for row in rows:
            flat = [array.reshape(-1) for array in row]
            pending.program.run(1, row[0].size, [*map(address, flat), *coefficients], ())
            write_back(row, flat)

    def bind(self, rows: Rows) -> Callable[[tuple[Any, ...]], None]:
        """Return the update as a function of the coefficients, for rows of fixed arrays."""
        if not (_are_alike(rows) and all(array.flags.c_contiguous for row in rows for array in row)):
            return partial(self, rows)
        places = [(row[0].size, [*map(address, row)]) for row in rows]
        key = rows[0][0].dtype, len(rows[0])

        def run(coefficients: tuple[Any, ...]) -> None:
            pending = self._pending.get(key)
            if pending is None or pending.program is None:
                self(rows, coefficients)
                return
            for size, addresses in places:
                pending.program.run(1, size, [*addresses, *coefficients], ())

        return run

    def is_compiled(self, rows: Rows) -> bool:
        """Return whether the rule is compiled for rows like these."""
        pending = self._pending.get((rows[0][0].dtype, len(rows[0])))
        return pending is not None and pending.program is not None

    def _prepare(self, dtype: np.dtype, width: int, coefficients: int) -> Pending:
        key = dtype, width
        self._pending[key] = Pending(
            f"update rule {self._rule.__name__}", lambda: compile_rule(self._rule, dtype, width - 2, coefficients)
        )
        return self._pending[key]


def _are_alike(rows: Rows) -> bool:
    """Return whether all arrays have one dtype, those of a row one size, and their addresses fit the dtype."""
    dtype = rows[0][0].dtype
    for row in rows:
        size = row[0].size
        for array in row:
            if array.dtype != dtype or array.size != size or not array.flags.aligned:
                return False
    return True


def compile_rule(rule: Callable[..., Any], dtype: np.dtype, slots: int, coefficients: int) -> Program:
    """Return the program of a rule, which overwrites parameters and slots."""
    width = 2 + slots
    changes = [(True, True)] * width + [(False, False)] * coefficients
    targets = [0, *range(2, width)]
    return Program(rule, [dtype] * (width + coefficients), changes, targets)

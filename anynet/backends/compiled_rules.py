"""Run update rules in tiles, and as compiled loops once compiling them pays.

A compiled rule gives NumPy's results bit for bit (`anynet.arrays.llvm`), and coefficients are converted to the arrays' dtype.
Results therefore do not depend on whether or when a rule is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any
from weakref import ref

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
        self._last: tuple[list[Any], list[int]] = [], []
        """Weak references to the arrays of the last row, and their addresses."""

    def __call__(self, rows: Rows, coefficients: tuple[Any, ...]) -> None:
        dtype = rows[0][0].dtype
        pending = self._pending.get((dtype, len(rows[0]))) or self._prepare(dtype, len(rows[0]), len(coefficients))
        if pending.program is None:
            began = perf_counter()
            self._tiled(rows, coefficients)
            pending.spend(perf_counter() - began)
            return
        for row in rows:
            addresses = self._addresses(row)
            if addresses is not None:
                pending.program.run(1, row[0].size, [*addresses, *coefficients], ())
            else:
                flat = [array.reshape(-1) for array in row]
                pending.program.run(1, row[0].size, [*map(address, flat), *coefficients], ())
                write_back(row, flat)

    def _addresses(self, row: Sequence[np.ndarray]) -> list[int] | None:
        """Return the addresses of arrays, or None unless all are contiguous.

        A replayed step passes the same arrays each time, and comparing them takes a fifth of the time.
        """
        references, addresses = self._last
        if len(references) != len(row) or not all([known() is a for known, a in zip(references, row, strict=True)]):  # noqa: C419
            if not all(array.flags.c_contiguous for array in row):
                return None
            references, addresses = self._last = [ref(array) for array in row], [*map(address, row)]
        return addresses

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


def compile_rule(rule: Callable[..., Any], dtype: np.dtype, slots: int, coefficients: int) -> Program:
    """Return the program of a rule, which overwrites parameters and slots."""
    width = 2 + slots
    changes = [(True, True)] * width + [(False, False)] * coefficients
    targets = [0, *range(2, width)]
    return Program(rule, [dtype] * (width + coefficients), changes, targets)

"""Update rules compiled by numba into one pass over memory: read each number once, write it once, no temporaries.

The compiled rule gives bit for bit what NumPy gives: without `fastmath` nothing is reassociated or contracted, and
coefficients enter in the arrays' dtype. So it makes no difference to a result when, or whether, it takes over. With
``error_model="numpy"`` a division has no branch, and the loop vectorises.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from anynet.arrays import elementwise
from anynet.backends.tiled_rules import write_back


@cache
def numba() -> ModuleType | None:
    """Return numba, taught the functions that a rule may use, or None where it is not installed."""
    try:
        import numba
        from numba.extending import overload
    except ImportError:
        return None
    overload(elementwise.sqrt)(lambda x: lambda x: np.sqrt(x))
    overload(elementwise.maximum)(lambda x, y: lambda x, y: np.maximum(x, y))
    return numba


@cache
def compile_rule(rule: Callable[..., Any], slots: int) -> Callable[..., Any]:
    """Return ``run(rows, coefficients)``, which changes parameters and slots in place in one pass.

    The machine code is kept on disk under the rule's name and source, so a later process only reads it.
    """
    library = numba()
    assert library is not None
    library.extending.register_jitable(rule)
    version = zlib.crc32((inspect.getsource(rule) + inspect.getsource(elementwise)).encode())
    loop = _LOOPS[slots](rule, version)
    try:
        kernel = library.njit(loop, error_model="numpy", cache=True)
    except RuntimeError:  # nowhere to write: every process compiles for itself
        kernel = library.njit(loop, error_model="numpy")

    def run(rows: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
        number = rows[0][0].dtype.type
        typed = tuple([number(c) for c in coefficients])
        for row in rows:
            flat = [array.reshape(-1) for array in row]
            kernel(*flat, typed)
            write_back(row, flat)

    return run


# One loop for each number of slots. `version` stands in them to be part of the key under which numba keeps the code.


def _loop0(rule: Callable[..., Any], version: int) -> Callable[..., Any]:
    def loop(p, g, coefficients):
        version  # noqa: B018
        for i in range(p.size):
            (p[i],) = rule(p[i], g[i], *coefficients)

    return loop


def _loop1(rule: Callable[..., Any], version: int) -> Callable[..., Any]:
    def loop(p, g, a, coefficients):
        version  # noqa: B018
        for i in range(p.size):
            p[i], a[i] = rule(p[i], g[i], a[i], *coefficients)

    return loop


def _loop2(rule: Callable[..., Any], version: int) -> Callable[..., Any]:
    def loop(p, g, a, b, coefficients):
        version  # noqa: B018
        for i in range(p.size):
            p[i], a[i], b[i] = rule(p[i], g[i], a[i], b[i], *coefficients)

    return loop


def _loop3(rule: Callable[..., Any], version: int) -> Callable[..., Any]:
    def loop(p, g, a, b, c, coefficients):
        version  # noqa: B018
        for i in range(p.size):
            p[i], a[i], b[i], c[i] = rule(p[i], g[i], a[i], b[i], c[i], *coefficients)

    return loop


_LOOPS = (_loop0, _loop1, _loop2, _loop3)

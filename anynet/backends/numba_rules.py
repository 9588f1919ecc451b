"""Compile update rules with numba into one pass over memory, without temporaries.

A compiled rule gives NumPy's results bit for bit: without `fastmath` nothing is reassociated or contracted, and
coefficients are converted to the arrays' dtype. Results therefore do not depend on whether or when a rule is compiled. With
``error_model="numpy"`` a division has no branch, and the loop vectorizes.
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
    """Return numba with overloads of the functions in rules, or None without numba."""
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
    """Return ``run(rows, coefficients)``, which updates parameters and slots in place in one pass.

    Machine code is cached on disk under the rule's name and source, so later processes only load it.
    """
    library = numba()
    assert library is not None
    library.extending.register_jitable(rule)
    version = zlib.crc32((inspect.getsource(rule) + inspect.getsource(elementwise)).encode())
    loop = _LOOPS[slots](rule, version)
    try:
        kernel = library.njit(loop, error_model="numpy", cache=True)
    except RuntimeError:  # no writable cache: each process compiles
        kernel = library.njit(loop, error_model="numpy")

    def run(rows: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
        number = rows[0][0].dtype.type
        typed = tuple([number(c) for c in coefficients])
        for row in rows:
            flat = [array.reshape(-1) for array in row]
            kernel(*flat, typed)
            write_back(row, flat)

    return run


# One loop per number of slots. `version` is a closure variable, which makes it part of numba's cache key.


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

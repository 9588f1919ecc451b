"""The NumPy operations that can be traced, and the functions that replay them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from anynet.arrays.compiling import Elementwise
from anynet.arrays.products import matmul
from anynet.arrays.symbols import OPERATORS

_NAMES = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
bitwise_right_shift bitwise_xor ceil clip copysign cos cosh divide equal exp expm1 floor floor_divide greater
greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow reciprocal remainder round
sign signbit sin sinh sqrt square subtract tan tanh trunc where

all any argmax argmin count_nonzero cumulative_prod cumulative_sum diff max mean min prod std sum var
argsort searchsorted sort take take_along_axis

asarray astype broadcast_to can_cast full_like ones_like result_type zeros_like
concat expand_dims flip matrix_transpose moveaxis permute_dims reshape roll squeeze stack tile tril triu
matmul scatter_add tensordot vecdot
"""
TRACEABLE_FUNCTIONS = frozenset(_NAMES.split())
"""Functions whose result shapes and dtypes follow from the shapes and dtypes of their arguments. Others end a trace."""

UFUNCS: dict[Callable[..., Any], np.ufunc] = OPERATORS | {
    operator.floordiv: np.floor_divide,
    operator.mod: np.remainder,
    operator.matmul: np.matmul,
}
"""Ufuncs that operators call for arrays with axes."""

REDUCTIONS = {compat.sum: np.add.reduce, compat.max: np.maximum.reduce, compat.min: np.minimum.reduce}
"""Methods of ufuncs that compute the same floating-point reductions without NumPy's Python code."""


def out_function(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any] | None:
    """Return a function that writes the same result into its argument `out`, or None."""
    if function in REDUCTIONS.values():
        return function
    if options:
        return None
    if function is compat.astype:
        return _cast
    if function is matmul:
        return matmul
    if function is np.empty:  # an array that a later node writes to
        return _keep
    return UFUNCS.get(function, function if isinstance(function, np.ufunc) else None)


def _cast(x: np.ndarray, dtype: Any, out: np.ndarray) -> None:
    np.copyto(out, x, casting="unsafe")


def _keep(shape: tuple[int, ...], dtype: np.dtype, out: np.ndarray) -> None:
    """Leave a buffer unchanged."""


def is_product(function: Callable[..., Any]) -> bool:
    """Return whether a function is a matrix product, which may run on several cores."""
    return function in (operator.matmul, np.matmul, matmul)


class UpdateRows:
    """Run an update rule over rows ``(p, g, *slots)``, given as separate arrays and coefficients."""

    def __init__(self, run: Callable[..., None], rows: int, width: int) -> None:
        self.run, self.rows, self.width = run, rows, width

    def __call__(self, *args: Any) -> None:
        width, end = self.width, self.rows * self.width
        self.run([args[i : i + width] for i in range(0, end, width)], args[end:])


class FusedCall:
    """Run an elementwise function on the arrays to write and its arguments."""

    def __init__(self, function: Elementwise, results: int) -> None:
        self.function, self.results = function, results

    def __call__(self, *args: Any) -> None:
        self.function.write(args[: self.results], args[self.results :])

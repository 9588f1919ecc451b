"""The NumPy operations that can be traced, and the functions that replay them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from anynet.arrays.compiling import Elementwise
from anynet.arrays.products import is_large, matmul
from anynet.arrays.programs import Scratch
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


def quick(function: Callable[..., Any], values: Sequence[Any], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a function and options that compute the same without NumPy's Python code, where possible."""
    if function in REDUCTIONS:
        if len(values) == 1 and options.keys() <= {"axis", "keepdims"} and values[0].dtype.kind == "f":
            return REDUCTIONS[function], {"axis": None, **options}
    elif function is matmul:
        if not is_large(*values):
            return np.matmul, options
    elif function is np.take_along_axis and options in ({"axis": 1}, {"axis": -1}):
        x, indices = values
        if x.ndim == indices.ndim == 2 and len(x) == len(indices):
            return _take_in_rows, options
    return function, options


class Concatenation:
    """Concatenate arrays, given as separate arguments."""

    def __call__(self, *parts: Any, axis: int = 0, out: Any = None) -> Any:
        return np.concatenate(parts, axis=axis, out=out)


def out_function(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any] | None:
    """Return a function that writes the same result into its argument `out`, or None."""
    if function in REDUCTIONS.values() or isinstance(function, Concatenation):
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


def _take_in_rows(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """Return `np.take_along_axis` of two matrices along the last axis, which takes three times as long."""
    return x[np.arange(len(x))[:, None], indices]


def _cast(x: np.ndarray, dtype: Any, out: np.ndarray) -> None:
    np.copyto(out, x, casting="unsafe")


def _keep(shape: tuple[int, ...], dtype: np.dtype, out: np.ndarray) -> None:
    """Leave a buffer unchanged."""


def is_kept(function: Callable[..., Any]) -> bool:
    """Return whether a function with an argument `out` does nothing."""
    return function is _keep


def is_product(function: Callable[..., Any]) -> bool:
    """Return whether a function is a matrix product, which may run on several cores."""
    return function in (operator.matmul, np.matmul, matmul)


class UpdateRows:
    """Run an update rule over rows ``(p, g, *slots)``, given as separate arrays and coefficients."""

    def __init__(self, run: Callable[..., None], rows: int, width: int) -> None:
        self.run, self.rows, self.width = run, rows, width

    def __call__(self, *args: Any) -> None:
        end = self.rows * self.width
        self.run(self.split(args[:end]), args[end:])

    def split(self, arrays: Sequence[Any]) -> list[Sequence[Any]]:
        """Return the rows of consecutive arrays."""
        return [arrays[i : i + self.width] for i in range(0, len(arrays), self.width)]

    def bind(self, arrays: Sequence[Any]) -> Callable[[tuple[Any, ...]], None]:
        """Return the update as a function of its coefficients, for rows of fixed arrays."""
        rows = self.split(arrays)
        bind: Callable[..., Callable[[tuple[Any, ...]], None]] = getattr(self.run, "bind", partial(partial, self.run))
        return bind(rows)


class FusedCall:
    """Run an elementwise function on the arrays to write and its arguments."""

    def __init__(self, function: Elementwise, results: int) -> None:
        self.function, self.results = function, results

    def __call__(self, *args: Any) -> None:
        self.function.write(args[: self.results], args[self.results :])

    def bind(self, values: Sequence[Any], dynamic: Sequence[int], scratch: Scratch) -> Callable[..., None]:
        """Return the call as a function of the arguments at `dynamic` positions; others are fixed."""
        outs, args = values[: self.results], values[self.results :]
        return self.function.bind(outs, args, [position - self.results for position in dynamic], scratch)

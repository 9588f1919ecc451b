"""Sums of 16-bit numbers, accumulated in float32.

A running sum stops growing once it is 2048 times as large as the next summand in float16, 256 times in bfloat16. PyTorch and
JAX accumulate sums in float32, NumPy does not, and the standard allows either; the `mean` of every library accumulates in
float32. In float32 and float64 these functions change no number and make no copy.

>>> import numpy as np
>>> ones = np.ones((4096, 2), dtype=np.float16)
>>> np.sum(ones, axis=0).tolist(), total(ones, axis=0).tolist()
([2048.0, 2048.0], [4096.0, 4096.0])
"""

from __future__ import annotations

from typing import Any

from anynet.arrays.namespace import Array, namespace

_halves: dict[tuple[type, Any], bool] = {}


def is_half(dtype: Any) -> bool:
    """Return whether a dtype of any library is a 16-bit floating-point type."""
    key = type(dtype), dtype  # array-api-strict's dtypes cannot be compared with NumPy's
    known = _halves.get(key)
    if known is None:
        known = _halves[key] = str(dtype).rpartition(".")[2] in ("float16", "bfloat16")
    return known


def total(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the sum over axes, in the dtype of `x`."""
    xp = namespace(x)
    if not is_half(x.dtype):
        return xp.sum(x, axis=axis, keepdims=keepdims)
    return xp.astype(xp.sum(x, axis=axis, dtype=xp.float32, keepdims=keepdims), x.dtype)


def widened(x: Array) -> Array:
    """Convert 16-bit numbers to float32; return others unchanged."""
    return namespace(x).astype(x, namespace(x).float32) if is_half(x.dtype) else x


def narrowed(x: Array, dtype: Any) -> Array:
    """Convert a result computed from `widened` numbers back to their 16-bit dtype."""
    return namespace(x).astype(x, dtype) if is_half(dtype) and x.dtype != dtype else x

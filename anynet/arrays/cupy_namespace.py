"""The array API namespace of CuPy: array-api-compat's, except functions that wait for the device or launch several kernels."""

from __future__ import annotations

import math
from typing import Any

import cupy
from array_api_compat import cupy as _compat

globals().update({name: getattr(_compat, name) for name in (*_compat.__all__, "__array_namespace_info__")})


@cupy.fuse(kernel_name="sign")
def sign(x: Any, /) -> Any:
    """Return −1, 0 or 1, and NaN for NaN, in one kernel.

    ``cupy.sign`` of NaN is 0. array-api-compat corrects this with a boolean mask, which waits for the device.
    """
    return cupy.where(x == x, cupy.sign(x), x)


_take = cupy.ElementwiseKernel(
    "raw T x, S index, int64 length, int64 inner, int64 taken",
    "T y",
    """
    const long long at = (index % length + length) % length;  // always inside x, as in cupy.take
    y = x[(i / (taken * inner) * length + at) * inner + i % inner]
    """,
    "anynet_take_along_axis",
)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """Return the elements of `x` at indices along an axis, in one kernel; ``cupy.take_along_axis`` launches five."""
    axis %= x.ndim
    lead, rest = x.shape[:axis], x.shape[axis + 1 :]
    if indices.shape[:axis] != lead or indices.shape[axis + 1 :] != rest:
        return cupy.take_along_axis(x, indices, axis)
    return _take(x, indices, x.shape[axis], math.prod(rest), indices.shape[axis])

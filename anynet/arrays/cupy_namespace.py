"""The array API namespace of CuPy.

It is that of array-api-compat, except for functions that wait for the device or launch several kernels."""

from __future__ import annotations

from typing import Any

import cupy
from array_api_compat import cupy as _compat

globals().update({name: getattr(_compat, name) for name in (*_compat.__all__, "__array_namespace_info__")})

from anynet.arrays.cupy_kernels import (  # noqa: E402  # they replace functions of the same name
    PATCH_ELEMENTS as PATCH_ELEMENTS,
    matmul as matmul,
    overlap_add_2d as overlap_add_2d,
    patch_gatherer as patch_gatherer,
    take_along_axis as take_along_axis,
)


@cupy.fuse(kernel_name="sign")
def sign(x: Any, /) -> Any:
    """Return −1, 0 or 1, and NaN for NaN, in one kernel.

    ``cupy.sign`` of NaN is 0. array-api-compat corrects this with a boolean mask, which waits for the device.
    """
    return cupy.where(x == x, cupy.sign(x), x)

"""The array API namespace of CuPy.

It is that of array-api-compat, except for functions that wait for the device or launch several kernels."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import cupy
import numpy as np
from array_api_compat import cupy as _compat

globals().update({name: getattr(_compat, name) for name in (*_compat.__all__, "__array_namespace_info__")})

from anynet.arrays.cupy_kernels import (  # noqa: E402  # they replace functions of the same name
    MAX_CONSTANT_BYTES,
    PATCH_ELEMENTS as PATCH_ELEMENTS,
    constant,
    matmul as matmul,
    overlap_add_2d as overlap_add_2d,
    patch_gatherer as patch_gatherer,
    take_along_axis as take_along_axis,
)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, **options: Any) -> Any:
    """Return an array; a kernel writes a few numbers of the host, without an upload."""
    is_host = isinstance(obj, np.ndarray) or (isinstance(obj, (tuple, list)) and {*map(type, obj)} <= {int, float})
    host = np.asarray(obj, dtype) if is_host and dtype is not None and not options else None
    if host is None or not 0 < host.nbytes <= MAX_CONSTANT_BYTES:
        return _compat.asarray(obj, dtype=dtype, device=device, **options)
    with device or nullcontext():
        return constant(host)


@cupy.fuse(kernel_name="sign")
def sign(x: Any, /) -> Any:
    """Return −1, 0 or 1, and NaN for NaN, in one kernel.

    ``cupy.sign`` of NaN is 0. array-api-compat corrects this with a boolean mask, which waits for the device.
    """
    return cupy.where(x == x, cupy.sign(x), x)

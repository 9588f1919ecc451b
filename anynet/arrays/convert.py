"""Move arrays of any library to the host, and change their shapes, without a backend."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import device, is_cupy_array, is_jax_array, is_torch_array

from anynet.arrays.namespace import Array, namespace


def library_of(x: Any) -> str:
    """Return the name of an array's backend; ``"numpy"`` for lists and other values.

    Examples
    --------
    >>> library_of([1.0, 2.0])
    'numpy'
    """
    if is_torch_array(x):
        return "torch"
    if is_cupy_array(x):
        return "cupy"
    if is_jax_array(x):
        return "jax"
    return "strict" if type(x).__module__.partition(".")[0] == "array_api_strict" else "numpy"


CUDA_DEVICES = (2, 13)
"""Kinds of devices of DLPack: memory of an NVIDIA GPU, and memory managed by CUDA."""


def is_on_gpu(x: Any) -> bool:
    """Return whether an array is on an NVIDIA GPU and can be shared by DLPack."""
    find = getattr(x, "__dlpack_device__", None)
    try:
        return find is not None and find()[0] in CUDA_DEVICES
    except Exception:  # an array that cannot be shared, such as a sparse one; each library has its own error
        return False


def to_numpy(x: Any) -> np.ndarray:
    """Convert an array of any library, data frame or nested list to NumPy."""
    if isinstance(x, np.ndarray):
        return x
    library = library_of(x)
    if library == "torch":
        return x.detach().cpu().numpy()
    if library == "cupy":
        return x.get()
    if library == "strict":
        x = x.to_device(x.__array_namespace__().Device("CPU_DEVICE"))
    return np.asarray(x)


def empty_like(x: Array) -> Array:
    """Return an array without elements that carries the shape of x after its first axis."""
    # A cache holds arrays only: ints do not survive a jit. A slice of x would keep all of x in memory.
    return namespace(x).zeros((0, *x.shape[1:]), dtype=x.dtype, device=device(x))


def as_rows(x: Array) -> Array:
    """Return x (..., I) as a matrix of rows (M, I)."""
    return x if len(x.shape) == 2 else namespace(x).reshape(x, (-1, x.shape[-1]))

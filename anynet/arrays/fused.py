"""Elementwise functions that run as one kernel where each operation would otherwise be one.

On a GPU the launch of a kernel takes longer than the work on a small array. CuPy compiles a fused function on its first call
for each combination of dtypes. On a CPU each operation on a large array streams it through memory; for NumPy arrays, LLVM
compiles the function if the extra ``fast`` is installed. On other libraries the function runs as written. On NumPy, results have
the same bits as without the decorator.

>>> import numpy as np
>>> @fused
... def affine(x, w, b):
...     return x * w + b
>>> affine(np.array([1.0, 2.0]), np.array(3.0), np.array(0.5)).tolist()
[3.5, 6.5]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np
from array_api_compat import is_cupy_array

from anynet.arrays.compiling import Elementwise

F = TypeVar("F", bound=Callable[..., Any])


def fused(function: F) -> F:
    """Run a function of positional arrays that broadcast as one kernel where possible.

    The function may use operators, elementwise functions of the standard and Python numbers, but no reduction and no index. It
    returns an array or a tuple of arrays. A Python number among the arguments takes the dtype of the first array
    if that has numbers of its kind.
    """
    on_numpy = Elementwise(function)
    by_type: dict[type, Callable[..., Any]] = {np.ndarray: on_numpy}

    def choose(first: Any) -> Callable[..., Any]:
        if is_cupy_array(first):
            return _compiled(function)
        if hasattr(type(first), "apply_fused"):  # an array that records operations
            return partial(type(first).apply_fused, on_numpy)
        return function

    @wraps(function)
    def run(first: Any, *rest: Any) -> Any:
        chosen = by_type.get(type(first))
        if chosen is None:
            chosen = by_type[type(first)] = choose(first)
        return chosen(first, *rest)

    return run  # type: ignore[return-value]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import cupy

    kernel = cupy.fuse(kernel_name="anynet_" + function.__name__.strip("_"))(function)

    def run(first: Any, *rest: Any) -> Any:
        # A Python number would have 64 bits in the kernel, and promote every number that it meets.
        kind = float if first.dtype.kind == "f" else int
        return kernel(first, *[first.dtype.type(x) if type(x) is kind else x for x in rest])

    return run


@fused
def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Return weight · x + bias."""
    return weight * x + bias

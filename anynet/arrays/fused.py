"""Elementwise functions that run as one kernel where each operation would otherwise launch its own.

On a GPU the launch of a kernel takes longer than the work on a small array. CuPy compiles a fused function on its first call
for each combination of dtypes; on other libraries the function runs as written, and gives the same bits as without the
decorator.

>>> import numpy as np
>>> @fused
... def affine(x, w, b):
...     return x * w + b
>>> affine(np.array([1.0, 2.0]), np.array(3.0), np.array(0.5)).tolist()
[3.5, 6.5]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from array_api_compat import is_cupy_array

F = TypeVar("F", bound=Callable[..., Any])


def fused(function: F) -> F:
    """Run a function of positional arrays that broadcast as one kernel on CuPy.

    The function may use operators, elementwise functions of the standard and Python numbers, but no reduction and no index. It
    returns an array or a tuple of arrays. A Python number among the arguments takes the dtype of the first array
    if that has numbers of its kind.
    """
    by_type: dict[type, Callable[..., Any]] = {}

    @wraps(function)
    def run(first: Any, *rest: Any) -> Any:
        chosen = by_type.get(type(first))
        if chosen is None:
            chosen = by_type[type(first)] = _compiled(function) if is_cupy_array(first) else function
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

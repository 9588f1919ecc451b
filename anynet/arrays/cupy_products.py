"""Matrix products of CuPy, which a CUDA graph records through another function.

CuPy refuses to compute products while it records a graph. `matmul` of its namespace therefore calls this one, and the recording
thread replaces it for as long as it records.

>>> import numpy as np
>>> a, b = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
>>> matmul(a, b)
array([[11.]])
>>> with replaced_by(lambda a, b: "recorded"):
...     matmul(a, b)
'recorded'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

_thread = local()


def matmul(a: Any, b: Any) -> Any:
    """Return the product of two matrices, or of two stacks of matrices."""
    replacement = getattr(_thread, "matmul", None)
    return a @ b if replacement is None else replacement(a, b)


@contextmanager
def replaced_by(function: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Compute the products of this thread by another function."""
    before = getattr(_thread, "matmul", None)
    _thread.matmul = function
    try:
        yield
    finally:
        _thread.matmul = before

"""Functions for update rules that every array library supports.

A rule contains no literal numbers, not even 1: in the kernel that CuPy compiles for one float32 element, a literal would promote
the expression to float64. Derived numbers such as 1 − β are passed as coefficients.
"""

from __future__ import annotations

from anynet.arrays.namespace import Array, namespace


def sqrt(x: Array) -> Array:
    """Return the elementwise square root."""
    return namespace(x).sqrt(x)


def maximum(x: Array, y: Array) -> Array:
    """Return the elementwise maximum."""
    return namespace(x).maximum(x, y)

"""What an update rule may use beside operators: functions that every array library and numba take alike.

A rule writes no number of its own either, not even 1: compiled for a single float32 element, a literal would make the whole
expression float64. Derived numbers, 1 − β say, come as coefficients.
"""

from __future__ import annotations

from anynet.arrays.namespace import Array, namespace


def sqrt(x: Array) -> Array:
    """Return the square root, elementwise."""
    return namespace(x).sqrt(x)


def maximum(x: Array, y: Array) -> Array:
    """Return the larger of two, elementwise."""
    return namespace(x).maximum(x, y)

"""What an update rule may use beside operators: functions that every array library and numba take alike."""

from __future__ import annotations

from anynet.namespace import Array, namespace


def sqrt(x: Array) -> Array:
    """Return the square root, elementwise."""
    return namespace(x).sqrt(x)

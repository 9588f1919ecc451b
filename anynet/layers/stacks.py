"""Products with one matrix per member of an ensemble, or per column of a table.

Legend: N batch, K matrices, I inputs, O outputs.
"""

from __future__ import annotations

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened


def each_matmul(x: Array, weight: Array) -> Array:
    """Return the products (N, K, O) of x (N, K, I) with the matrices (K, I, O)."""
    return _swapped(namespace(x).matmul(_swapped(x), weight))  # (K, N, I) @ (K, I, O)


def each_transposed(x: Array, weight: Array) -> Array:
    """Return the products (N, K, I) of x (N, K, O) with the transposed matrices (K, I, O)."""
    return each_matmul(x, namespace(x).permute_dims(weight, (0, 2, 1)))


def each_gradient(x: Array, dy: Array) -> Array:
    """Return the gradient (K, I, O) of the matrices in ``each_matmul(x, weight)``."""
    xp = namespace(x)
    return xp.matmul(xp.permute_dims(x, (1, 2, 0)), _swapped(dy))  # (K, I, N) @ (K, N, O)


def over_examples(dy: Array, x: Array) -> Array:
    """Return Σ_n dy_n ⊙ x_n."""
    return narrowed(namespace(dy).sum(widened(dy) * x, axis=0), dy.dtype)


def _swapped(x: Array) -> Array:
    """Return x with its first two axes exchanged."""
    return namespace(x).permute_dims(x, (1, 0, 2))

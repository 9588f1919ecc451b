"""Batches of examples from arrays or tuples of arrays.

>>> import numpy as np
>>> data = (np.arange(5), (np.arange(5) * 10, None))
>>> list(batches(data, None, 2, 5, 2))
[(array([2, 3]), (array([20, 30]), None)), (array([4]), (array([40]), None))]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from anynet.arrays.namespace import Array, namespace
from anynet.tree import map_arrays


def slice_batch(data: Sequence[Any], start: int, stop: int) -> tuple[Any, ...]:
    """Return examples `start` to `stop` − 1 of each part, as views."""
    rows = slice(start, stop)
    return tuple([map_arrays(lambda a: a[rows, ...], part) for part in data])


def take_batch(data: Sequence[Any], index: Array) -> tuple[Any, ...]:
    """Return the examples at the given indices of each part."""
    take = namespace(index).take
    return tuple([map_arrays(lambda a: take(a, index, axis=0), part) for part in data])


def batches(data: Sequence[Any], order: Array | None, start: int, stop: int, size: int) -> Iterator[tuple[Any, ...]]:
    """Yield batches of `size` examples, numbers `start` to `stop` − 1 of `order` or of the data."""
    for first in range(start, stop, size):
        last = min(first + size, stop)
        yield slice_batch(data, first, last) if order is None else take_batch(data, order[first:last])

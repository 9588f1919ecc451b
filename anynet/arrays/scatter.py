"""Scatter-add, which the array API standard lacks, with one implementation per library.

The type of the arrays selects the implementation, so a layer needs no backend. The namespace of other types, such as tracers,
may define its own `scatter_add`.

Legend: M indices, V rows, D columns.

>>> import numpy as np
>>> scatter_add(np.array([2, 0, 2]), np.array([[1.0], [10.0], [100.0]]), 3).tolist()
[[10.0], [0.0], [101.0]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import device, is_cupy_array, is_jax_array, is_numpy_array, is_torch_array

from anynet.arrays.namespace import Array, namespace


def scatter_add(index: Any, values: Any, rows: int) -> Any:
    """Add the rows of `values` (M, D) to rows `index` (M,) of zeros (V, D).

    Indices may repeat and are not checked. On a GPU the order of additions may vary, which affects the last digit.
    """
    if is_numpy_array(values):
        return _numpy(index, values, rows)
    if is_torch_array(values):
        return values.new_zeros((rows, values.shape[1])).index_add_(0, index, values)
    xp = namespace(values)
    if is_jax_array(values):
        return xp.zeros((rows, values.shape[1]), dtype=values.dtype, device=device(values)).at[index].add(values)
    if is_cupy_array(values):
        return _cupy(index, values, rows)
    return getattr(xp, "scatter_add", _standard)(index, values, rows)


def _numpy(index: np.ndarray, values: np.ndarray, rows: int) -> np.ndarray:
    """Sort the indices and sum each run of equal ones; `np.add.at` adds one element at a time."""
    total = np.zeros((rows, values.shape[1]), dtype=values.dtype)
    if len(index):
        order = np.argsort(index, kind="stable")
        index = index[order]
        starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
        total[index[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return total


def _cupy(index: Any, values: Any, rows: int) -> Any:
    import cupy

    with values.device:
        total = cupy.zeros((rows, values.shape[1]), dtype=values.dtype)
        cupy.add.at(total, index, values)
    return total


def _standard(index: Array, values: Array, rows: int) -> Array:
    """Multiply by a matrix (V, M) of zeros and ones: correct for any library, but slow."""
    xp = namespace(values)
    row = xp.arange(rows, dtype=index.dtype, device=device(index))
    return xp.astype(row[:, None] == index[None, :], values.dtype) @ values

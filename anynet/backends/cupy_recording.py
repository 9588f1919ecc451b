"""Record training steps in a CUDA graph that reads a table of addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from threading import Lock
from typing import Any

import cupy
import numpy as np

from anynet import tree
from anynet.arrays import cupy_products
from anynet.arrays.cublas import Cublas

ENTRIES = 475
"""Entries of the table that one launch writes; all arguments of a kernel must fit into 4 KiB."""

_lock = Lock()
"""Held while a graph is recorded, because threads share the handle of cuBLAS."""
_cublas = cache(lambda device: Cublas())


class RefusedError(Exception):
    """The reason why a chunk is not run as a graph."""


@dataclass(frozen=True)
class Slot:
    """An entry of the table: the address of an array of some shape and dtype."""

    index: int
    shape: tuple[int, ...]
    dtype: Any

    def accepts(self, array: Any) -> bool:
        """Return whether an array has this shape and dtype."""
        return isinstance(array, cupy.ndarray) and array.shape == self.shape and array.dtype == self.dtype


class Recording:
    """A graph of some steps.

    Parameters
    ----------
    step : callable
    carry, data, order, start, size
        Arguments of a chunk of the kind to record.
    outs : list
        What the steps of that chunk put out.
    max_bytes : int
        Upper bound of the memory of the graph.
    """

    def __init__(
        self,
        step: Callable[..., tuple[Any, Any]],
        carry: Any,
        data: Sequence[Any],
        order: Any,
        start: int,
        size: int,
        outs: Sequence[Any],
        max_bytes: int,
    ) -> None:
        self._step, self._size, self.steps = step, size, len(outs)
        index = count(2)  # after the order and the position of the first batch

        def slot(a: Any) -> Any:
            return Slot(next(index), a.shape, a.dtype) if isinstance(a, cupy.ndarray) else a

        self._data = tree.map_arrays(slot, tuple(data))
        self._carry = tree.map(slot, carry)
        self._out = tree.map(slot, outs[0])
        self._out_slots = [each for each in tree.leaves(self._out) if isinstance(each, Slot)]
        self._pool, self._stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        self._pool.set_limit(size=max(1, max_bytes))
        cupy.cuda.get_current_stream().synchronize()  # the chunk's arrays are ready for another stream
        blas = _cublas(cupy.cuda.runtime.getDevice())
        with _lock, cupy.cuda.using_allocator(self._pool.malloc), self._stream, cupy_products.replaced_by(blas.matmul):
            self._table = cupy.zeros(next(index), "int64")
            self._workspace = cupy.empty(blas.workspace_bytes, "uint8")
            blas.bind(self._stream, self._workspace)
            self._write(tree.leaves(copy_arrays(carry)), data, order, start, self._empty_outs())
            self._take_steps(1)  # loads the kernels of cuBLAS, which is not allowed later
            self._stream.synchronize()
            self._graph = self._capture()
        self.launches = 1 + -(-self._table.size // ENTRIES)
        """Launches from the host per chunk."""
        self.nbytes: int = self._pool.total_bytes()
        """Memory that the graph holds."""

    def _capture(self) -> Any:
        self._stream.begin_capture()
        try:
            self._take_steps(self.steps)
        except BaseException:
            with suppress(Exception):
                self._stream.end_capture()
            raise
        return self._stream.end_capture()

    def run(self, carry: Any, data: Sequence[Any], order: Any, start: int) -> tuple[Any, list[Any]]:
        """Launch the steps; the arrays of the carry are overwritten."""
        leaves, outs = _separate(tree.leaves(carry)), self._empty_outs()
        self._write(leaves, data, order, start, outs)
        self._graph.launch()
        carry = tree.set_leaves(carry, iter(leaves), like=carry)
        return carry, [self._filled([out[i] for out in outs]) for i in range(self.steps)]

    def _filled(self, arrays: list[Any]) -> Any:
        """Return the output of a step from its arrays; other parts are the same in each step."""
        new = iter(arrays)
        return tree.map(lambda each: next(new) if isinstance(each, Slot) else each, self._out)

    def _empty_outs(self) -> list[Any]:
        return [cupy.empty((self.steps, *slot.shape), slot.dtype) for slot in self._out_slots]

    def _write(self, leaves: Sequence[Any], data: Sequence[Any], order: Any, start: int, outs: Sequence[Any]) -> None:
        """Write the table, with arguments of kernels, which the driver copies, instead of an upload."""
        arrays = [*tree.leaves(tuple(data)), *leaves, *outs]
        entries = [0 if order is None else order.data.ptr, start, *[array.data.ptr for array in arrays]]
        for first in range(0, len(entries), ENTRIES):
            some = entries[first : first + ENTRIES]
            values = np.zeros((), _ENTRIES)
            values["value"][: len(some)] = some
            _write_table((1,), (256,), (self._table, np.int32(first), np.int32(len(some)), values[()]))

    # -- the operations of the graph ------------------------------------------------------------------------------------

    def _take_steps(self, steps: int) -> None:
        carry = tree.map(self._loaded, self._carry)
        for i in range(steps):
            carry, out = self._step(carry, *self._batch(i))
            self._store(self._out, out, i)
        self._store(self._carry, carry, 0)

    def _loaded(self, slot: Slot) -> Any:
        array = cupy.empty(slot.shape, slot.dtype)
        if array.size:
            _load(self._table, slot.index, array)
        return array

    def _batch(self, i: int) -> tuple[Any, ...]:
        def gathered(slot: Slot) -> Any:
            batch = cupy.empty((self._size, *slot.shape[1:]), slot.dtype)
            if batch.size:
                _gather(self._table, slot.index, i * self._size, batch.size // self._size, batch)
            return batch

        batch: tuple[Any, ...] = tree.map_arrays(gathered, self._data)
        return batch

    def _store(self, slots: Any, values: Any, i: int) -> None:
        """Store arrays as number i of those at the addresses of their slots."""
        for slot, value in zip(tree.leaves(slots), tree.leaves(values), strict=True):
            if not isinstance(slot, Slot):
                if type(value) is not type(slot) or value != slot:
                    raise RefusedError("a step puts out a number of the host that changes")
            elif not slot.accepts(value):
                raise RefusedError("a shape or dtype of the carry or the output of a step changes")
            elif value.size:
                _store(value, slot.index, i * value.size, self._table)


_ENTRIES = np.dtype([("value", np.int64, (ENTRIES,))], align=True)

_write_table = cupy.RawKernel(
    f"""
    struct Entries {{ long long value[{ENTRIES}]; }};
    extern "C" __global__ void anynet_write_table(long long *table, const int first, const int count, const Entries entries) {{
        for (int i = threadIdx.x; i < count; i += blockDim.x) table[first + i] = entries.value[i];
    }}
    """,
    "anynet_write_table",
)
_load = cupy.ElementwiseKernel("raw int64 table, int64 slot", "T y", "y = ((const T *)table[slot])[i]", "anynet_load")
_gather = cupy.ElementwiseKernel(
    "raw int64 table, int64 slot, int64 first, int64 inner",
    "T y",
    """
    const long long *order = (const long long *)table[0];
    const long long at = table[1] + first + i / inner;
    y = ((const T *)table[slot])[(order ? order[at] : at) * inner + i % inner]
    """,
    "anynet_gather",
)
_store = cupy.ElementwiseKernel(
    "T x, int64 slot, int64 first", "raw int64 table", "((T *)table[slot])[first + i] = x", "anynet_store"
)


def _separate(leaves: Sequence[Any]) -> list[Any]:
    """Return contiguous arrays with memory of their own; most already are."""
    found: dict[int, Any] = {}
    for array in leaves:
        if not array.flags.c_contiguous or array.data.ptr in found:
            array = array.copy()
        found[array.data.ptr if array.size else -len(found) - 1] = array
    return list(found.values())


def copy_arrays(values: tree.Tree) -> tree.Tree:
    """Return a tree with copies of its arrays."""
    return tree.map(lambda a: a.copy(), values)

"""Where batches come from: arrays on the device, arrays too large for it, and iterables of batches.

===========  =====================================================================================
`ArraySource`   arrays that fit: on the device once, each batch is taken from them there
`StreamedSource`   arrays that do not, or that lie in a file: each batch is copied, the next in advance
`IterableSource`    any iterable of ``(x, y)`` or ``(x, y, sample_weight)``
===========  =====================================================================================

The shuffle of an epoch is a pure function of seed and epoch, so every source can begin in the middle of one.

Legend: N examples.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.data.batch import Batch, Chunk
from anynet.data.plan import Plan
from anynet.data.prefetch import prefetch

MAX_SEQUENTIAL_BYTES = 2**26
"""Bytes of a mapped file that are read in a row before its pages are given back."""
MAX_RANDOM_READS = 32
"""Places of a mapped file that are looked at before its pages are given back: the kernel maps up to 2 MiB around each."""


class Source:
    """IterableSource for training, and pieces for evaluation."""

    def batches(self, size: int | None) -> int | None:
        """Return the number of batches of an epoch, or None if it is not known before."""
        raise NotImplementedError

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Iterator[Chunk]:
        """Yield what is left of an epoch after `skip` batches."""
        raise NotImplementedError

    def eval_batches(self, rows: int) -> Iterator[Batch]:
        """Yield all examples in order, at most `rows` at a time where the source may choose."""
        raise NotImplementedError


class ArraySource(Source):
    """Arrays on the device."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self.data, self._backend = data, backend

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, size: int | None) -> int:
        return -(-len(self) // min(size or len(self), len(self)))

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Iterator[Chunk]:
        count, size = len(self), min(plan.batch_size or len(self), len(self))
        rows = plan.order(epoch, count, size)
        order = None if rows is None else self._backend.asarray(rows, self._backend.index_dtype)
        step = size * self._backend.steps_per_call
        for start in range(skip * size, count, step):
            yield Chunk(self.data, order, start, min(start + step, count), size)

    def eval_batches(self, rows: int) -> Iterator[Batch]:
        for start in range(0, len(self), rows):
            yield self.data.slice(start, start + rows)

    def take(self, rows: np.ndarray) -> ArraySource:
        """Return a source of some of the examples."""
        index = self._backend.asarray(rows, self._backend.index_dtype)
        return ArraySource(self._backend, self.data.take(index))

    @property
    def targets(self) -> Array:
        """The targets of all examples."""
        return self.data.y

    def weighted(self, factor: Array) -> ArraySource:
        """Return a source whose examples have weights multiplied by `factor`, an array on the device."""
        x, y, weight = self.data
        return ArraySource(self._backend, Batch(x, y, factor if weight is None else factor * weight))


class StreamedSource(Source):
    """Arrays of which a batch at a time goes to the device, in a file or in memory.

    Parameters
    ----------
    arrays : x, y and weight or None
        Of any library, x and y may be tuples of several; only the rows that are asked for are looked at.
    prepare : callable
        ``prepare(x, y, weight) -> Batch``, which checks a batch and copies it to the device.
    rows : array of int, optional
        The examples to use; all by default.
    """

    def __init__(
        self,
        backend: Backend,
        arrays: tuple[Any, Any, Any],
        prepare: Callable[..., Batch],
        rows: np.ndarray | None = None,
    ) -> None:
        self.arrays, self._backend, self._prepare, self._rows = arrays, backend, prepare, rows

    def __len__(self) -> int:
        return int(tree.leaves(self.arrays)[0].shape[0]) if self._rows is None else len(self._rows)

    def batches(self, size: int | None) -> int:
        return -(-len(self) // min(size or len(self), len(self)))

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Iterator[Chunk]:
        count, size = len(self), min(plan.batch_size or len(self), len(self))
        order = plan.order(epoch, count, size)
        step = size * self._backend.steps_per_call
        for data in prefetch(self._prepared(order, skip * size, step)):
            yield Chunk(data, None, 0, len(data), size)

    def eval_batches(self, rows: int) -> Iterator[Batch]:
        return prefetch(self._prepared(None, 0, rows))

    def take(self, rows: np.ndarray) -> StreamedSource:
        """Return a source of some of the examples."""
        return StreamedSource(
            self._backend, self.arrays, self._prepare, rows if self._rows is None else self._rows[rows]
        )

    @property
    def targets(self) -> Any:
        """The targets of all examples."""
        return self.arrays[1]

    def weighted(self, factor: Array) -> StreamedSource:
        """Return a source whose examples have weights multiplied by `factor`, an array on the device."""
        (x, y, weight), each = self.arrays, self._backend.to_numpy(factor)
        return StreamedSource(
            self._backend, (x, y, each if weight is None else each * weight), self._prepare, self._rows
        )

    def _prepared(self, order: np.ndarray | None, start: int, step: int) -> Iterator[Batch]:
        for begin in range(start, len(self), step):
            end = min(begin + step, len(self))
            rows: Any = slice(begin, end) if order is None else order[begin:end]
            if self._rows is not None:
                rows = self._rows[rows]
            yield self._prepare(*(tree.map_arrays(lambda a: self._read(a, rows), part) for part in self.arrays))  # noqa: B023

    def _read(self, array: Any, rows: Any) -> Any:
        if not isinstance(array, np.ndarray):
            return array[rows]
        mapped, array = mapped_file(array), np.asarray(array)
        if mapped is None:
            return np.array(array[rows])
        in_a_row = isinstance(rows, slice)
        count = rows.stop - rows.start if in_a_row else len(rows)
        step = max(1, MAX_SEQUENTIAL_BYTES // max(1, array[:1].nbytes)) if in_a_row else MAX_RANDOM_READS
        part = np.empty((count, *array.shape[1:]), array.dtype)
        for i in range(0, count, step):
            j = min(i + step, count)
            part[i:j] = array[rows.start + i : rows.start + j] if in_a_row else array[rows[i:j]]
            mapped.madvise(mmap.MADV_DONTNEED)  # or all that was ever looked at would count as memory of the process
        return part


class IterableSource(Source):
    """An iterable of batches.

    Parameters
    ----------
    where : str
        What to call it in errors.
    items : iterable
        Of ``(x, y)`` or ``(x, y, sample_weight)``.
    prepare : callable
        ``prepare(where, x, y, weight) -> Batch``.
    """

    def __init__(self, where: str, items: Iterable[Any], prepare: Callable[..., Batch]) -> None:
        self._where, self._items, self._prepare = where, items, prepare
        self._seen: int | None = None

    def batches(self, size: int | None) -> int | None:
        return self._expected() or self._seen

    def _expected(self) -> int | None:
        return len(self._items) if isinstance(self._items, Sized) else None

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Iterator[Chunk]:
        for data in prefetch(self._prepared(skip)):
            yield Chunk(data, None, 0, len(data), len(data))

    def eval_batches(self, rows: int) -> Iterator[Batch]:
        return prefetch(self._prepared(0))

    def _prepared(self, skip: int) -> Iterator[Batch]:
        count = 0
        for item in self._items:
            count += 1
            if count <= skip:
                continue
            where = f"{self._where}: batch {count}"
            if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
                raise TypeError(
                    f"{where}: expected (x, y) or (x, y, sample_weight), got {type(item).__name__}"
                    + (f" of {len(item)}" if isinstance(item, (tuple, list)) else "")
                )
            yield self._prepare(where, *item)
        expected = self._expected() or self._seen or max(1, skip)
        if count < expected:
            hint = "; an iterator can be gone through only once: pass an object that starts again" if count == 0 else ""
            raise ValueError(f"{self._where}: expected {expected} batches or more, got {count}{hint}")
        self._seen = count


def mapped_file(array: Any) -> mmap.mmap | None:
    """Return the mapping that an array lies in, if its pages can be given back without loss."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
            return array._mmap  # type: ignore[attr-defined]
        array = array.base
    return None


def in_file(array: Any) -> bool:
    """Return whether an array lies in a memory-mapped file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return isinstance(array, mmap.mmap)

"""Sources of batches: arrays on the device, arrays elsewhere, and iterables.

================  ==============================================================================================
`ArraySource`     arrays on the device, from which each batch is taken
`StreamedSource`  arrays in a file or too large for the device: batches are copied in the background, one ahead
`IterableSource`  an iterable of ``(x, y)`` or ``(x, y, sample_weight)``, iterated in the calling thread
================  ==============================================================================================

The order of an epoch is a pure function of seed and epoch, so a source of arrays can start in the middle of one.

Legend: N examples.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Generator, Iterable, Sequence, Sized
from contextlib import closing
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.checks import plural
from anynet.data.batch import Batch, Chunk, Portion, share
from anynet.data.plan import Plan
from anynet.data.prefetch import prefetch

MAX_SEQUENTIAL_BYTES = 2**26
"""Bytes of a mapped file that are read sequentially before its pages are released."""
MAX_CHUNK_NUMBERS = 2**25
"""Upper bound of the numbers of a chunk that is copied to the device, if it has several batches."""
MAX_RANDOM_READS = 32
"""Random reads of a mapped file before its pages are released; the kernel maps up to 2 MiB around each."""

Chunks = Generator[Chunk, None, None]
Batches = Generator[Batch, None, None]
Portions = Generator[Portion, None, None]


class Source:
    """Batches for training and for evaluation. Close a generator to stop early: it may own a thread."""

    is_weighted = True
    """Whether examples may have weights."""
    inputs: Any = ()
    """Inputs of all examples, an array or a tuple; of an iterable, an empty tuple."""

    def batches(self, size: int | None) -> int | None:
        """Return the number of batches per epoch; None if still unknown."""
        raise NotImplementedError

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Chunks:
        """Yield the rest of an epoch after `skip` batches."""
        raise NotImplementedError

    def portions(self, plan: Plan, epoch: int, skip: int, rank: int, ranks: int) -> Portions:
        """Yield one process's portion of each batch in the rest of an epoch."""
        raise NotImplementedError

    def eval_batches(self, size: int, rank: int = 0, ranks: int = 1) -> Batches:
        """Yield all examples in order, if possible at most `size` at a time.

        One of several processes gets every one of `ranks` such batches, except of an iterable.
        """
        raise NotImplementedError

    def stop(self, interrupted: bool) -> bool:
        """Return whether Ctrl-C ended the epoch, which training leaves early; other processes are informed."""
        return interrupted


class ArraySource(Source):
    """Arrays on the device."""

    def __init__(self, backend: Backend, data: Batch) -> None:
        self.data, self._backend, self.inputs, self.is_weighted = data, backend, data.x, data.weight is not None

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, size: int | None) -> int:
        return -(-len(self) // min(size or len(self), len(self)))

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Chunks:
        count, size, order = self._order(plan, epoch)
        step = size * self._backend.steps_per_call
        for start in range(skip * size, count, step):
            yield Chunk(self.data, order, start, min(start + step, count), size)

    def portions(self, plan: Plan, epoch: int, skip: int, rank: int, ranks: int) -> Portions:
        count, size, order = self._order(plan, epoch)
        for start in range(skip * size, count, size):
            stop = min(start + size, count)
            begin, end = share(start, stop, rank, ranks)
            own = self.data.slice(begin, end) if order is None else self.data.take(order[begin:end])
            yield Portion(own, begin - start, stop - start)

    def _order(self, plan: Plan, epoch: int) -> tuple[int, int, Array | None]:
        """Return the number of examples, the batch size and the order of an epoch."""
        count, size = len(self), min(plan.batch_size or len(self), len(self))
        rows = plan.order(epoch, count, size)
        return count, size, None if rows is None else self._backend.asarray(rows, self._backend.index_dtype)

    def eval_batches(self, size: int, rank: int = 0, ranks: int = 1) -> Batches:
        for start in range(rank * size, len(self), ranks * size):
            yield self.data.slice(start, start + size)

    def take(self, index: np.ndarray) -> ArraySource:
        """Return a source of some of the examples."""
        return ArraySource(self._backend, self.data.take(self._backend.asarray(index, self._backend.index_dtype)))

    @property
    def targets(self) -> Array:
        """The targets of all examples."""
        return self.data.y

    def weighted(self, factor: Array) -> ArraySource:
        """Return a source with weights multiplied by `factor`, an array on the device."""
        x, y, weight = self.data
        return ArraySource(self._backend, Batch(x, y, factor if weight is None else factor * weight))


class StreamedSource(Source):
    """Arrays in a file or in memory, copied to the device batch by batch.

    Parameters
    ----------
    arrays : x, y and weight or None
        Arrays of any library; x and y may be tuples. Only the examples of a batch are read.
    prepare : callable
        ``prepare(x, y, weight) -> Batch`` checks a batch and copies it to the device.
    index : array of int, optional
        Indices of the examples to use; all by default.
    """

    def __init__(
        self,
        backend: Backend,
        arrays: tuple[Any, Any, Any],
        prepare: Callable[..., Batch],
        index: np.ndarray | None = None,
    ) -> None:
        self.arrays, self._backend, self._prepare, self._index = arrays, backend, prepare, index
        self.inputs, self.is_weighted = arrays[0], arrays[2] is not None

    def __len__(self) -> int:
        return int(tree.leaves(self.arrays)[0].shape[0]) if self._index is None else len(self._index)

    def batches(self, size: int | None) -> int:
        return -(-len(self) // min(size or len(self), len(self)))

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Chunks:
        count, size = len(self), min(plan.batch_size or len(self), len(self))
        order = plan.order(epoch, count, size)
        numbers = size * sum(math.prod(a.shape[1:]) for a in tree.leaves(self.arrays))
        step = size * max(1, min(self._backend.steps_per_call, MAX_CHUNK_NUMBERS // max(1, numbers)))
        for data in self._prefetched(order, _ranges(skip * size, count, step, step)):
            yield Chunk(data, None, 0, len(data), size)

    def portions(self, plan: Plan, epoch: int, skip: int, rank: int, ranks: int) -> Portions:
        count, size = len(self), min(plan.batch_size or len(self), len(self))
        order = plan.order(epoch, count, size)
        batches = _ranges(skip * size, count, size, size)
        own = [share(*each, rank, ranks) for each in batches]
        for data, (begin, _), (start, stop) in zip(self._prefetched(order, own), own, batches, strict=True):
            yield Portion(data, begin - start, stop - start)

    def eval_batches(self, size: int, rank: int = 0, ranks: int = 1) -> Batches:
        return self._prefetched(None, _ranges(rank * size, len(self), size, ranks * size))

    def take(self, rows: np.ndarray) -> StreamedSource:
        """Return a source of some of the examples."""
        return StreamedSource(
            self._backend, self.arrays, self._prepare, rows if self._index is None else self._index[rows]
        )

    @property
    def targets(self) -> Any:
        """The targets of all examples."""
        return self.arrays[1]

    def weighted(self, factor: Array) -> StreamedSource:
        """Return a source with weights multiplied by `factor`, an array on the device."""
        (x, y, weight), each = self.arrays, self._backend.to_numpy(factor)
        return StreamedSource(
            self._backend, (x, y, each if weight is None else each * weight), self._prepare, self._index
        )

    def _prefetched(self, order: np.ndarray | None, ranges: Sequence[tuple[int, int]]) -> Batches:
        copies = self._backend.copies(self._backend)
        return copies.used(prefetch(copies.prepared(self._prepared(order, ranges)), copies.context))

    def _prepared(self, order: np.ndarray | None, ranges: Sequence[tuple[int, int]]) -> Batches:
        for begin, end in ranges:
            if begin == end:  # checks need an example
                yield next(self._prepared(None, [(0, 1)])).slice(0, 0)
                continue
            rows: Any = slice(begin, end) if order is None else order[begin:end]
            if self._index is not None:
                rows = self._index[rows]
            yield self._prepare(*(tree.map_arrays(lambda a: self._read(a, rows), part) for part in self.arrays))  # noqa: B023

    def _read(self, array: Any, rows: Any) -> Any:
        return read_rows(array, rows)


def _ranges(start: int, stop: int, size: int, step: int) -> list[tuple[int, int]]:
    """Return ranges of at most `size` positions, one every `step`."""
    return [(begin, min(begin + size, stop)) for begin in range(start, stop, step)]


class IterableSource(Source):
    """An iterable of batches.

    It runs in the calling thread, to which an iterator may be bound, like a cursor of sqlite3. Steps on a GPU are asynchronous,
    so it prepares the next batch during the current step.

    Parameters
    ----------
    where : str
        Prefix of error messages.
    items : iterable
        Iterable of ``(x, y)`` or ``(x, y, sample_weight)``.
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

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Chunks:
        with closing(self._prepared(skip)) as batches:
            for batch in batches:
                yield Chunk(batch, None, 0, len(batch), len(batch))

    def portions(self, plan: Plan, epoch: int, skip: int, rank: int, ranks: int) -> Portions:
        """Yield each batch, which is a portion already, and then portions without examples."""
        batch: Any = None
        with closing(self._prepared(0)) as batches:
            for number, batch in enumerate(batches):
                if number >= skip:
                    yield Portion(batch)
        while True:
            yield Portion(batch.slice(0, 0))

    def eval_batches(self, size: int, rank: int = 0, ranks: int = 1) -> Batches:
        return self._prepared(0)

    def _prepared(self, skip: int) -> Batches:
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
            hint = "; an iterator can be used only once: pass an object that starts again" if count == 0 else ""
            raise ValueError(f"{self._where}: expected {plural(expected, 'batch')} or more, got {count}{hint}")
        self._seen = count


def read_rows(array: Any, rows: Any) -> Any:
    """Return a copy of some examples, and release the pages of a mapped file."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        return array[rows]
    mapped, array = mapped_file(array), np.asarray(array)
    if mapped is None:
        return np.array(array[rows])
    sequential = isinstance(rows, slice)
    count = rows.stop - rows.start if sequential else len(rows)
    step = max(1, MAX_SEQUENTIAL_BYTES // max(1, array[:1].nbytes)) if sequential else MAX_RANDOM_READS
    part = np.empty((count, *array.shape[1:]), array.dtype)
    for i in range(0, count, step):
        j = min(i + step, count)
        part[i:j] = array[rows.start + i : rows.start + j] if sequential else array[rows[i:j]]
        mapped.madvise(mmap.MADV_DONTNEED)  # or all pages ever read count as memory of the process
    return part


def mapped_file(array: Any) -> mmap.mmap | None:
    """Return the memory map of an array, if its pages can be released without loss."""
    is_shared = False
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            is_shared = array.mode != "c"
        array = array.base
    return array if is_shared and isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


def in_file(array: Any) -> bool:
    """Return whether an array is in a memory-mapped file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return isinstance(array, mmap.mmap)

"""Matrix products on NumPy whose results do not depend on the number of threads.

A product of fewer than `LARGE` multiplications is one call of BLAS. A larger one is split into blocks of rows or columns, whose
boundaries depend only on its shape. BLAS computes each block on one thread, so the result has the same bits on any number of
threads. The calling thread computes blocks until none is left, while helper threads take blocks as soon as they run: a helper
that has no core delays nothing.

>>> [(block.start, block.stop) for block in split(512, 2**25, multiple=16)]
[(0, 160), (160, 272), (272, 384), (384, 512)]
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import lru_cache, partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeAlias

import numpy as np

from anynet.arrays.blas import limited, openblas, thread_count

LARGE = 2**23
"""Number of multiplications from which helpers save time; one thread takes 160 µs."""
LEAD = 2**21
"""Multiplications that the calling thread computes while helpers wake up; 40 µs."""
MIN_WIDTH = 128
"""Minimum rows or columns of a block: BLAS copies the other matrix once per block, which takes 3 % of the time at 128."""
MAX_BLOCKS = 32
UNROLL = 16
"""Block boundaries are multiples of the rows or columns that BLAS computes at once."""

Block: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Two factors and the part of the result that is their product."""


def matmul(x1: Any, x2: Any, /, out: Any = None) -> Any:
    """Return the matrix product of two arrays or stacks of matrices."""
    if not is_large(x1, x2):
        return np.matmul(x1, x2, out)
    rows, columns = x1.shape[-2], x2.shape[-1]
    stack = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2]) if x1.ndim + x2.ndim > 4 else ()
    if out is None:
        out = np.empty((*stack, rows, columns), x1.dtype)
    work = out.size * x1.shape[-1]
    if stack and stack[0] > max(rows, columns):
        ndim = out.ndim
        blocks = [(_part(x1, ndim, part), _part(x2, ndim, part), out[part]) for part in split(stack[0], work)]
    elif rows >= columns:
        blocks = [(x1[..., part, :], x2, out[..., part, :]) for part in split(rows, work, multiple=UNROLL)]
    else:
        blocks = [(x1, x2[..., part], out[..., part]) for part in split(columns, work, multiple=UNROLL)]
    run(blocks)
    return out


def is_large(x1: Any, x2: Any) -> bool:
    """Return whether a product is computed in blocks. This depends on shapes and dtypes alone."""
    if x1.ndim < 2 or x2.ndim < 2:
        return False
    work = x1.size * x2.shape[-1] if x1.ndim >= x2.ndim else x2.size * x1.shape[-2]
    return (
        work >= LARGE
        and (x1.ndim + x2.ndim > 4 or max(x1.shape[0], x2.shape[1]) >= MIN_WIDTH // 2)
        and x1.shape[-1] == x2.shape[-2]
        and x1.dtype == x2.dtype
        and x1.dtype.kind == "f"
        and openblas() is not None
    )


@lru_cache(1024)
def split(length: int, work: int, multiple: int = 1) -> tuple[slice, ...]:
    """Return the blocks of an axis of a product with this number of multiplications.

    The first block is larger by `LEAD`, so that all threads finish at the same time.
    """
    count = length if multiple == 1 else max(2, length // MIN_WIDTH)
    count = min(1 << (count.bit_length() - 1), MAX_BLOCKS)
    lead = length * LEAD / work
    inner = [round((lead + (length - lead) * i / count) / multiple) * multiple for i in range(1, count)]
    return tuple(
        [slice(start, stop) for start, stop in zip([0, *inner], [*inner, length], strict=True) if start < stop]
    )


def _part(x: Any, ndim: int, part: slice) -> Any:
    """Return a part of a stack, or all of an array that is broadcast along it."""
    return x[part] if x.ndim == ndim and x.shape[0] > 1 else x


# Threads ----------------------------------------------------------------------------------------------------------------


class _Job:
    """Blocks of a product, which the calling thread and helpers take in turn."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = deque(blocks)
        self._lock, self._idle = Lock(), Lock()
        self._running = 0
        """Number of blocks that helpers are computing."""
        self._is_awaited = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Compute blocks until none is left, and wait for those of the helpers."""
        try:
            while self._blocks:
                try:
                    block = self._blocks.popleft()
                except IndexError:  # a helper has just taken the last one
                    break
                np.matmul(*block)
        finally:  # after an error too, because helpers write to the result
            with self._lock:
                self._blocks.clear()
                self._is_awaited = self._running > 0
                if self._is_awaited:
                    self._idle.acquire()
            if self._is_awaited:
                self._wait()
        if self._error is not None:
            raise self._error

    def _wait(self) -> None:
        try:
            self._idle.acquire()
        except BaseException:  # an interrupt
            self._idle.acquire()
            raise

    def help(self) -> None:
        """Compute blocks until none is left."""
        while True:
            with self._lock:
                if not self._blocks:
                    return
                block = self._blocks.popleft()
                self._running += 1
            try:
                np.matmul(*block)
            except BaseException as error:
                self._error = error
            with self._lock:
                self._running -= 1
                if self._is_awaited and not self._running:
                    self._idle.release()


class _Helpers:
    """Threads that wait for jobs."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._queue: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def offer(self, help: Callable[[], None], count: int) -> None:
        """Let `count` helpers call a function, each in a copy of the current context, which has NumPy's `errstate`."""
        if count > self._count:
            self._start(count)
        for _ in range(count):
            self._queue.put(partial(copy_context().run, help))

    def _start(self, count: int) -> None:
        with self._lock, suppress(RuntimeError):  # no more threads: those that run do the work
            for number in range(self._count, count):
                Thread(target=_serve, args=(self._queue,), name=f"anynet-{number + 1}", daemon=True).start()
                self._count = number + 1


def _serve(queue: SimpleQueue[Callable[[], Any]]) -> None:
    while True:
        queue.get()()


_helpers = _Helpers()


def _forget_helpers() -> None:
    """Replace the helpers after a fork, which copies no threads."""
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def run(blocks: Sequence[Block]) -> None:
    """Compute products ``(x1, x2, out)`` in the calling thread and helpers."""
    threads = thread_count()
    if threads is None:
        with limited():
            return run(blocks)
    job = _Job(blocks)
    if threads > 1:
        _helpers.offer(job.help, min(threads, len(blocks)) - 1)
    return job.run()

"""A batch on a backend, and a chunk of batches.

Legend: N examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.backends.batching import batches, slice_batch, take_batch
from anynet.checks import ANY_SIZE
from anynet.config import ModelConfig

MAX_EVAL_EXAMPLES = 2048
"""Upper bound of the examples that predictions and evaluations take at a time."""


class Batch(NamedTuple):
    """Inputs, targets and weights of N examples on a backend.

    Several inputs, or several targets, are a tuple of arrays.
    """

    x: Any
    y: Any
    weight: Array | None = None

    def __len__(self) -> int:
        return int(tree.leaves(self.x)[0].shape[0])

    def slice(self, start: int, stop: int) -> Batch:
        """Return the examples from `start` to before `stop`, or to the last, as views."""
        stop = min(stop, len(self))
        return Batch(*slice_batch(self, start, stop))

    def take(self, index: Array) -> Batch:
        """Return the examples at the given indices."""
        return Batch(*take_batch(self, index))


class Chunk(NamedTuple):
    """Consecutive batches of one call of the backend's loop.

    They have `size` examples, the last perhaps fewer, and cover the positions from `start` to before `stop` of `order`, or of
    the data as stored if `order` is None.
    """

    data: Batch
    order: Array | None
    start: int
    stop: int
    size: int

    def batches(self) -> Iterator[Batch]:
        """Return the batches one by one."""
        return (Batch(*parts) for parts in batches(*self))

    def examples(self, number: int) -> int:
        """Return the number of examples of a batch."""
        return min(self.size, self.stop - self.start - number * self.size)


class Portion(NamedTuple):
    """The examples of a batch that belong to one of several processes.

    `first` is the number of examples before them in the batch, and `whole` the number of examples in the batch; both are None
    if they depend on the other processes.
    """

    batch: Batch
    first: int | None = None
    whole: int | None = None


def share(start: int, stop: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return the range of positions from `start` to before `stop` that belongs to a process.

    The ranges of all processes are contiguous, and their lengths differ by at most one.

    Examples
    --------
    >>> [share(10, 15, rank, 3) for rank in range(3)]
    [(10, 11), (11, 13), (13, 15)]
    """
    return start + rank * (stop - start) // ranks, start + (rank + 1) * (stop - start) // ranks


def eval_batch_size(config: ModelConfig, max_numbers: int, x: Any) -> int:
    """Return the number of examples to evaluate at a time.

    The largest array of a batch, an input or the output of a layer, then has at most `max_numbers` numbers. The inputs x
    determine the size of an axis that the model leaves open.
    """
    shapes, open_sizes = config.array_shapes, []
    for shape, array in zip(shapes, tree.leaves(x), strict=False):  # shapes of the inputs come first
        open_sizes += [n for n, size in zip(array.shape[1:], shape, strict=False) if size == ANY_SIZE]
    return max(1, min(MAX_EVAL_EXAMPLES, max_numbers // _largest(shapes, max(open_sizes, default=1))))


@lru_cache(256)
def _largest(shapes: tuple[tuple[int, ...], ...], open_size: int) -> int:
    """Return the largest number of numbers in an array of one of these shapes, and at least 1."""
    return max(1, *(math.prod(open_size if n == ANY_SIZE else n for n in shape) for shape in shapes))

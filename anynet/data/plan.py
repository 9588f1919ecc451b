"""The plan of a fit: epochs, batch size and order of the examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from anynet.checks import check_int, check_number
from anynet.config import ModelConfig

SHUFFLE_STREAM = 1
"""Index of the random stream of shuffles; stream 0 draws the initial weights."""
SPLIT_STREAM = 2
"""Index of the random stream of the validation split."""

Order = Callable[[int, int], np.ndarray]
"""Function of the epoch, counted from 0, and the number of examples; returns a permutation of the examples."""


class Plan(NamedTuple):
    """Settings of a fit that determine the batches of each epoch."""

    epochs: int
    batch_size: int | None
    shuffle: bool | Order
    seed: int
    validation_split: float

    def order(self, epoch: int, count: int, size: int) -> np.ndarray | None:
        """Return the order of the examples in an epoch, None for the stored order."""
        if not callable(self.shuffle):
            return epoch_order(self.seed, epoch, count) if self.shuffle and size < count else None
        order = np.asarray(self.shuffle(epoch, count))
        if order.shape != (count,) or order.dtype.kind != "i" or not _is_permutation(order):
            raise ValueError(
                f"fit: expected shuffle(epoch, {count}) to return a permutation of {count} indices, got {order!r}"
            )
        return order


def _is_permutation(order: np.ndarray) -> bool:
    """Return whether integers (N,) are a permutation of 0 to N − 1, without sorting them."""
    seen = np.zeros(len(order), dtype=bool)
    inside = int(order.min(initial=0)) >= 0 and int(order.max(initial=0)) < len(order)
    if inside:
        seen[order] = True
    return inside and bool(seen.all())


def make_plan(
    config: ModelConfig, epochs: int, batch_size: int | None, shuffle: bool | Order, validation_split: float
) -> Plan:
    """Return the plan of a fit after checks of its arguments."""
    check_int("fit", "epochs", epochs, at_least=1)
    if batch_size is not None:
        check_int("fit", "batch_size", batch_size, at_least=1)
    check_number("fit", "validation_split", validation_split, "[0, 1)")
    if not callable(shuffle) and not isinstance(shuffle, (bool, np.bool_)):
        raise TypeError(f"fit: expected shuffle to be True, False or a function, got {shuffle!r}")
    optimizer = config.required_optimizer
    if optimizer.full_batch and batch_size is not None:
        raise ValueError(
            f"fit: expected batch_size=None for {type(optimizer).__name__}, whose steps need the loss of all "
            f"examples, got {batch_size!r}"
        )
    return Plan(
        epochs, batch_size, shuffle if callable(shuffle) else bool(shuffle), config.seed, float(validation_split)
    )


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of the examples in an epoch, a pure function of the seed."""
    return np.random.default_rng((seed, SHUFFLE_STREAM, epoch)).permutation(count)

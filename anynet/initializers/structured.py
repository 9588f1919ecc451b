"""Initializers that draw parts of an array with another initializer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from anynet.initializers.basic import Initializer, Shape, as_initializer


@dataclass(frozen=True)
class Stacked(Initializer):
    """Draw each array along the first axis separately.

    For example, the weight of each member of an ensemble. The fans are those of one array.

    Parameters
    ----------
    initializer : Initializer
        Initializer of one array.
    equal : bool
        Whether all arrays are equal, drawn once.

    Examples
    --------
    >>> from anynet import Uniform
    >>> Stacked(Uniform(), equal=True)(np.random.default_rng(0), (3, 2)).round(3).tolist()
    [[0.014, -0.023], [0.014, -0.023], [0.014, -0.023]]
    """

    initializer: Any
    _: KW_ONLY
    equal: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "initializer", as_initializer(self.initializer, "Stacked: initializer"))

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        if not shape:
            raise ValueError("Stacked: expected a shape with an axis of arrays, got ()")
        if self.equal:
            return np.broadcast_to(self.initializer(rng, shape[1:]), shape).copy()
        return np.reshape([self.initializer(rng, shape[1:]) for _ in range(shape[0])], shape)


@dataclass(frozen=True)
class Blocks(Initializer):
    """Draw one number per block of the last axis, and repeat it in the block.

    For a table in which a column has several features, such as the one-hot features of a category or an embedding of a number.

    Parameters
    ----------
    initializer : Initializer
        Initializer of the numbers.
    widths : sequence of ints, at least 1
        Widths of the blocks, which add up to the length of the last axis.

    Examples
    --------
    >>> from anynet import RandomSigns
    >>> Blocks(RandomSigns(), (2, 3))(np.random.default_rng(1), (1, 5)).tolist()
    [[-1.0, -1.0, 1.0, 1.0, 1.0]]
    """

    initializer: Any
    widths: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "initializer", as_initializer(self.initializer, "Blocks: initializer"))
        widths = tuple(self.widths)
        if not all(isinstance(width, (int, np.integer)) and width >= 1 for width in widths):
            raise ValueError(f"Blocks: expected widths of integers >= 1, got {self.widths!r}")
        object.__setattr__(self, "widths", tuple(map(int, widths)))

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        if not shape or sum(self.widths) != shape[-1]:
            raise ValueError(
                f"Blocks: expected a last axis of length {sum(self.widths)}, the sum of the widths, got a shape {shape}"
            )
        return np.repeat(self.initializer(rng, (*shape[:-1], len(self.widths))), self.widths, axis=-1)

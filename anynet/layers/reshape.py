"""Layers that change only the shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_shape
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, empty_like, fixed_shape


@dataclass(frozen=True)
class Reshape(Layer):
    """Give each example a new shape with the same number of elements.

    .. math:: y_n = \\text{reshape}(x_n), \\qquad \\frac{∂L}{∂x_n} = \\text{reshape}^{-1}\\Big(\\frac{∂L}{∂y_n}\\Big)

    Parameters
    ----------
    shape : int or tuple of int
        The new shape, without the batch axis.

    Notes
    -----
    Cache: an empty array with the input's shape.

    Examples
    --------
    >>> import numpy as np
    >>> Reshape((2, 3)).forward({}, np.zeros((5, 6)))[0].shape
    (5, 2, 3)
    """

    uses_key: ClassVar[bool] = False
    preserves_values: ClassVar[bool] = True

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape("Reshape", "shape", self.shape))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        size = math.prod(fixed_shape("Reshape", input_shape))
        if math.prod(self.shape) != size:
            raise ValueError(
                f"Reshape: expected a shape with {size} elements for input {input_shape}, "
                f"got {self.shape} with {math.prod(self.shape)}"
            )
        return {}, self.shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return namespace(x).reshape(x, (x.shape[0], *self.shape)), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (_restore(dy, cache) if need_dx else None), {}


@dataclass(frozen=True)
class Flatten(Layer):
    """Flatten each example to a vector, (N, ...) to (N, features), in row-major order.

    .. math:: y_n = \\text{vec}(x_n), \\qquad \\frac{∂L}{∂x_n} = \\text{vec}^{-1}\\Big(\\frac{∂L}{∂y_n}\\Big)

    Notes
    -----
    Cache: an empty array with the input's shape.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten().forward({}, np.zeros((5, 28, 28)))[0].shape
    (5, 784)
    """

    uses_key: ClassVar[bool] = False
    preserves_values: ClassVar[bool] = True

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        return {}, (math.prod(fixed_shape("Flatten", input_shape)),)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:]))), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (_restore(dy, cache) if need_dx else None), {}


def _restore(dy: Array | None, cache: Cache) -> Array | None:
    return None if dy is None else namespace(dy).reshape(dy, (dy.shape[0], *cache.shape[1:]))

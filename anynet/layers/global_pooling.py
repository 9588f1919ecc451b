"""Pooling over whole sequences and images.

Legend: N batch, L length, H W height and width, C channels. Derivation: docs/derivations/pooling.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import device

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, total, widened
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape, axis_sizes, empty_like


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Base class of means over all axes but the channels."""

    uses_key: ClassVar[bool] = False
    axes: ClassVar[tuple[str, ...]] = ()

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        return {}, axis_sizes(type(self).__name__, input_shape, *self.axes, "channels")[-1:]

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return namespace(x).mean(x, axis=tuple(range(1, len(self.axes) + 1))), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        xp, (*lengths, channels) = namespace(dy), cache.shape[1:]
        each = xp.reshape(dy * (1.0 / math.prod(lengths)), (-1, *[1] * len(lengths), channels))
        return xp.tile(each, (1, *lengths, 1)), {}


@dataclass(frozen=True)
class GlobalAvgPool1D(GlobalAvgPool):
    """Average each channel over the whole sequence.

    .. math:: y_{nc} = \\frac1L \\sum_l x_{nlc}, \\qquad \\frac{∂L}{∂x_{nlc}} = \\frac1L \\frac{∂L}{∂y_{nc}}

    Inside a `Lengths`, L is the length of the example, the mean is over its elements, and an example of length 0 gives zeros.

    Notes
    -----
    Input (N, L, C), output (N, C). Cache: an empty array with the input's shape; with lengths, the weight 1/L of each element.

    Raises
    ------
    ValueError
        If the input is not a sequence.

    Examples
    --------
    >>> GlobalAvgPool1D().forward({}, np.arange(4.0).reshape(1, 4, 1))[0]
    array([[1.5]])

    References
    ----------
    Lin, Chen, Yan (2014), "Network in network", section 3.2, over one axis.
    """

    axes = ("length",)
    takes_lengths: ClassVar[bool] = True

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Array, Cache]:
        if not isinstance(x, tuple):
            return super().forward(params, x, key=key)
        x, lengths = x
        xp, dtype = namespace(x), widened(x).dtype
        present = xp.arange(x.shape[1], device=device(x)) < lengths[:, None]  # (N, L)
        weight = xp.astype(present, dtype) / xp.astype(xp.maximum(lengths, xp.ones_like(lengths)), dtype)[:, None]
        weight = narrowed(weight, x.dtype)[:, :, None]
        return total(x * weight, axis=1), (weight,)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not isinstance(cache, tuple) or not need_dx:
            return super().backward(params, cache, dy, need_dx=need_dx)
        return dy[:, None, :] * cache[0], {}


@dataclass(frozen=True)
class GlobalAvgPool2D(GlobalAvgPool):
    """Average each channel over the whole image.

    .. math:: y_{nc} = \\frac{1}{HW} \\sum_{h,w} x_{nhwc}, \\qquad \\frac{∂L}{∂x_{nhwc}} = \\frac{1}{HW} \\frac{∂L}{∂y_{nc}}

    Notes
    -----
    Input (N, H, W, C), output (N, C). Cache: an empty array with the input's shape.

    Raises
    ------
    ValueError
        If the input is not an image.

    Examples
    --------
    >>> GlobalAvgPool2D().forward({}, np.arange(4.0).reshape(1, 2, 2, 1))[0]
    array([[1.5]])

    References
    ----------
    Lin, Chen, Yan (2014), "Network in network", section 3.2.
    """

    axes = ("height", "width")

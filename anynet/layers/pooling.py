"""Pooling: reduce each window of an image to one value per channel.

Legend: N batch, H W height and width, C channels. Derivation: docs/derivations/pooling.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, axis_sizes, empty_like
from anynet.layers.windows import Axis, check_padding, outputs, overlap_add_2d, pad, pads, pair, taps

TOGETHER = 16
"""Positions in the window that one kernel compares; its arguments are limited."""


@dataclass(frozen=True)
class Pool2D(Layer):
    """Base class of `MaxPool2D` and `AvgPool2D`: gather the inputs of windows, and scatter gradients back."""

    uses_key: ClassVar[bool] = False

    pool_size: Any
    _: KW_ONLY
    stride: Any = None
    padding: Any = "valid"

    def __post_init__(self) -> None:
        where = type(self).__name__
        object.__setattr__(self, "pool_size", pair(where, "pool_size", self.pool_size))
        stride = self.pool_size if self.stride is None else pair(where, "stride", self.stride)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "padding", check_padding(where, self.padding))
        if not isinstance(self.padding, str):
            for size, given in zip(self.pool_size, self.padding, strict=True):
                if max(given) >= size:  # a window could cover padding only
                    raise ValueError(f"{where}: expected padding less than the window's {size}, got {given}")

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = type(self).__name__
        image = axis_sizes(where, input_shape, "height", "width", "channels")
        sizes = [outputs(n, p, k, s, 1) for n, p, k, s in self._axes(image)]
        if min(sizes) < 1:
            raise ValueError(
                f"{where}: expected an image of at least the window {self.pool_size}, got {input_shape}; "
                "shapes are (height, width, channels)"
            )
        return {}, (*sizes, image[2])

    def _axes(self, image: tuple[int, ...]) -> list[Axis]:
        """Return length, padding, taps and stride of height and width."""
        return [
            (
                image[a],
                pads(self.padding, a, image[a], self.pool_size[a], self.stride[a], 1),
                self.pool_size[a],
                self.stride[a],
            )
            for a in (0, 1)
        ]

    def _windows(self, x: Array, outside: float) -> list[Array]:
        """Return, for each position in the window, the inputs of all windows there: slices (N, Ho, Wo, C)."""
        down, across = self._axes(x.shape[1:])
        for axis, (_, around, _, _) in ((1, down), (2, across)):
            x = pad(x, axis, *around, outside)
        high, wide = (outputs(*each, 1) for each in (down, across))
        lines = taps(x, 1, down[2], down[3], 1, high)
        return [part for line in lines for part in taps(line, 2, across[2], across[3], 1, wide)]

    def _scatter(self, parts: list[Array], image: tuple[int, ...]) -> Array:
        """Add slices (N, Ho, Wo, C), one per position in the window, to the inputs that `_windows` took them from."""
        return getattr(namespace(parts[0]), "overlap_add_2d", overlap_add_2d)(parts, *self._axes(image))


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    """Take the maximum of each channel in each window.

    .. math:: y_{nhwc} = \\max_{i,j} x_{n,\\, hs+i,\\, ws+j,\\, c}, \\qquad
              \\frac{∂L}{∂x} \\text{ receives } \\frac{∂L}{∂y} \\text{ at the first position of the maximum}

    Parameters
    ----------
    pool_size : int or pair of int
        Height and width of the window.
    stride : int or pair of int, optional
        s, the distance between positions of the window; by default its size.
    padding : "valid", "same", int, two ints, or ((above, below), (left, right))
        As in `Conv2D`, but with −∞ in place of zeros, and less than the window.

    Notes
    -----
    Input (N, H, W, C), output (N, ⌊(H + padding − pool_size)/s⌋ + 1, likewise, C). Cache: for each output the
    position of its maximum in the window, in one byte, and an empty array with the input's shape.

    Raises
    ------
    ValueError
        If the input is not an image, or the window is larger than it.

    Examples
    --------
    >>> y, _ = MaxPool2D(2).forward({}, np.arange(16.0).reshape(1, 4, 4, 1))
    >>> y.ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]

    References
    ----------
    Riesenhuber, Poggio (1999), "Hierarchical models of object recognition in cortex", Nature Neuroscience 2.
    """

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        first, *others = self._windows(x, -math.inf)
        y, index = first, xp.zeros_like(first, dtype=_index_dtype(xp, len(others)))
        for start in range(0, len(others), TOGETHER):
            index, y = _larger(index, y, start + 1, *others[start : start + TOGETHER])
        return xp.asarray(y, copy=True) if not others else y, (index, empty_like(x))

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        index, empty = cache
        numbers = range(math.prod(self.pool_size))
        parts: list[Array] = []
        for start in range(0, len(numbers), TOGETHER):
            parts += _where_equal(dy, index, *numbers[start : start + TOGETHER])
        return self._scatter(parts, empty.shape[1:]), {}


@fused
def _larger(index: Array, y: Array, number: Any, *parts: Array) -> tuple[Array, Array]:
    xp = namespace(y)
    for part in parts:
        index = xp.where(part > y, number, index)
        y = xp.maximum(y, part)
        number = number + 1
    return index, y


@fused
def _where_equal(dy: Array, index: Array, *numbers: int) -> tuple[Array, ...]:
    return tuple([dy * namespace(dy).astype(index == number, dy.dtype) for number in numbers])


def _index_dtype(xp: Any, largest: int) -> Any:
    return xp.int8 if largest < 128 else xp.int32


@dataclass(frozen=True)
class AvgPool2D(Pool2D):
    """Average each channel over each window.

    .. math:: y_{nhwc} = \\frac{1}{k_h k_w} \\sum_{i,j} x_{n,\\, hs+i,\\, ws+j,\\, c}, \\qquad
              \\frac{∂L}{∂x_{nhwc}} = \\frac{1}{k_h k_w} \\sum_{\\text{windows over } hw} \\frac{∂L}{∂y}

    Parameters
    ----------
    pool_size : int or pair of int
        Height kh and width kw of the window.
    stride : int or pair of int, optional
        s, the distance between positions of the window; by default its size.
    padding : "valid", "same", int, two ints, or ((above, below), (left, right))
        As in `Conv2D`, but less than the window. The average includes zeros of the padding, as in PyTorch, not in Keras.

    Notes
    -----
    Input (N, H, W, C), output (N, ⌊(H + padding − pool_size)/s⌋ + 1, likewise, C). Cache: an empty array with the input's
    shape.

    Raises
    ------
    ValueError
        If the input is not an image, or the window is larger than it.

    Examples
    --------
    >>> y, _ = AvgPool2D(2).forward({}, np.arange(16.0).reshape(1, 4, 4, 1))
    >>> y.ravel().tolist()
    [2.5, 4.5, 10.5, 12.5]

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document recognition", section II.B.
    """

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        first, *others = self._windows(x, 0.0)
        total = widened(first) * (1.0 / math.prod(self.pool_size))
        for part in others:
            total += widened(part) * (1.0 / math.prod(self.pool_size))
        return narrowed(total, x.dtype), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        places = math.prod(self.pool_size)
        return self._scatter([dy * (1.0 / places)] * places, cache.shape[1:]), {}


@dataclass(frozen=True)
class GlobalAvgPool2D(Layer):
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

    uses_key: ClassVar[bool] = False

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        return {}, (axis_sizes("GlobalAvgPool2D", input_shape, "height", "width", "channels")[2],)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return namespace(x).mean(x, axis=(1, 2)), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        xp, (_, height, width, channels) = namespace(dy), cache.shape
        each = xp.reshape(dy * (1.0 / (height * width)), (-1, 1, 1, channels))
        return xp.tile(each, (1, height, width, 1)), {}

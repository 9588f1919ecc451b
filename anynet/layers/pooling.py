"""Pooling: reduce each window of a sequence or an image to one value per channel.

Legend: N batch, L length, H W height and width, C channels. Derivation: docs/derivations/pooling.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.layers.base import Cache, Grads, Key, Params, empty_like
from anynet.layers.pooling_windows import Pool, Pool1D, Pool2D

TOGETHER = 16
"""Positions in the window that one kernel compares; its arguments are limited."""


@dataclass(frozen=True)
class MaxPool(Pool):
    """Base class of maxima over windows."""

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        first, *others = self.windows(x, -math.inf)
        y, index = first, xp.zeros_like(first, dtype=_index_dtype(xp, len(others)))
        for start in range(0, len(others), TOGETHER):
            index, y = _larger(index, y, start + 1, *others[start : start + TOGETHER])
        return xp.asarray(y, copy=True) if not others else y, (index, empty_like(x))

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        index, empty = cache
        numbers = range(math.prod(k for _, _, k, _ in self.geometry(empty.shape[1:-1])))
        parts: list[Array] = []
        for start in range(0, len(numbers), TOGETHER):
            parts += _where_equal(dy, index, *numbers[start : start + TOGETHER])
        return self.scatter(parts, empty.shape[1:]), {}


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
class AvgPool(Pool):
    """Base class of means over windows."""

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        parts = self.windows(x, 0.0)
        total = widened(parts[0]) * (1.0 / len(parts))
        for part in parts[1:]:
            total += widened(part) * (1.0 / len(parts))
        return narrowed(total, x.dtype), empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        places = math.prod(k for _, _, k, _ in self.geometry(cache.shape[1:-1]))
        return self.scatter([dy * (1.0 / places)] * places, cache.shape[1:]), {}


@dataclass(frozen=True)
class MaxPool2D(MaxPool, Pool2D):
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
    >>> import numpy as np
    >>> y, _ = MaxPool2D(2).forward({}, np.arange(16.0).reshape(1, 4, 4, 1))
    >>> y.ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]

    References
    ----------
    Riesenhuber, Poggio (1999), "Hierarchical models of object recognition in cortex", Nature Neuroscience 2.
    """


@dataclass(frozen=True)
class MaxPool1D(MaxPool, Pool1D):
    """Take the maximum of each channel in each window of a sequence.

    .. math:: y_{nlc} = \\max_i x_{n,\\, ls+i,\\, c}, \\qquad
              \\frac{∂L}{∂x} \\text{ receives } \\frac{∂L}{∂y} \\text{ at the first position of the maximum}

    Parameters
    ----------
    pool_size : int, at least 1
        Length of the window.
    stride : int, optional
        s, the distance between positions of the window; by default its size.
    padding : "valid", "same", int, or (before, after)
        As in `Conv1D`, but with −∞ in place of zeros, and less than the window.

    Notes
    -----
    Input (N, L, C), output (N, ⌊(L + padding − pool_size)/s⌋ + 1, C). Cache: as for `MaxPool2D`.

    Raises
    ------
    ValueError
        If the input is not a sequence, or the window is longer than it.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool1D(2).forward({}, np.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1))[0].ravel().tolist()
    [3.0, 2.0]

    References
    ----------
    Collobert et al. (2011), "Natural language processing (almost) from scratch", section 3.3.2, with a window.
    """


@dataclass(frozen=True)
class AvgPool2D(AvgPool, Pool2D):
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
    >>> import numpy as np
    >>> y, _ = AvgPool2D(2).forward({}, np.arange(16.0).reshape(1, 4, 4, 1))
    >>> y.ravel().tolist()
    [2.5, 4.5, 10.5, 12.5]

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document recognition", section II.B.
    """


@dataclass(frozen=True)
class AvgPool1D(AvgPool, Pool1D):
    """Average each channel over each window of a sequence.

    .. math:: y_{nlc} = \\frac1k \\sum_i x_{n,\\, ls+i,\\, c}, \\qquad
              \\frac{∂L}{∂x_{nlc}} = \\frac1k \\sum_{\\text{windows over } l} \\frac{∂L}{∂y}

    Parameters
    ----------
    pool_size : int, at least 1
        Length k of the window.
    stride : int, optional
        s, the distance between positions of the window; by default its size.
    padding : "valid", "same", int, or (before, after)
        As in `Conv1D`, but less than the window. The average includes zeros of the padding, as in PyTorch, not in Keras.

    Notes
    -----
    Input (N, L, C), output (N, ⌊(L + padding − pool_size)/s⌋ + 1, C). Cache: an empty array with the input's shape.

    Raises
    ------
    ValueError
        If the input is not a sequence, or the window is longer than it.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool1D(2).forward({}, np.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1))[0].ravel().tolist()
    [2.0, 1.0]

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document recognition", section II.B, over
    one axis.
    """

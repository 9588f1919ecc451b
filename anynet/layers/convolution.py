"""Convolution of images and sequences.

The arithmetic of both is in `anynet.layers.correlation`. The cache is the input alone.
Derivation: docs/derivations/convolution.md.

Legend: N batch, H W height and width, L length, C channels, F filters, G groups.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array
from anynet.arrays.reduce import total
from anynet.checks import check_flags, check_int
from anynet.initializers import GlorotUniform, Zeros, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, axis_sizes, init_param
from anynet.layers.correlation import Geometry, correlate, input_gradient, weight_gradient
from anynet.layers.windows import Pair, check_padding, fits, output_size, pads, pair


@dataclass(frozen=True)
class Conv2D(Layer):
    """Apply the same affine map to a window at every position of an image.

    .. math::

        y_{nhwf} = b_f + \\sum_{i,j,c} \\tilde x_{n,\\, hs+id,\\, ws+jd,\\, c} W_{ijcf}, \\qquad
        \\frac{∂L}{∂W_{ijcf}} = \\sum_{n,h,w} \\tilde x_{n,\\, hs+id,\\, ws+jd,\\, c} \\frac{∂L}{∂y_{nhwf}}, \\quad
        \\frac{∂L}{∂b_f} = \\sum_{n,h,w} \\frac{∂L}{∂y_{nhwf}}

    and ∂L/∂x is the convolution, with stride 1 and the same dilation, of ∂L/∂y, with s − 1 zeros between its elements, and
    W rotated by 180° with C and F swapped. x̃ is x padded with zeros.

    Parameters
    ----------
    filters : int, at least 1
        Number of output channels F.
    kernel_size : int or pair of int
        Height kh and width kw of the window.
    stride : int or pair of int
        s, the distance between positions of the window.
    padding : "valid", "same", int, two ints, or ((above, below), (left, right))
        "valid" adds no zeros; "same" adds zeros for ⌈H/s⌉ × ⌈W/s⌉ outputs, an odd one below and on the right. Numbers are the
        zeros per side; an int, or one int per axis, pads opposite sides equally.
    dilation : int or pair of int
        d, the distance between the taps of the window.
    groups : int, at least 1
        Number G of groups; the filters of a group read only its C/G channels. G = C is a depthwise convolution.
    use_bias : bool
        Whether to add b.
    weight : Initializer or array
        W, of shape (kh, kw, C/G, F); PyTorch's is (F, C/G, kh, kw).
    bias : Initializer or array
        b, of shape (F,).

    Notes
    -----
    Input (N, H, W, C), output (N, ⌊(H + padding − d(kh − 1) − 1)/s⌋ + 1, likewise, F). Cache: x. In
    addition to x, forward or backward with a 3 × 3 window needs three to six times the memory of x, results included. As in
    other libraries, this is a cross-correlation: the window is not flipped.

    Raises
    ------
    ValueError
        If the input is not an image, the window is larger than the padded image, or groups do not divide C and F.

    Examples
    --------
    >>> layer = Conv2D(1, 2, weight=np.ones((2, 2, 1, 1)))
    >>> params, shape = layer.init(np.random.default_rng(0), (2, 3, 1))
    >>> y, _ = layer.forward(params, np.arange(6.0).reshape(1, 2, 3, 1))
    >>> shape, y.ravel().tolist()
    ((1, 2, 1), [8.0, 12.0])

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document recognition", section II.A;
    Dumoulin, Visin (2016), "A guide to convolution arithmetic for deep learning", sections 2 and 4.
    """

    uses_key: ClassVar[bool] = False
    mixes_positions: ClassVar[bool] = True

    filters: int
    kernel_size: Any
    _: KW_ONLY
    stride: Any = 1
    padding: Any = "valid"
    dilation: Any = 1
    groups: int = 1
    use_bias: bool = True
    weight: Any = GlorotUniform()
    bias: Any = Zeros()

    def __post_init__(self) -> None:
        check_int("Conv2D", "filters", self.filters, at_least=1)
        check_int("Conv2D", "groups", self.groups, at_least=1)
        check_divisible("Conv2D", "filters", self.filters, self.groups)
        for name in ("kernel_size", "stride", "dilation"):
            object.__setattr__(self, name, pair("Conv2D", name, getattr(self, name)))
        object.__setattr__(self, "padding", check_padding("Conv2D", self.padding))
        check_flags("Conv2D", use_bias=self.use_bias)
        object.__setattr__(self, "weight", as_initializer(self.weight, "Conv2D: weight"))
        object.__setattr__(self, "bias", as_initializer(self.bias, "Conv2D: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"Conv2D({self.filters})"
        hint = "; put Reshape((*shape, 1)) before it" if len(input_shape) == 2 else ""
        height, width, channels = axis_sizes(where, input_shape, "height", "width", "channels", hint=hint)
        check_divisible(where, "input channels", channels, self.groups)
        sizes = self._sizes(height, width, channels)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        params = {"weight": init_param(f"{where}: weight", self.weight, rng, shape)}
        if self.use_bias:
            params["bias"] = init_param(f"{where}: bias", self.bias, rng, (self.filters,))
        return params, (*sizes, self.filters)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        weight = params["weight"]
        if x.ndim != 4 or x.shape[3] != weight.shape[2] * self.groups:
            raise ValueError(
                f"Conv2D({self.filters}): expected x of shape (N, H, W, {weight.shape[2] * self.groups}), "
                f"got {tuple(x.shape)}"
            )
        self._sizes(*x.shape[1:])
        y = correlate(x, weight, self._geometry(x))
        if self.use_bias:
            y += params["bias"]
        return y, x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, weight = cache, params["weight"]
        geometry = self._geometry(x)
        grads = {"weight": weight_gradient(x, dy, weight.shape, geometry)}
        if self.use_bias:
            grads["bias"] = total(dy, axis=(0, 1, 2))
        return (input_gradient(dy, weight, x.shape, geometry) if need_dx else None), grads

    def _geometry(self, x: Array) -> Geometry:
        return Geometry(self._pads(x.shape[1], x.shape[2]), self.stride, self.dilation, self.groups)

    def _pads(self, *lengths: int) -> tuple[Pair, Pair]:
        first, second = (
            pads(self.padding, a, lengths[a], self.kernel_size[a], self.stride[a], self.dilation[a]) for a in (0, 1)
        )
        return first, second

    def _sizes(self, *shape: int) -> Pair:
        """Return height and width of the output; raise ValueError if the window does not fit into the input."""
        first, second = (
            output_size(self.padding, a, shape[a], self.kernel_size[a], self.stride[a], self.dilation[a])
            for a in (0, 1)
        )
        if not fits((first, second)):
            raise ValueError(
                f"Conv2D({self.filters}): expected an image of at least the window {self._window()} with padding "
                f"{self.padding!r}, got input {shape}; shapes are (height, width, channels)"
            )
        return first, second

    def _window(self) -> str:
        return " x ".join(str(d * (k - 1) + 1) for k, d in zip(self.kernel_size, self.dilation, strict=True))


@dataclass(frozen=True)
class Conv1D(Layer):
    """Apply the same affine map to a window at every position of a sequence.

    .. math:: y_{nlf} = b_f + \\sum_{i,c} \\tilde x_{n,\\, ls+id,\\, c} W_{icf}

    This is `Conv2D` on images of height 1, with the same gradients.

    Parameters
    ----------
    filters : int, at least 1
        Number of output channels F.
    kernel_size : int, at least 1
        Length k of the window.
    stride, dilation, groups : int, at least 1
        As in `Conv2D`.
    padding : "valid", "same", int, or (before, after)
        Zeros before and after the sequence, as in `Conv2D`.
    use_bias : bool
        Whether to add b.
    weight : Initializer or array
        W, of shape (k, C/G, F); PyTorch's is (F, C/G, k).
    bias : Initializer or array
        b, of shape (F,).

    Notes
    -----
    Input (N, L, C), output (N, ⌊(L + padding − d(k − 1) − 1)/s⌋ + 1, F). Cache: x.

    Raises
    ------
    ValueError
        If the input is not a sequence, the window is longer than the padded sequence, or groups do not divide C and F.

    Examples
    --------
    >>> layer = Conv1D(1, 2, weight=[[[1.0]], [[-1.0]]])
    >>> params, _ = layer.init(np.random.default_rng(0), (4, 1))
    >>> layer.forward(params, np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1))[0].ravel().tolist()
    [-1.0, -2.0, -4.0]

    References
    ----------
    Waibel, Hanazawa, Hinton, Shikano, Lang (1989), "Phoneme recognition using time-delay neural networks", section II.
    """

    uses_key: ClassVar[bool] = False

    filters: int
    kernel_size: int
    _: KW_ONLY
    stride: int = 1
    padding: Any = "valid"
    dilation: int = 1
    groups: int = 1
    use_bias: bool = True
    weight: Any = GlorotUniform()
    bias: Any = Zeros()

    @property
    def mixes_positions(self) -> bool:  # type: ignore[override]
        causal = isinstance(self.padding, tuple) and self.padding[1] == 0
        return self.stride > 1 or not (causal or self.kernel_size == 1)

    def __post_init__(self) -> None:
        for name in ("filters", "kernel_size", "stride", "dilation", "groups"):
            check_int("Conv1D", name, getattr(self, name), at_least=1)
        check_divisible("Conv1D", "filters", self.filters, self.groups)
        if not isinstance(self.padding, str):
            object.__setattr__(self, "padding", pair("Conv1D", "padding", self.padding, at_least=0))
        check_padding("Conv1D", self.padding)
        check_flags("Conv1D", use_bias=self.use_bias)
        object.__setattr__(self, "weight", as_initializer(self.weight, "Conv1D: weight"))
        object.__setattr__(self, "bias", as_initializer(self.bias, "Conv1D: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"Conv1D({self.filters})"
        length, channels = axis_sizes(where, input_shape, "length", "channels")
        check_divisible(where, "input channels", channels, self.groups)
        size = self._size(length, channels)
        shape = (self.kernel_size, channels // self.groups, self.filters)
        params = {"weight": init_param(f"{where}: weight", self.weight, rng, shape)}
        if self.use_bias:
            params["bias"] = init_param(f"{where}: bias", self.bias, rng, (self.filters,))
        return params, (size, self.filters)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        weight = params["weight"]
        if x.ndim != 3 or x.shape[2] != weight.shape[1] * self.groups:
            raise ValueError(
                f"Conv1D({self.filters}): expected x of shape (N, L, {weight.shape[1] * self.groups}), "
                f"got {tuple(x.shape)}"
            )
        self._size(*x.shape[1:])
        y = correlate(x[:, None, :, :], weight[None, ...], self._geometry(x))
        if self.use_bias:
            y += params["bias"]
        return y[:, 0, :, :], x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, weight = cache[:, None, :, :], params["weight"][None, ...]
        geometry, dy4 = self._geometry(cache), dy[:, None, :, :]
        grads = {"weight": weight_gradient(x, dy4, weight.shape, geometry)[0, ...]}
        if self.use_bias:
            grads["bias"] = total(dy, axis=(0, 1))
        return (input_gradient(dy4, weight, x.shape, geometry)[:, 0, :, :] if need_dx else None), grads

    def _size(self, *shape: int) -> int:
        """Return the length of the output; raise ValueError if the window does not fit into the input."""
        k, d = self.kernel_size, self.dilation
        size = output_size(self._around, 1, shape[0], k, self.stride, d)
        if not fits((size,)):
            raise ValueError(
                f"Conv1D({self.filters}): expected a sequence of at least the window {d * (k - 1) + 1} with padding "
                f"{self.padding!r}, got input {shape}"
            )
        return size

    @property
    def _around(self) -> Any:
        """The padding as that of an image."""
        return self.padding if isinstance(self.padding, str) else (self.padding, self.padding)

    def _pad(self, length: int) -> Pair:
        return pads(self._around, 1, length, self.kernel_size, self.stride, self.dilation)

    def _geometry(self, x: Array) -> Geometry:
        return Geometry(((0, 0), self._pad(x.shape[1])), (1, self.stride), (1, self.dilation), self.groups)


def check_divisible(where: str, name: str, number: int, groups: int) -> None:
    """Raise unless a number of channels is divisible by `groups`."""
    if number % groups:
        raise ValueError(f"{where}: expected {name} divisible by groups={groups}, got {number}")

"""Variants of `ReLU`: the identity for positive inputs, small but nonzero outputs for negative ones.

At 0, where the derivative jumps, its value is that of the negative side, as in PyTorch. Derivations:
docs/derivations/activations.md.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_number
from anynet.initializers import Constant, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, init_param, last_axis


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """Apply a rectifier with a small slope for negative inputs.

    .. math:: y = \\max(x, 0) + α \\min(x, 0), \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\begin{cases} 1 & x > 0 \\\\ α & x ≤ 0 \\end{cases}

    Parameters
    ----------
    negative_slope : float, in [0, inf)
        α; 0.01 in the paper and in PyTorch (Keras: 0.3).

    Notes
    -----
    Any shape. Cache: y, which is positive exactly where x is.

    Examples
    --------
    >>> LeakyReLU(0.1).forward({}, np.array([[-2.0, 3.0]]))[0]
    array([[-0.2,  3. ]])

    References
    ----------
    Maas, Hannun, Ng (2013), "Rectifier nonlinearities improve neural network acoustic models", eq. 2.
    """

    uses_key: ClassVar[bool] = False

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        check_number("LeakyReLU", "negative_slope", self.negative_slope, "[0, inf)")

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        y = xp.maximum(x, 0.0) + self.negative_slope * xp.minimum(x, 0.0)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        y = cache
        positive = namespace(dy).astype(y > 0, dy.dtype)
        return dy * (positive * (1.0 - self.negative_slope) + self.negative_slope), {}


@dataclass(frozen=True)
class PReLU(Layer):
    """Apply a leaky rectifier with a learned slope.

    .. math::

        y = \\max(x, 0) + w \\min(x, 0), \\qquad
        \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\begin{cases} 1 & x > 0 \\\\ w & x ≤ 0 \\end{cases}, \\qquad
        \\frac{∂L}{∂w} = \\sum \\frac{∂L}{∂y} \\min(x, 0)

    Parameters
    ----------
    weight : Initializer or array
        w; 0.25 as in the paper.
    per_channel : bool
        Whether each channel (last axis) has its own slope, with w of shape (C,). By default all channels share one, with w of
        shape (1,), as in PyTorch.

    Notes
    -----
    Any shape (..., C). Cache: x.

    Examples
    --------
    >>> layer = PReLU()
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[-2.0, 3.0]]))[0]
    array([[-0.5,  3. ]])

    References
    ----------
    He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers", eqs. 1 to 3.
    """

    uses_key: ClassVar[bool] = False

    _: KW_ONLY
    weight: Any = Constant(0.25)
    per_channel: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_initializer(self.weight, "PReLU: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (last_axis("PReLU", input_shape) if self.per_channel else 1,)
        return {"weight": init_param("PReLU: weight", self.weight, rng, shape)}, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        return xp.maximum(x, 0.0) + params["weight"] * xp.minimum(x, 0.0), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, w, xp = cache, params["weight"], namespace(dy)
        each = dy * xp.minimum(x, 0.0)
        rows = xp.reshape(each, (-1, x.shape[-1] if self.per_channel else 1))
        grads = {"weight": total(rows, axis=0)}
        if not need_dx:
            return None, grads
        positive = xp.astype(x > 0, dy.dtype)
        return dy * (positive + (1.0 - positive) * w), grads


@dataclass(frozen=True)
class ELU(Layer):
    """Apply the exponential linear unit, which saturates at −α.

    .. math:: y = \\begin{cases} x & x > 0 \\\\ α (e^x - 1) & x ≤ 0 \\end{cases}, \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\begin{cases} 1 & x > 0 \\\\ α e^x & x ≤ 0 \\end{cases}

    Parameters
    ----------
    alpha : float, in [0, inf)
        α.

    Notes
    -----
    Any shape. Cache: x. (For x ≤ 0 the derivative is also y + α, but that loses digits where it is small.)

    Examples
    --------
    >>> ELU().forward({}, np.array([[-1e4, 3.0]]))[0]
    array([[-1.,  3.]])

    References
    ----------
    Clevert, Unterthiner, Hochreiter (2016), "Fast and accurate deep network learning by exponential linear units",
    eq. 15.
    """

    uses_key: ClassVar[bool] = False

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_number("ELU", "alpha", self.alpha, "[0, inf)")

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return _exponential_linear(x, 1.0, self.alpha), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (_exponential_slope(cache, dy, 1.0, self.alpha) if need_dx else None), {}


SELU_SCALE = 1.0507009873554805
"""λ, chosen so that mean 0 and variance 1 are a fixed point of a layer with normal weights (eq. 14)."""

SELU_ALPHA = 1.6732632423543772
"""α, chosen together with λ."""


@dataclass(frozen=True)
class SELU(Layer):
    """Apply the scaled exponential linear unit, which keeps activations near mean 0 and variance 1.

    .. math:: y = λ \\begin{cases} x & x > 0 \\\\ α (e^x - 1) & x ≤ 0 \\end{cases}, \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ λ \\begin{cases} 1 & x > 0 \\\\ α e^x & x ≤ 0 \\end{cases}

    with λ = 1.0507… and α = 1.6732…. Use it with `LecunNormal` weights, and with `AlphaDropout` in place of `Dropout`.

    Notes
    -----
    Any shape. Cache: x.

    Examples
    --------
    >>> SELU().forward({}, np.array([[-1e4, 1.0]]))[0].round(4)
    array([[-1.7581,  1.0507]])

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter (2017), "Self-normalizing neural networks", eqs. 2 and 14.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return _exponential_linear(x, SELU_SCALE, SELU_SCALE * SELU_ALPHA), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (_exponential_slope(cache, dy, SELU_SCALE, SELU_SCALE * SELU_ALPHA) if need_dx else None), {}


@fused
def _exponential_linear(x: Array, above: float, below: float) -> Array:
    """Return `above` · x where x > 0, and `below` · (eˣ − 1) elsewhere."""
    xp = namespace(x)
    return above * xp.maximum(x, 0.0) + below * xp.expm1(xp.minimum(x, 0.0))


@fused
def _exponential_slope(x: Array, dy: Array, above: float, below: float) -> Array:
    """Return dy times `above` where x > 0, and times `below` · eˣ elsewhere."""
    xp = namespace(x)
    positive = xp.astype(x > 0, dy.dtype)
    return dy * (positive * above + (1.0 - positive) * (below * xp.exp(xp.minimum(x, 0.0))))

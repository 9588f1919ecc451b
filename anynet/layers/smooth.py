"""Smooth activations: softplus, and the self-gated activations y = x · gate(x).

The formulas avoid overflow and the subtraction of nearly equal numbers. Derivations: docs/derivations/activations.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.special import normal, sigmoid
from anynet.layers.base import Cache, Grads, Key, Layer, Params


@dataclass(frozen=True)
class Softplus(Layer):
    """Apply softplus, the integral of the logistic function: a smooth rectifier.

    .. math:: y = \\log(1 + e^x) = \\max(x, 0) + \\log(1 + e^{-|x|}), \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ (1 - e^{-y})

    Notes
    -----
    Any shape. Cache: y, since σ(x) = 1 − exp(−y). Accurate everywhere; PyTorch returns x above 20.

    Examples
    --------
    >>> import numpy as np
    >>> Softplus().forward({}, np.array([[-1e4, 0.0, 1e4]]))[0].round(4)
    array([[0.000e+00, 6.931e-01, 1.000e+04]])

    References
    ----------
    Dugas, Bengio, Bélisle, Nadeau, Garcia (2001), "Incorporating second-order functional knowledge for better option
    pricing", eq. 4.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = _softplus(x)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        y = cache
        return (_softplus_gradient(dy, y) if need_dx else None), {}


@fused
def _softplus(x: Array) -> Array:
    xp = namespace(x)
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


@fused
def _softplus_gradient(dy: Array, y: Array) -> Array:
    return dy * -namespace(dy).expm1(-y)


@dataclass(frozen=True)
class SiLU(Layer):
    """Apply the sigmoid linear unit, also known as swish.

    .. math:: y = x σ(x), \\qquad \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\big(σ(x) + y (1 - σ(x))\\big)

    Notes
    -----
    Any shape. Cache: dy/dx.

    Examples
    --------
    >>> import numpy as np
    >>> SiLU().forward({}, np.array([[0.0, 1.0, 1e4]]))[0].round(4)
    array([[0.000e+00, 7.311e-01, 1.000e+04]])

    References
    ----------
    Elfwing, Uchibe, Doya (2018), "Sigmoid-weighted linear units for neural network function approximation in reinforcement
    learning", eqs. 5 and 7.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return _silu(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        slope = cache
        return (dy * slope if need_dx else None), {}


Swish = SiLU


@fused
def _silu(x: Array) -> tuple[Array, Array]:
    gate = sigmoid(x)
    y = x * gate
    return y, gate + y * (1.0 - gate)


@dataclass(frozen=True)
class GELU(Layer):
    """Apply the Gaussian error linear unit: x times the standard normal CDF of x.

    .. math::

        y = x Φ(x), \\quad \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\big(Φ(x) + x φ(x)\\big), \\quad
        Φ(x) = \\tfrac12 \\big(1 + \\text{erf}(x / \\sqrt2)\\big), \\quad φ(x) = \\frac{e^{-x^2/2}}{\\sqrt{2π}}

    The tanh form approximates Φ(x) by ½(1 + t), with t = tanh u and u = √(2/π)(x + 0.044715 x³), and its derivative is

    .. math:: \\tfrac12 (1 + t) + \\tfrac12 x (1 - t^2) \\sqrt{2/π}\\, (1 + 3 \\cdot 0.044715\\, x^2)

    Parameters
    ----------
    approximate : "none" or "tanh"
        The exact form, or the tanh form, which GPT-2 and BERT were trained with; they differ by up to 5e-4.

    Notes
    -----
    Any shape. Cache: dy/dx, which has Φ and its exponential in common with y.

    Examples
    --------
    >>> import numpy as np
    >>> GELU().forward({}, np.array([[-1.0, 0.0, 1e4]]))[0].round(4)
    array([[-1.587e-01,  0.000e+00,  1.000e+04]])

    References
    ----------
    Hendrycks, Gimpel (2016), "Gaussian error linear units (GELUs)", section 2.
    """

    uses_key: ClassVar[bool] = False

    approximate: str = "none"

    def __post_init__(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate to be 'none' or 'tanh', got {self.approximate!r}")

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return (_gelu if self.approximate == "none" else _tanh_gelu)(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        slope = cache
        return (dy * slope if need_dx else None), {}


@fused
def _gelu(x: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    gate, density = normal(x)
    return x * gate, gate + xp.minimum(xp.maximum(x, -40.0), 40.0) * density  # beyond, the density is 0


@fused
def _tanh_gelu(x: Array) -> tuple[Array, Array]:
    u, clipped, slope = _tanh_argument(x)
    gate = sigmoid(2.0 * u)
    return x * gate, gate + clipped * (2.0 * gate * (1.0 - gate) * slope)


def _tanh_argument(x: Array) -> tuple[Array, Array, Array]:
    """Return u, x clipped to ±30, and du/dx. Note that ½(1 + tanh u) = σ(2u).

    Beyond the bound σ(2u) is 0 or 1 to the last digit, and within it 2u is below 2000, which float16 can represent.
    """
    xp = namespace(x)
    x = xp.minimum(xp.maximum(x, -30.0), 30.0)
    square = x * x
    scale = math.sqrt(2.0 / math.pi)
    return scale * x * (1.0 + 0.044715 * square), x, scale * (1.0 + 3.0 * 0.044715 * square)


@dataclass(frozen=True)
class Mish(Layer):
    """Apply mish: x times the tanh of its softplus.

    .. math::

        y = x w, \\quad w = \\tanh \\log(1 + e^x) = \\frac{n}{n + 2}, \\quad n = e^x (e^x + 2), \\qquad
        \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\Big(w + x \\frac{4 e^x (e^x + 1)}{(n + 2)^2}\\Big)

    Notes
    -----
    Any shape. Cache: dy/dx. Both fractions are computed from :math:`e^{-|x|}`, for positive x divided above and below by
    :math:`e^{2x}` and :math:`e^{4x}`, so nothing overflows in any dtype.

    Examples
    --------
    >>> import numpy as np
    >>> Mish().forward({}, np.array([[-1.0, 0.0, 1e4]]))[0].round(4)
    array([[-3.034e-01,  0.000e+00,  1.000e+04]])

    References
    ----------
    Misra (2020), "Mish: a self regularized non-monotonic activation function", eq. 1.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return _mish(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        slope = cache
        return (dy * slope if need_dx else None), {}


@fused
def _mish(x: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    e, positive = _decay(x)
    gate, m = _mish_gate(e, positive)
    slope = 4.0 * e * (1.0 + e) / (m * m)
    return x * gate, gate + x * (xp.where(positive, e, e * 0.0 + 1.0) * slope)


def _decay(x: Array) -> tuple[Array, Array]:
    """Return e^{−|x|}, and whether x is positive."""
    xp = namespace(x)
    return xp.exp(-xp.abs(x)), x > 0


def _mish_gate(e: Array, positive: Array) -> tuple[Array, Array]:
    """Return w and its denominator m: n + 2, where x is positive (n + 2)/e²ˣ."""
    xp = namespace(e)
    square = e * e
    m = xp.where(positive, 1.0 + 2.0 * (e + square), 2.0 + 2.0 * e + square)
    return xp.where(positive, 1.0 + 2.0 * e, square + 2.0 * e) / m, m

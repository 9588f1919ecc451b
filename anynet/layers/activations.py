"""Elementwise activation functions: y = g(x), ∂L/∂x = ∂L/∂y ⊙ g′(x).

Each caches its output, from which the derivative is cheapest to compute. Derivations: docs/derivations/activations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.special import sigmoid
from anynet.layers.base import Cache, Grads, Key, Layer, Params


@dataclass(frozen=True)
class Identity(Layer):
    """Return the input unchanged: y = x, ∂L/∂x = ∂L/∂y.

    Examples
    --------
    >>> Identity().forward({}, 2.0)[0]
    2.0
    """

    uses_key: ClassVar[bool] = False
    preserves_values: ClassVar[bool] = True

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return x, None

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (dy if need_dx else None), {}


@dataclass(frozen=True)
class Sigmoid(Layer):
    """Apply the logistic function, which maps (−∞, ∞) to (0, 1).

    .. math:: y = \\frac{1}{1 + e^{-x}}, \\qquad \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ y ⊙ (1 - y)

    Notes
    -----
    Any shape. Cache: y. Computed from exp(−|x|), which never overflows and keeps small outputs accurate.

    Examples
    --------
    >>> import numpy as np
    >>> Sigmoid().forward({}, np.array([[-1e4, 0.0, 1e4]]))[0]
    array([[0. , 0.5, 1. ]])
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = sigmoid(x)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        y = cache
        return (_sigmoid_gradient(dy, y) if need_dx else None), {}


@fused
def _sigmoid_gradient(dy: Array, y: Array) -> Array:
    return dy * y * (1.0 - y)


@dataclass(frozen=True)
class Tanh(Layer):
    """Apply the hyperbolic tangent, which maps (−∞, ∞) to (−1, 1).

    .. math:: y = \\tanh x, \\qquad \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ (1 - y^2)

    Notes
    -----
    Any shape. Cache: y.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh().forward({}, np.array([[0.0, 1e4]]))[0]
    array([[0., 1.]])
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = namespace(x).tanh(x)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        y = cache
        return (_tanh_gradient(dy, y) if need_dx else None), {}


@fused
def _tanh_gradient(dy: Array, y: Array) -> Array:
    return dy * (1.0 - y * y)


@dataclass(frozen=True)
class ReLU(Layer):
    """Apply the rectified linear unit.

    .. math:: y = \\max(x, 0), \\qquad \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ [y > 0]

    Notes
    -----
    Any shape. Cache: y. The derivative at 0 is 0, as in PyTorch and in the lecture notes.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU().forward({}, np.array([[-2.0, 3.0]]))[0]
    array([[0., 3.]])

    References
    ----------
    Nair, Hinton (2010), "Rectified linear units improve restricted Boltzmann machines", section 2.1.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = namespace(x).maximum(x, 0.0)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        y = cache
        return (_relu_gradient(dy, y) if need_dx else None), {}


@fused
def _relu_gradient(dy: Array, y: Array) -> Array:
    return dy * namespace(dy).astype(y > 0, dy.dtype)

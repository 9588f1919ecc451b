"""Softmax and log-softmax over the last axis, each with its exact Jacobian product.

Legend: N batch, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.arrays.special import shifted_exp
from anynet.layers.base import Cache, Grads, Key, Layer, Params


@dataclass(frozen=True)
class Softmax(Layer):
    """Convert logits to probabilities that sum to one.

    .. math::

        y_i = \\frac{e^{x_i}}{\\sum_j e^{x_j}}, \\qquad
        \\frac{∂y_i}{∂x_k} = y_i (δ_{ik} - y_k), \\qquad
        \\frac{∂L}{∂x} = y ⊙ \\Big(\\frac{∂L}{∂y} - \\sum_i \\frac{∂L}{∂y_i} y_i\\Big)

    This is the product with the full Jacobian ``A ⊙ (I − Aᵀ)`` of note 004, computed in O(C) without forming the matrix.
    To train a classifier, omit this layer and use `SoftmaxCrossEntropy` on the logits, which stays accurate where a
    probability underflows.

    Notes
    -----
    Input and output (..., C). Cache: y.

    Examples
    --------
    >>> import numpy as np
    >>> Softmax().forward({}, np.array([[1e4, 1e4]]))[0]
    array([[0.5, 0.5]])

    References
    ----------
    Bridle (1990), "Probabilistic interpretation of feedforward classification network outputs", eq. 3.
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = softmax(x)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        y = cache
        return _softmax_dx(dy, y, total(dy * y, axis=-1, keepdims=True)), {}


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """Return the logarithm of softmax, accurate even where the probability would underflow.

    .. math::

        y_i = x_i - \\log \\sum_j e^{x_j}, \\qquad
        \\frac{∂L}{∂x} = \\frac{∂L}{∂y} - e^y \\sum_i \\frac{∂L}{∂y_i}

    Notes
    -----
    Input and output (..., C). Cache: y.

    Examples
    --------
    >>> import numpy as np
    >>> LogSoftmax().forward({}, np.array([[0.0, 1e4]]))[0]
    array([[-10000.,      0.]])
    """

    uses_key: ClassVar[bool] = False

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = log_softmax(x)
        return y, y

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        return _log_softmax_dx(dy, cache, total(dy, axis=-1, keepdims=True)), {}


@fused
def _softmax_dx(dy: Array, y: Array, along: Array) -> Array:
    return y * (dy - along)


@fused
def _log_softmax_dx(dy: Array, y: Array, along: Array) -> Array:
    return dy - namespace(dy).exp(y) * along


def softmax(x: Array) -> Array:
    """Return softmax over the last axis; subtracting the largest logit first prevents overflow."""
    _, e = shifted_exp(x, namespace(x).max(x, axis=-1, keepdims=True))
    return e / total(e, axis=-1, keepdims=True)


def log_softmax(x: Array) -> Array:
    """Return log-softmax over the last axis."""
    xp = namespace(x)
    z, e = shifted_exp(x, xp.max(x, axis=-1, keepdims=True))
    return z - xp.log(total(e, axis=-1, keepdims=True))

r"""Regression losses of an error e = ŷ − y.

====================  =======================  ================================================================
loss                  of one error             properties
====================  =======================  ================================================================
`HalfSquaredError`    ½e²                      quadratic; minimized by the mean of the targets
`MeanSquaredError`    e²                       the same; averaged over the outputs
`MeanAbsoluteError`   \|e\|                    linear; minimized by the median, less sensitive to outliers
`Huber`               ½e², or δ(\|e\| − ½δ)    quadratic up to δ, linear beyond
`LogCosh`             log cosh e               similar to Huber with δ = 1, with a continuous second derivative
====================  =======================  ================================================================

Derivations: docs/derivations/losses.md.

Legend: N batch, O outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_number
from anynet.losses.base import Cache, Loss, check_same_shape, outputs


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the squared error, summed over the outputs: the loss of the lecture notes.

    .. math:: ℓ_n = \\tfrac12 \\sum_o (ŷ_{no} - y_{no})^2, \\qquad \\frac{∂ℓ_n}{∂ŷ_n} = ŷ_n - y_n

    The mean over a batch of m examples is the cost of the lecture notes, 1/(2m) Σ (y − ŷ)².

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y.

    Examples
    --------
    >>> import numpy as np
    >>> print(HalfSquaredError().forward(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))[0])
    2.5
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("HalfSquaredError", y_true, y_pred)
        error = y_pred - y_true
        return 0.5 * total(error * error, axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return cache


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared error, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o (ŷ_{no} - y_{no})^2, \\qquad \\frac{∂ℓ_n}{∂ŷ_n} = \\frac2O (ŷ_n - y_n)

    The same as PyTorch's `MSELoss` and Keras' `MeanSquaredError`, with the derivative 2/n (y − y*) of note 004.

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y.

    Examples
    --------
    >>> import numpy as np
    >>> print(MeanSquaredError().forward(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))[0])
    2.5
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("MeanSquaredError", y_true, y_pred)
        error = y_pred - y_true
        return namespace(error).mean(error * error, axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return cache * (2.0 / math.prod(cache.shape[1:]))


MSE = MeanSquaredError


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """The absolute error, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o |ŷ_{no} - y_{no}|, \\qquad
              \\frac{∂ℓ_n}{∂ŷ_n} = \\frac1O \\operatorname{sign}(ŷ_n - y_n)

    The same as PyTorch's `L1Loss` and Keras' `MeanAbsoluteError`; the derivative at zero is 0.

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y.

    Examples
    --------
    >>> import numpy as np
    >>> print(MeanAbsoluteError().forward(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))[0])
    1.5
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("MeanAbsoluteError", y_true, y_pred)
        xp, error = namespace(y_pred), y_pred - y_true
        return xp.mean(xp.abs(error), axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return namespace(cache).sign(cache) * (1.0 / math.prod(cache.shape[1:]))


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared error up to δ, linear beyond, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o c_{no} \\big(|e_{no}| - \\tfrac12 c_{no}\\big), \\quad
              e = ŷ - y, \\; c = \\min(|e|, δ), \\qquad
              \\frac{∂ℓ_n}{∂ŷ_n} = \\frac1O \\min(\\max(e_n, -δ), δ)

    Parameters
    ----------
    delta : float, in (0, inf)
        δ, the error beyond which the loss is linear.

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y. The same as PyTorch's `HuberLoss` and Keras' `Huber`; PyTorch's
    `SmoothL1Loss(beta=δ)` is this divided by δ.

    Examples
    --------
    >>> import numpy as np
    >>> print(Huber(1.0).forward(np.array([[0.5, 1.0]]), np.array([[1.0, 3.0]]))[0])
    0.8125

    References
    ----------
    Huber (1964), "Robust estimation of a location parameter", where δ is called k.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_number("Huber", "delta", self.delta, "(0, inf)")

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("Huber", y_true, y_pred)
        xp, error = namespace(y_pred), y_pred - y_true
        size = xp.abs(error)
        inner = xp.minimum(size, self.delta)
        return xp.mean(inner * (size - 0.5 * inner), axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        xp = namespace(cache)
        return xp.minimum(xp.maximum(cache, -self.delta), self.delta) * (1.0 / math.prod(cache.shape[1:]))


@dataclass(frozen=True)
class LogCosh(Loss):
    """The logarithm of the hyperbolic cosine of the error, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o \\log\\cosh e_{no}, \\quad e = ŷ - y, \\qquad
              \\frac{∂ℓ_n}{∂ŷ_n} = \\frac1O \\tanh e_n

    Computed as :math:`|e| + \\log(1 + ½(e^{-2|e|} - 1))`, which does not overflow.

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y. The same as Keras' `LogCosh`; PyTorch has none.

    Examples
    --------
    >>> import numpy as np
    >>> print(LogCosh().forward(np.array([[0.0]]), np.array([[1e4]]))[0].round(4))
    9999.3069
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("LogCosh", y_true, y_pred)
        xp, error = namespace(y_pred), y_pred - y_true
        size = xp.abs(error)
        return xp.mean(size + xp.log1p(0.5 * xp.expm1(-2.0 * size)), axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return namespace(cache).tanh(cache) * (1.0 / math.prod(cache.shape[1:]))

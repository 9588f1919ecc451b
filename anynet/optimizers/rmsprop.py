r"""RMSprop: steps divided by the root mean square of recent gradients."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import maximum, sqrt
from anynet.arrays.namespace import Array
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def rmsprop(p: Array, g: Array, v: Array, rate: Any, mix: Any, epsilon: Any) -> tuple[Array, ...]:
    v += mix * (g * g - v)
    p -= rate * g / (sqrt(v) + epsilon)
    return p, v


def rmsprop_momentum(
    p: Array, g: Array, v: Array, b: Array, rate: Any, mix: Any, epsilon: Any, momentum: Any
) -> tuple[Array, ...]:
    v += mix * (g * g - v)
    b *= momentum
    b += g / (sqrt(v) + epsilon)
    p -= rate * b
    return p, v, b


def centered(p: Array, g: Array, v: Array, m: Array, rate: Any, mix: Any, epsilon: Any) -> tuple[Array, ...]:
    v += mix * (g * g - v)
    m += mix * (g - m)
    p -= rate * g / (sqrt(maximum(v - m * m, m - m)) + epsilon)  # m - m is 0: rounding may make the variance negative
    return p, v, m


def centered_momentum(
    p: Array, g: Array, v: Array, m: Array, b: Array, rate: Any, mix: Any, epsilon: Any, momentum: Any
) -> tuple[Array, ...]:
    v += mix * (g * g - v)
    m += mix * (g - m)
    b *= momentum
    b += g / (sqrt(maximum(v - m * m, m - m)) + epsilon)
    p -= rate * b
    return p, v, m, b


@dataclass(frozen=True)
class RMSprop(Optimizer):
    r"""RMSprop: divide each gradient by the root mean square of recent gradients.

    .. math::

        v ← ρ v + (1 - ρ) g^2, \quad
        d = \frac{g}{\sqrt{v} + ε} \;\text{ or, centered, }\;
        m ← ρ m + (1 - ρ) g, \; d = \frac{g}{\sqrt{v - m^2} + ε}, \quad
        b ← μ b + d, \quad θ ← θ - α b

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    rho : float or Schedule, in [0, 1)
        Decay rate ρ of the running means; `alpha` in PyTorch.
    momentum : float or Schedule, in [0, 1)
        Momentum μ. With 0, no velocity is kept and b equals d.
    centered : bool
        Whether to divide by the standard deviation of the gradient instead.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added to the square root, as in PyTorch; Keras and TensorFlow add it under the root.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = RMSprop(0.1), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0. -3.]

    References
    ----------
    Tieleman, Hinton (2012), "Neural networks for machine learning", lecture 6.5; centered: Graves (2013), "Generating
    sequences with recurrent neural networks", eqs. 38 to 41.
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    rho: float | Schedule = 0.99
    momentum: float | Schedule = 0.0
    centered: bool = False
    epsilon: float | Schedule = 1e-8

    def __post_init__(self) -> None:
        check_hyperparameter("RMSprop", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("RMSprop", "rho", self.rho, "[0, 1)")
        check_hyperparameter("RMSprop", "momentum", self.momentum, "[0, 1)")
        check_hyperparameter("RMSprop", "epsilon", self.epsilon, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("v", *(("m",) if self.centered else ()), *(("velocity",) if self.momentum else ()))

    @property
    def rule(self) -> Rule:
        if self.centered:
            return centered_momentum if self.momentum else centered
        return rmsprop_momentum if self.momentum else rmsprop

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        shared = value_at(self.learning_rate, step), 1.0 - value_at(self.rho, step), value_at(self.epsilon, step)
        return (*shared, value_at(self.momentum, step)) if self.momentum else shared

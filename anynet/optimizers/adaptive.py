r"""Optimizers that divide each gradient by the size of previous gradients.

Derivations: docs/derivations/optimizers.md.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import sqrt
from anynet.arrays.namespace import Array
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def adagrad(p: Array, g: Array, s: Array, rate: Any, epsilon: Any) -> tuple[Array, ...]:
    s += g * g
    p -= rate * g / (sqrt(s) + epsilon)
    return p, s


@dataclass(frozen=True)
class Adagrad(Optimizer):
    r"""Adagrad: divide each gradient by the root of the sum of all squared gradients.

    .. math:: s ← s + g^2, \qquad θ ← θ - α \frac{g}{\sqrt{s} + ε}

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added to the square root, as in PyTorch.

    Notes
    -----
    The sum starts at 0, as in the paper and in PyTorch; in Keras it starts at 0.1. Parameters of rare features keep a large
    effective learning rate.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = Adagrad(0.1), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0.9 -2.1]

    References
    ----------
    Duchi, Hazan, Singer (2011), "Adaptive subgradient methods for online learning and stochastic optimization", eq. 1 with
    a diagonal matrix.
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    epsilon: float | Schedule = 1e-10

    def __post_init__(self) -> None:
        check_hyperparameter("Adagrad", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("Adagrad", "epsilon", self.epsilon, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("s",)

    @property
    def rule(self) -> Rule:
        return adagrad

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        return value_at(self.learning_rate, step), value_at(self.epsilon, step)


def adadelta(p: Array, g: Array, v: Array, u: Array, rate: Any, keep: Any, mix: Any, epsilon: Any) -> tuple[Array, ...]:
    v *= keep
    v += mix * g * g
    move = sqrt((u + epsilon) / (v + epsilon)) * g
    u *= keep
    u += mix * move * move
    p -= rate * move
    return p, v, u


@dataclass(frozen=True)
class Adadelta(Optimizer):
    r"""Adadelta: scale each gradient by recent update sizes over recent gradient sizes.

    .. math::

        v ← ρ v + (1 - ρ) g^2, \quad
        δ = \sqrt{\frac{u + ε}{v + ε}}\, g, \quad
        u ← ρ u + (1 - ρ) δ^2, \quad
        θ ← θ - α δ

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α; 1 in the paper and in PyTorch, 0.001 in Keras. Updates have the units of θ.
    rho : float or Schedule, in [0, 1)
        Decay rate ρ of both running means.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added under both square roots.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = Adadelta(), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0.9968 -2.0031]

    References
    ----------
    Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1.
    """

    learning_rate: float | Schedule = 1.0
    _: KW_ONLY
    rho: float | Schedule = 0.9
    epsilon: float | Schedule = 1e-6

    def __post_init__(self) -> None:
        check_hyperparameter("Adadelta", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("Adadelta", "rho", self.rho, "[0, 1)")
        check_hyperparameter("Adadelta", "epsilon", self.epsilon, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("v", "u")

    @property
    def rule(self) -> Rule:
        return adadelta

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rho = value_at(self.rho, step)
        return value_at(self.learning_rate, step), rho, 1.0 - rho, value_at(self.epsilon, step)

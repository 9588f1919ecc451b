"""Adam: steps of a size that the gradient's own noise sets."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.namespace import Array, namespace
from anynet.optimizers.arithmetic import sqrt
from anynet.optimizers.base import Optimizer, Rule, Schedule, at
from anynet.validation import check_hyperparameter, check_number


def adam(
    p: Array, g: Array, m: Array, v: Array, rate: Any, mix1: Any, mix2: Any, scale: Any, epsilon: Any
) -> tuple[Array, ...]:
    m += mix1 * (g - m)
    v += mix2 * (g * g - v)
    p -= rate * m / (scale * sqrt(v) + epsilon)
    return p, m, v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moment estimation.

    .. math::

        m ← m + (1 - β_1)(g - m), \\quad v ← v + (1 - β_2)(g^2 - v), \\quad
        θ ← θ - α \\frac{m / (1 - β_1^t)}{\\sqrt{v / (1 - β_2^t)} + ε}

    Parameters
    ----------
    learning_rate : float > 0, or a schedule
        α.
    beta1, beta2 : float in [0, 1)
        How much of the averages of the gradient and of its square survives a step.
    epsilon : float > 0
        Added to the root, as in the paper and in PyTorch.

    Examples
    --------
    >>> Adam(1e-3).slots
    ('m', 'v')

    References
    ----------
    Kingma, Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_hyperparameter("Adam", "learning_rate", self.learning_rate, low=0.0, open_low=True)
        check_number("Adam", "beta1", self.beta1, low=0.0, high=1.0, open_high=True)
        check_number("Adam", "beta2", self.beta2, low=0.0, high=1.0, open_high=True)
        check_number("Adam", "epsilon", self.epsilon, low=0.0, open_low=True)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def rule(self) -> Rule:
        return adam

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        correction1, correction2 = bias_correction(self.beta1, step), bias_correction(self.beta2, step)
        rate = at(self.learning_rate, step) / correction1
        return rate, 1.0 - self.beta1, 1.0 - self.beta2, correction2**-0.5, self.epsilon


def bias_correction(beta: float, step: Array) -> Array:
    """Return 1 − β^(step + 1), without the cancellation that 1 − 0.999 would suffer in float32."""
    return -namespace(step).expm1((step + 1.0) * math.log(beta)) if beta > 0 else step * 0.0 + 1.0

r"""Lion: steps of one size, in the direction of the sign of the momentum."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import maximum
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, at


def lion(p: Array, g: Array, m: Array, rate: Any, mix1: Any, mix2: Any, shrink: Any, tiny: Any) -> tuple[Array, ...]:
    c = m + mix1 * (g - m)
    p -= rate * (c / maximum(maximum(c, -c), tiny)) + shrink * p  # c / |c| is the sign, exactly, and 0 / tiny is 0
    m += mix2 * (g - m)
    return p, m


@dataclass(frozen=True)
class Lion(Optimizer):
    r"""Evolved sign momentum: every parameter moves by α, up or down.

    .. math::

        c = β_1 m + (1 - β_1) g, \quad
        θ ← θ - α (\operatorname{sign} c + λ θ), \quad
        m ← β_2 m + (1 - β_2) g

    Parameters
    ----------
    learning_rate : float > 0, or a schedule
        α; the paper advises 3 to 10 times less than for AdamW.
    beta1, beta2 : float in [0, 1), or a schedule
        How much of the momentum counts in a step, and survives it.
    weight_decay : float >= 0, or a schedule
        λ, decoupled; the paper advises 3 to 10 times more than for AdamW.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = Lion(0.1), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0.9 -2.1]

    References
    ----------
    Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    """

    learning_rate: float | Schedule = 1e-4
    _: KW_ONLY
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.99
    weight_decay: float | Schedule = 0.0

    def __post_init__(self) -> None:
        check_hyperparameter("Lion", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("Lion", "beta1", self.beta1, "[0, 1)")
        check_hyperparameter("Lion", "beta2", self.beta2, "[0, 1)")
        check_hyperparameter("Lion", "weight_decay", self.weight_decay, "[0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m",)

    @property
    def rule(self) -> Rule:
        return lion

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rate, tiny = at(self.learning_rate, step), float(namespace(step).finfo(step.dtype).smallest_normal)
        mixes = 1.0 - at(self.beta1, step), 1.0 - at(self.beta2, step)
        return rate, *mixes, rate * at(self.weight_decay, step), tiny

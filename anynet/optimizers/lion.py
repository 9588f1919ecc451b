r"""Lion: steps of constant size along the sign of the momentum."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import maximum
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def lion(
    p: Array, g: Array, m: Array, rate: Any, one_minus_beta1: Any, one_minus_beta2: Any, shrink: Any, tiny: Any
) -> tuple[Array, ...]:
    c = m + one_minus_beta1 * (g - m)
    p -= rate * (c / maximum(maximum(c, -c), tiny)) + shrink * p  # c / |c| is the sign, exactly, and 0 / tiny is 0
    m += one_minus_beta2 * (g - m)
    return p, m


@dataclass(frozen=True)
class Lion(Optimizer):
    r"""Lion: evolved sign momentum, which moves every parameter by ±α.

    .. math::

        c = β_1 m + (1 - β_1) g, \quad
        θ ← θ - α (\operatorname{sign} c + λ θ), \quad
        m ← β_2 m + (1 - β_2) g

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α; the paper recommends 3 to 10 times less than for AdamW.
    beta1, beta2 : float or Schedule, in [0, 1)
        Weight of the momentum in the update, and decay rate of the momentum.
    weight_decay : float or Schedule, in [0, inf)
        Decoupled decay rate λ; the paper recommends 3 to 10 times more than for AdamW.

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
        rate, tiny = value_at(self.learning_rate, step), float(namespace(step).finfo(step.dtype).smallest_normal)
        mixes = 1.0 - value_at(self.beta1, step), 1.0 - value_at(self.beta2, step)
        return rate, *mixes, rate * value_at(self.weight_decay, step), tiny

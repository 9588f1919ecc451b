r"""Nadam: Adam that looks ahead along its momentum."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from array_api_compat import device

from anynet.namespace import Array, namespace
from anynet.optimizers.adam import bias_correction
from anynet.optimizers.arithmetic import sqrt
from anynet.optimizers.base import Optimizer, Rule, Schedule, at
from anynet.validation import check_hyperparameter, check_number

TERMS = 60
"""Terms of the series in `log_product`, the last of which is below 2⁻⁶⁰."""


def nadam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate_g: Any,
    rate_m: Any,
    mix1: Any,
    mix2: Any,
    scale: Any,
    epsilon: Any,
) -> tuple[Array, ...]:
    m += mix1 * (g - m)
    v += mix2 * (g * g - v)
    p -= (rate_g * g + rate_m * m) / (scale * sqrt(v) + epsilon)
    return p, m, v


@dataclass(frozen=True)
class Nadam(Optimizer):
    r"""Adam with Nesterov's momentum, which grows from half of β₁ to β₁.

    .. math::

        μ_t &= β_1 \big(1 - \tfrac12\, 0.96^{tψ}\big), \qquad m, v \text{ as for } `Adam` \\
        θ &← θ - α \frac{(1 - μ_t) \frac{g}{1 - \prod_{i≤t} μ_i} + μ_{t+1} \frac{m}{1 - \prod_{i≤t+1} μ_i}}
                        {\sqrt{v / (1 - β_2^t)} + ε}

    Parameters
    ----------
    learning_rate : float > 0, or a schedule
        α.
    beta1 : float in (0, 1)
        How much of the average of the gradient survives a step.
    beta2 : float in [0, 1), or a schedule
        The same for its square.
    epsilon : float > 0, or a schedule
        Added to the root.
    momentum_decay : float > 0
        ψ, how fast the momentum grows.

    Notes
    -----
    The same as PyTorch's. The product of the momenta is found in closed form (docs/derivations/optimizers.md), so that the
    state holds nothing but the moments.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = Nadam(0.1), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0.8944 -2.1056]

    References
    ----------
    Dozat (2016), "Incorporating Nesterov momentum into Adam", algorithm 2 and section 3.
    """

    learning_rate: float | Schedule = 2e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float | Schedule = 1e-8
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        check_hyperparameter("Nadam", "learning_rate", self.learning_rate, low=0.0, open_low=True)
        check_number("Nadam", "beta1", self.beta1, low=0.0, high=1.0, open_low=True, open_high=True)
        check_hyperparameter("Nadam", "beta2", self.beta2, low=0.0, high=1.0, open_high=True)
        check_hyperparameter("Nadam", "epsilon", self.epsilon, low=0.0, open_low=True)
        check_number("Nadam", "momentum_decay", self.momentum_decay, low=0.0, open_low=True)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def rule(self) -> Rule:
        return nadam

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        xp, t, rate, beta2 = namespace(step), step + 1.0, at(self.learning_rate, step), at(self.beta2, step)
        log_q = self.momentum_decay * math.log(0.96)
        now, following = (self.beta1 * (1.0 - 0.5 * xp.exp(log_q * when)) for when in (t, t + 1.0))
        log_product = t * math.log(self.beta1) + log_product_of(log_q, t)
        rate_g = rate * (1.0 - now) / -xp.expm1(log_product)
        rate_m = rate * following / (1.0 - xp.exp(log_product) * following)
        scale = bias_correction(beta2, step) ** -0.5
        return rate_g, rate_m, 1.0 - self.beta1, 1.0 - beta2, scale, at(self.epsilon, step)


def log_product_of(log_q: float, t: Array) -> Array:
    r"""Return log ∏_{i=1}^t (1 − ½ qⁱ) for 0 < q < 1.

    With log(1 − x) = −Σ_k xᵏ/k and the sum of a geometric series over i it is

    .. math:: -\sum_{k≥1} \frac{2^{-k}}{k} \, q^k \, \frac{1 - q^{kt}}{1 - q^k}.
    """
    xp = namespace(t)
    powers = [log_q * k for k in range(1, TERMS + 1)]  # log qᵏ
    factors = [0.5**k / k * math.exp(x) / math.expm1(x) for k, x in enumerate(powers, 1)]  # negative, as expm1 is
    powers, factors = (xp.asarray(a, dtype=t.dtype, device=device(t)) for a in (powers, factors))
    return -xp.sum(factors * xp.expm1(powers * t))

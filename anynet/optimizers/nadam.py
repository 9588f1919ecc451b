r"""Nadam: Adam with Nesterov momentum."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from array_api_compat import device

from anynet import tree
from anynet.arrays.elementwise import sqrt
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.adam import bias_correction
from anynet.optimizers.base import Optimizer, Rule, Schedule, State, value_at

TERMS = 60
"""Number of terms of the series in `log_product_of`; the last is below 2⁻⁶⁰."""


def nadam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate_g: Any,
    rate_m: Any,
    one_minus_beta1: Any,
    one_minus_beta2: Any,
    scale: Any,
    epsilon: Any,
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    p -= (rate_g * g + rate_m * m) / (scale * sqrt(v) + epsilon)
    return p, m, v


@dataclass(frozen=True)
class Nadam(Optimizer):
    r"""Nadam: Adam with Nesterov momentum that increases from β₁/2 to β₁.

    .. math::

        μ_t &= β_1 \big(1 - \tfrac12\, 0.96^{tψ}\big), \qquad m, v \text{ as in Adam} \\
        θ &← θ - α \frac{(1 - μ_t) \frac{g}{1 - \prod_{i≤t} μ_i} + μ_{t+1} \frac{m}{1 - \prod_{i≤t+1} μ_i}}
                        {\sqrt{v / (1 - β_2^t)} + ε}

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    beta1 : float or Schedule, in (0, 1)
        Decay rate of the running mean of the gradient.
    beta2 : float or Schedule, in [0, 1)
        Decay rate of the running mean of its square.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added to the square root.
    momentum_decay : float or Schedule, in (0, inf)
        Rate ψ at which the momentum increases.

    Notes
    -----
    Equivalent to PyTorch's `NAdam`. The product of the momenta has a closed form, derived with the optimizers, so the
    state holds only the moments. If β₁ or ψ is a schedule, there is no closed form: the state also holds the product of past
    momenta, ``"product"``, and :math:`μ_{t+1}` is predicted from the current β₁ and ψ.

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
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float | Schedule = 1e-8
    momentum_decay: float | Schedule = 4e-3

    def __post_init__(self) -> None:
        check_hyperparameter("Nadam", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("Nadam", "beta1", self.beta1, "(0, 1)")
        check_hyperparameter("Nadam", "beta2", self.beta2, "[0, 1)")
        check_hyperparameter("Nadam", "epsilon", self.epsilon, "(0, inf)")
        check_hyperparameter("Nadam", "momentum_decay", self.momentum_decay, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def rule(self) -> Rule:
        return nadam

    @property
    def _carries(self) -> bool:
        return callable(self.beta1) or callable(self.momentum_decay)

    def init(self, params: tree.Tree) -> State:
        state = super().init(params)
        if state and self._carries:
            first = tree.leaves(params)[0]
            state["product"] = namespace(first).ones((), dtype=first.dtype, device=device(first))
        return state

    def advance(self, step: Array, state: State) -> tuple[tuple[Any, ...], State]:
        if not self._carries:
            return super().advance(step, state)
        product = state["product"] * self._momentum(step, step + 1.0)
        return self._coefficients(step, product, 1.0 - product), {"product": product}

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        xp, t = namespace(step), step + 1.0
        beta1, decay = value_at(self.beta1, step), value_at(self.momentum_decay, step)  # numbers: schedules use advance
        log_product = t * math.log(beta1) + log_product_of(decay * math.log(0.96), t)
        return self._coefficients(step, xp.exp(log_product), -xp.expm1(log_product))

    def _momentum(self, step: Array, t: Array) -> Array:
        """Return μ_t for the values of β₁ and ψ at a step."""
        log_q = value_at(self.momentum_decay, step) * math.log(0.96)
        return value_at(self.beta1, step) * (1.0 - 0.5 * namespace(step).exp(log_q * t))

    def _coefficients(self, step: Array, product: Array, rest: Array) -> tuple[Any, ...]:
        """Return the coefficients, given the product of the momenta and 1 minus it."""
        rate, beta1, beta2 = value_at(self.learning_rate, step), value_at(self.beta1, step), value_at(self.beta2, step)
        now, following = (self._momentum(step, t) for t in (step + 1.0, step + 2.0))
        rate_g = rate * (1.0 - now) / rest
        rate_m = rate * following / (1.0 - product * following)
        scale = bias_correction(beta2, step) ** -0.5
        return rate_g, rate_m, 1.0 - beta1, 1.0 - beta2, scale, value_at(self.epsilon, step)


def log_product_of(log_q: float, t: Array) -> Array:
    r"""Return log ∏_{i=1}^t (1 − ½ qⁱ) for 0 < q < 1.

    With log(1 − x) = −Σ_k xᵏ/k and the geometric series over i, it equals

    .. math:: -\sum_{k≥1} \frac{2^{-k}}{k} \, q^k \, \frac{1 - q^{kt}}{1 - q^k}.
    """
    xp = namespace(t)
    powers = [log_q * k for k in range(1, TERMS + 1)]  # log qᵏ
    factors = [0.5**k / k * math.exp(x) / math.expm1(x) for k, x in enumerate(powers, 1)]  # negative, as expm1 is
    powers, factors = (xp.asarray(a, dtype=t.dtype, device=device(t)) for a in (powers, factors))
    return -xp.sum(factors * xp.expm1(powers * t))

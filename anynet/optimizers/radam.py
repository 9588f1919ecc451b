r"""RAdam: Adam whose adaptive learning rate is rectified while its variance is large."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import sqrt
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.adam import bias_correction, log
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def radam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: Any,
    adapted: Any,
    one_minus_beta1: Any,
    one_minus_beta2: Any,
    epsilon: Any,
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    p -= m * (rate + adapted / (sqrt(v) + epsilon))
    return p, m, v


@dataclass(frozen=True)
class RAdam(Optimizer):
    r"""RAdam: plain momentum for the first steps, then Adam with an increasing learning rate.

    .. math::

        ρ_∞ = \frac{2}{1 - β_2} - 1, \quad ρ_t = ρ_∞ - \frac{2 t β_2^t}{1 - β_2^t}, \quad
        r_t = \sqrt{\frac{(ρ_t - 4)(ρ_t - 2) ρ_∞}{(ρ_∞ - 4)(ρ_∞ - 2) ρ_t}}

        θ ← θ - α \frac{m}{1 - β_1^t} \cdot \begin{cases} r_t / (\sqrt{v / (1 - β_2^t)} + ε') & ρ_t > 5 \\
        1 & \text{otherwise} \end{cases}, \qquad m, v \text{ as in Adam}

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    beta1 : float or Schedule, in [0, 1)
        Decay rate of the running mean of the gradient.
    beta2 : float or Schedule, in (0.6, 1)
        Decay rate of the running mean of its square. For β₂ ≤ 0.6, ρ_∞ is at most 4 and there is nothing to rectify; while a
        schedule is in that range, the update is plain momentum.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added to √v before bias correction, ε′ = ε / √(1 − β₂ᵗ), as in PyTorch.

    Notes
    -----
    The threshold on ρ_t is 5, as in PyTorch and the authors' code; in the paper it is 4. If a β is a schedule, the bias
    corrections and ρ use its current value, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer, p = RAdam(0.1), [np.array([1.0, -2.0])]
    >>> print(optimizer.update(p, [np.array([0.5, 0.02])], optimizer.init(p))[0][0].round(4))
    [ 0.95  -2.002]

    References
    ----------
    Liu et al. (2020), "On the variance of the adaptive learning rate and beyond", algorithm 2.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float | Schedule = 1e-8

    def __post_init__(self) -> None:
        check_hyperparameter("RAdam", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("RAdam", "beta1", self.beta1, "[0, 1)")
        check_hyperparameter("RAdam", "beta2", self.beta2, "(0.6, 1)")
        check_hyperparameter("RAdam", "epsilon", self.epsilon, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def rule(self) -> Rule:
        return radam

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        xp, t, beta1, beta2 = namespace(step), step + 1.0, value_at(self.beta1, step), value_at(self.beta2, step)
        rate = value_at(self.learning_rate, step) / bias_correction(beta1, step)
        correction2 = bias_correction(beta2, step)
        top = 2.0 / (1.0 - beta2) - 1.0
        rho = _rho(t, beta2, correction2, top)
        known = xp.astype(rho > 5.0, step.dtype)
        rho = xp.maximum(rho, 5.0)  # avoid the root of a negative number in the unused case
        top = xp.maximum(top, 5.0) if callable(self.beta2) else top
        rectifier = xp.sqrt((rho - 4.0) * (rho - 2.0) / rho * (top / ((top - 4.0) * (top - 2.0))))
        adapted = known * rate * rectifier * xp.sqrt(correction2)
        return (1.0 - known) * rate, adapted, 1.0 - beta1, 1.0 - beta2, value_at(self.epsilon, step)


def _rho(t: Array, beta2: Any, correction2: Array, top: Any) -> Array:
    """Return ρ_t, for small t by a series.

    With a = −log β₂ and φ(z) = (z/2) coth(z/2) − 1, ρ_t = t + (2/a) (φ(a) − φ(at)). The formula of the paper subtracts two
    numbers near 2000 where rectification starts, and would have four correct digits in float32.
    """

    def phi(z: Any) -> Any:
        s = z * z
        return s / 12.0 * (1.0 - s / 60.0 * (1.0 - s / 42.0 * (1.0 - s / 40.0 * (1.0 - s * (5.0 / 198.0)))))

    decay = -log(beta2, like=t)
    early = t + (2.0 / decay) * (phi(decay) - phi(decay * t))
    return namespace(t).where(decay * t < 0.25, early, top - 2.0 * t * (1.0 - correction2) / correction2)

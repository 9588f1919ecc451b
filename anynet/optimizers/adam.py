"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.elementwise import maximum, sqrt
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def adam(
    p: Array, g: Array, m: Array, v: Array, rate: Any, one_minus_beta1: Any, one_minus_beta2: Any, epsilon: Any
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    p -= rate * m / (sqrt(v) + epsilon)
    return p, m, v


def amsgrad(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    top: Array,
    rate: Any,
    one_minus_beta1: Any,
    one_minus_beta2: Any,
    epsilon: Any,
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    top = maximum(top, v)
    p -= rate * m / (sqrt(top) + epsilon)
    return p, m, v, top


def adamw(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: Any,
    one_minus_beta1: Any,
    one_minus_beta2: Any,
    epsilon: Any,
    shrink: Any,
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    p -= rate * m / (sqrt(v) + epsilon) + shrink * p
    return p, m, v


def amsgradw(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    top: Array,
    rate: Any,
    one_minus_beta1: Any,
    one_minus_beta2: Any,
    epsilon: Any,
    shrink: Any,
) -> tuple[Array, ...]:
    m += one_minus_beta1 * (g - m)
    v += one_minus_beta2 * (g * g - v)
    top = maximum(top, v)
    p -= rate * m / (sqrt(top) + epsilon) + shrink * p
    return p, m, v, top


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: adaptive moment estimation.

    .. math::

        m ← m + (1 - β_1)(g - m), \\quad v ← v + (1 - β_2)(g^2 - v), \\quad
        θ ← θ - α \\frac{m / (1 - β_1^t)}{\\sqrt{v / (1 - β_2^t)} + ε}

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    beta1, beta2 : float or Schedule, in [0, 1)
        Decay rates of the running means of the gradient and of its square.
    epsilon : float or Schedule, in (0, inf)
        Term ε, added to the square root, as in the paper and in PyTorch.
    amsgrad : bool
        Whether to divide by the largest v so far instead of v, so that effective learning rates never increase.

    Notes
    -----
    If a β is a schedule, the bias corrections use its current value, as in PyTorch. For L2 regularization see `anynet.L2`;
    for decoupled weight decay see `AdamW`.

    Examples
    --------
    >>> Adam(1e-3).slots
    ('m', 'v')

    References
    ----------
    Kingma, Ba (2015), "Adam: a method for stochastic optimization", algorithm 1; Reddi, Kale, Kumar (2018), "On the
    convergence of Adam and beyond", algorithm 2 (with Adam's corrections, as in PyTorch).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float | Schedule = 0.9
    beta2: float | Schedule = 0.999
    epsilon: float | Schedule = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_hyperparameter(where, "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter(where, "beta1", self.beta1, "[0, 1)")
        check_hyperparameter(where, "beta2", self.beta2, "[0, 1)")
        check_hyperparameter(where, "epsilon", self.epsilon, "(0, inf)")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v", "top") if self.amsgrad else ("m", "v")

    @property
    def rule(self) -> Rule:
        return amsgrad if self.amsgrad else adam

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        beta1, beta2 = value_at(self.beta1, step), value_at(self.beta2, step)
        scale = bias_correction(beta2, step) ** 0.5  # scales rate and ε, which saves one pass over the arrays
        rate = scale * value_at(self.learning_rate, step) / bias_correction(beta1, step)
        return rate, 1.0 - beta1, 1.0 - beta2, scale * value_at(self.epsilon, step)


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay, which is not scaled by the gradient's size.

    .. math::

        θ ← θ - α \Big(\frac{m / (1 - β_1^t)}{\sqrt{v / (1 - β_2^t)} + ε} + λ θ\Big), \quad m, v \text{ as in Adam}

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, amsgrad
        See `Adam`.
    weight_decay : float or Schedule, in [0, inf)
        Decay rate λ of all parameters; see `Groups` to exclude biases.

    Notes
    -----
    The decay is multiplied by the learning rate, as in PyTorch and Keras; in the paper only by the schedule η_t.

    Examples
    --------
    >>> AdamW(1e-3, weight_decay=0.1).weight_decay
    0.1

    References
    ----------
    Loshchilov, Hutter (2019), "Decoupled weight decay regularization", algorithm 2.
    """

    _: KW_ONLY
    weight_decay: float | Schedule = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyperparameter("AdamW", "weight_decay", self.weight_decay, "[0, inf)")

    @property
    def rule(self) -> Rule:
        return amsgradw if self.amsgrad else adamw

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        return *super().coefficients(step), value_at(self.learning_rate, step) * value_at(self.weight_decay, step)


def bias_correction(beta: Any, step: Array) -> Array:
    """Return 1 − β^(step + 1), without the cancellation of 1 − 0.999 in float32."""
    return -namespace(step).expm1((step + 1.0) * log(beta, like=step))


def log(beta: Any, like: Array) -> Any:
    """Return log β of a number or 0-d array, bounded below so that it is finite."""
    if isinstance(beta, (int, float)):
        return math.log(beta) if beta > 0 else -1e4
    xp = namespace(like)
    return xp.log(xp.maximum(beta, float(xp.finfo(like.dtype).smallest_normal)))

"""Stochastic gradient descent, with optional momentum and weight decay."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.namespace import Array
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Optimizer, Rule, Schedule, value_at


def plain(p: Array, g: Array, rate: Any) -> tuple[Array, ...]:
    p -= rate * g
    return (p,)


def heavy_ball(p: Array, g: Array, v: Array, rate: Any, momentum: Any) -> tuple[Array, ...]:
    v *= momentum
    v += g
    p -= rate * v
    return p, v


def nesterov(p: Array, g: Array, v: Array, rate: Any, momentum: Any) -> tuple[Array, ...]:
    v *= momentum
    v += g
    p -= rate * (g + momentum * v)
    return p, v


def plain_decay(p: Array, g: Array, rate: Any, shrink: Any) -> tuple[Array, ...]:
    p -= rate * g + shrink * p
    return (p,)


def heavy_ball_decay(
    p: Array, g: Array, v: Array, rate: Any, momentum: Any, coupled: Any, shrink: Any
) -> tuple[Array, ...]:
    v *= momentum
    v += g + coupled * p
    p -= rate * v + shrink * p
    return p, v


def nesterov_decay(
    p: Array, g: Array, v: Array, rate: Any, momentum: Any, coupled: Any, shrink: Any
) -> tuple[Array, ...]:
    full = g + coupled * p
    v *= momentum
    v += full
    p -= rate * (full + momentum * v) + shrink * p
    return p, v


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with optional momentum and weight decay.

    .. math::

        v ← μ v + g, \\qquad θ ← θ - α v \\quad \\text{(Nesterov: } θ ← θ - α (g + μ v)\\text{)}

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    momentum : float or Schedule, in [0, 1)
        Momentum μ. With 0, no velocity is kept.
    nesterov : bool
        Whether to use Nesterov momentum.
    weight_decay : float or Schedule, in [0, inf)
        Decay rate λ; g is replaced by g + λθ.
    decoupled : bool
        Whether to apply the decay outside of the velocity, θ ← θ − α(v + λθ); without momentum the two are the same.

    Notes
    -----
    Without momentum this is W ← W − α ∂L/∂W of the lecture notes. The velocity accumulates gradients, as in PyTorch; in Keras
    it includes the factor α, which differs only while α changes.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or `nesterov` is set without momentum.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).slots
    ('velocity',)

    References
    ----------
    Polyak (1964); Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and momentum in deep
    learning", eqs. 1 to 4; decoupled decay: Loshchilov, Hutter (2019), "Decoupled weight decay regularization",
    algorithm 1, with the decay multiplied by α as in PyTorch's AdamW.
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    momentum: float | Schedule = 0.0
    nesterov: bool = False
    weight_decay: float | Schedule = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        check_hyperparameter("SGD", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("SGD", "momentum", self.momentum, "[0, 1)")
        check_hyperparameter("SGD", "weight_decay", self.weight_decay, "[0, inf)")
        if self.nesterov and not self.momentum:
            raise ValueError(f"SGD: expected momentum > 0 with nesterov=True, got {self.momentum!r}")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @property
    def rule(self) -> Rule:
        if not self.momentum:
            return plain_decay if self.weight_decay else plain
        if self.weight_decay:
            return nesterov_decay if self.nesterov else heavy_ball_decay
        return nesterov if self.nesterov else heavy_ball

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rate, momentum, decay = (value_at(v, step) for v in (self.learning_rate, self.momentum, self.weight_decay))
        first = (rate, momentum) if self.momentum else (rate,)
        if not self.weight_decay:
            return first
        if not self.momentum:
            return rate, rate * decay
        return (*first, 0.0, rate * decay) if self.decoupled else (*first, decay, 0.0)

r"""scikit-learn's update rules where they differ from the optimisers of the same name, and which rule a `solver` means.

The differences are small, and vanish for a constant learning rate and gradients that are not tiny; here they are kept, so
that equal weights stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anynet.arrays.namespace import Array
from anynet.checks import check_hyperparameter
from anynet.optimizers import Adam, Optimizer
from anynet.optimizers.base import Rule, Schedule, value_at


def plain(p: Array, g: Array, rate: Any) -> tuple[Array, ...]:
    p -= rate * g
    return (p,)


def heavy_ball(p: Array, g: Array, v: Array, rate: Any, momentum: Any) -> tuple[Array, ...]:
    v *= momentum
    v -= rate * g
    p += v
    return p, v


def nesterov(p: Array, g: Array, v: Array, rate: Any, momentum: Any) -> tuple[Array, ...]:
    v *= momentum
    v -= rate * g
    p += momentum * v - rate * g
    return p, v


@dataclass(frozen=True)
class VelocitySGD(Optimizer):
    r"""Gradient descent whose velocity is the step itself.

    .. math:: v ← μ v - α g, \qquad θ ← θ + v \quad \text{(Nesterov: } θ ← θ + μ v - α g\text{)}

    `SGD` multiplies the velocity by α when it is used, this one when it is made: the two differ only after α has changed.

    Parameters
    ----------
    learning_rate : float > 0, or a schedule
        α.
    momentum : float in [0, 1], or a schedule
        μ. With 0 no velocity is kept.
    nesterov : bool
        Look ahead along the velocity.

    References
    ----------
    Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and momentum in deep learning",
    eqs. 1 to 4.
    """

    learning_rate: float | Schedule = 0.001
    momentum: float | Schedule = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        check_hyperparameter("VelocitySGD", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("VelocitySGD", "momentum", self.momentum, "[0, 1]")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @property
    def rule(self) -> Rule:
        if not self.momentum:
            return plain
        return nesterov if self.nesterov else heavy_ball

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rate = value_at(self.learning_rate, step)
        return (rate, value_at(self.momentum, step)) if self.momentum else (rate,)


@dataclass(frozen=True)
class FoldedAdam(Adam):
    r"""Adam with its bias corrections folded into the learning rate, so that ε is not corrected.

    .. math:: θ ← θ - α \frac{\sqrt{1 - β_2^t}}{1 - β_1^t} \frac{m}{\sqrt{v} + ε}, \quad m, v \text{ as in Adam}

    In the first step an ε of `Adam` counts as much as ε √(1 − β₂) here, 30 times less.

    References
    ----------
    Kingma, Ba (2015), "Adam: a method for stochastic optimization", end of section 2, where ε is called ε̂.
    """

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rate, one_minus_beta1, one_minus_beta2, _, *rest = super().coefficients(step)
        return rate, one_minus_beta1, one_minus_beta2, value_at(self.epsilon, step), *rest


def make_optimizer(estimator: Any) -> Optimizer | None:
    """Return the optimiser that an estimator's parameters ask for; none for "lbfgs", which is SciPy's."""
    if isinstance(estimator.solver, Optimizer):
        return estimator.solver
    rate = estimator.learning_rate if callable(estimator.learning_rate) else float(estimator.learning_rate_init)
    if estimator.solver == "lbfgs":
        return None
    if estimator.solver == "sgd":
        return VelocitySGD(rate, float(estimator.momentum), bool(estimator.nesterovs_momentum))
    beta1, beta2 = float(estimator.beta_1), float(estimator.beta_2)
    return FoldedAdam(rate, beta1=beta1, beta2=beta2, epsilon=float(estimator.epsilon))

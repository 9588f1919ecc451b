r"""scikit-learn's update rules where they differ from the optimizers of the same name.

The differences are small, and vanish for a constant learning rate and gradients that are not tiny. These rules reproduce
them, so that the weights remain equal to those of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anynet.arrays.namespace import Array
from anynet.checks import check_hyperparameter
from anynet.optimizers import Adam, Optimizer
from anynet.optimizers.base import Rule, Schedule, value_at

if TYPE_CHECKING:
    from anynet.sklearn.base import BaseMLP


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
    r"""Gradient descent whose velocity includes the learning rate.

    .. math:: v ← μ v - α g, \qquad θ ← θ + v \quad \text{(Nesterov: } θ ← θ + μ v - α g\text{)}

    `SGD` multiplies by α when the velocity is used, `VelocitySGD` when it is updated. They differ only after α has changed.

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α.
    momentum : float or Schedule, in [0, 1]
        Momentum μ; 0 stores no velocity.
    nesterov : bool
        Whether to use Nesterov momentum.

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
    r"""Adam with its bias corrections folded into the learning rate, which leaves ε uncorrected.

    .. math:: θ ← θ - α \frac{\sqrt{1 - β_2^t}}{1 - β_1^t} \frac{m}{\sqrt{v} + ε}, \quad m, v \text{ as in Adam}

    In the first step, ε of `Adam` corresponds to ε √(1 − β₂) here, which is 30 times smaller.

    References
    ----------
    Kingma, Ba (2015), "Adam: a method for stochastic optimization", end of section 2, where ε is called ε̂.
    """

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        rate, one_minus_beta1, one_minus_beta2, _, *rest = super().coefficients(step)
        return rate, one_minus_beta1, one_minus_beta2, value_at(self.epsilon, step), *rest


def make_optimizer(estimator: BaseMLP) -> Optimizer | None:
    """Return the optimizer of an estimator; None for "lbfgs", which SciPy provides."""
    if isinstance(estimator.solver, Optimizer):
        return estimator.solver
    rate = estimator.learning_rate if callable(estimator.learning_rate) else float(estimator.learning_rate_init)
    if estimator.solver == "lbfgs":
        return None
    if estimator.solver == "sgd":
        return VelocitySGD(rate, float(estimator.momentum), bool(estimator.nesterovs_momentum))
    beta1, beta2 = float(estimator.beta_1), float(estimator.beta_2)
    return FoldedAdam(rate, beta1=beta1, beta2=beta2, epsilon=float(estimator.epsilon))

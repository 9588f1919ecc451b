r"""Averages of the weights over training, which often generalize better than the final weights.

>>> import numpy as np
>>> from anynet import EMA, SGD, Dense, MeanSquaredError, Model
>>> model = Model([Dense(1)], input_shape=2, loss=MeanSquaredError(), optimizer=EMA(SGD(0.1), decay=0.9))
>>> _ = model.fit(np.eye(2), np.ones((2, 1)), epochs=5)
>>> averaged = model.averaged()             # a copy of the model with the averaged weights
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter, check_int
from anynet.optimizers.base import Elementwise, Schedule, State, out_of_place, run_rule, value_at
from anynet.optimizers.wrapper import StatefulWrapper, wrapper_state


def mix(average: Array, p: Array, weight: Any) -> tuple[Array, ...]:
    average += weight * (p - average)
    return (average,)


@dataclass(frozen=True)
class Averager(StatefulWrapper):
    """Base class of wrappers that average the parameters; subclasses implement `newest_weight`.

    The state holds that of the optimizer as ``"optimizer"``, the ``"average"``, which starts with the parameters, and
    ``"step"``, the number of updates.
    """

    def newest_weight(self, count: Array) -> Array:
        """Return the weight of the newest parameters after `count` earlier updates, initially 1."""
        raise NotImplementedError(f"{type(self).__name__}: expected newest_weight(count) to be implemented, got none")

    def init(self, params: tree.Tree) -> State:
        # A layer that is unfrozen later begins with this average, whatever the step count.
        return wrapper_state(self.optimizer, params, running="average", first=1.0, counter="step")

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        if not tree.leaves(grads):
            return params, state
        params, inside = self.optimizer.update(params, grads, state["optimizer"], elementwise)
        leaf_groups = tree.zip_leaves(grads, state["average"], params)
        weight = self.newest_weight(namespace(state["step"]).astype(state["step"], leaf_groups[0][0].dtype))
        (new,) = run_rule(elementwise, mix, leaf_groups, (weight,))
        average = tree.set_leaves(state["average"], iter(new), like=grads)
        return params, {"optimizer": inside, "average": average, "step": state["step"] + 1}

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        average = state.get("average", {})
        if not tree.leaves(average):
            return params
        now = tree.leaves(params, like=average)
        chosen = [namespace(p).where(state["step"] > 0, a, p) for a, p in zip(tree.leaves(average), now, strict=True)]
        return tree.set_leaves(params, iter(chosen), like=average)


@dataclass(frozen=True)
class EMA(Averager):
    r"""Keep an exponential moving average of the parameters.

    .. math:: \bar θ ← \bar θ + (1 - d)(θ - \bar θ), \qquad \bar θ = θ \text{ until the first update after start}

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer to wrap; averaging does not change its updates.
    decay : float or Schedule, in [0, 1)
        Decay rate d; the average covers about 1/(1 − d) updates.
    start : int, in [0, inf)
        Number of updates before averaging starts.

    Notes
    -----
    `Model.averaged` returns a model with the averaged weights; its running statistics are those of the last weights.
    Equivalent to PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer, p = EMA(SGD(1.0), decay=0.5), [np.array([0.0])]
    >>> state = optimizer.init(p)
    >>> for gradient in (-1.0, -1.0):
    ...     p, state = optimizer.update(p, [np.array([gradient])], state)
    >>> p, optimizer.averaged(p, state)
    ([array([2.])], [array([1.5])])

    References
    ----------
    Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging"; exponential form: Tarvainen, Valpola
    (2017), "Mean teachers are better role models", eq. 1.
    """

    _: KW_ONLY
    decay: float | Schedule = 0.999
    start: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyperparameter("EMA", "decay", self.decay, "[0, 1)")
        check_int("EMA", "start", self.start, at_least=0)

    def newest_weight(self, count: Array) -> Array:
        return namespace(count).where(
            count > self.start, count * 0.0 + (1.0 - value_at(self.decay, count)), count * 0.0 + 1.0
        )


@dataclass(frozen=True)
class SWA(Averager):
    r"""Average the parameters from a given update on: stochastic weight averaging.

    .. math:: \bar θ ← \bar θ + \frac{1}{n + 1} (θ - \bar θ), \qquad n \text{ averaged before}

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer to wrap, with a learning rate that stays large.
    start : int, in [0, inf)
        Number of updates before averaging starts, for example 75 % of training.
    every : int, in [1, inf)
        Number of updates between averaged parameters, for example one epoch; the paper averages at the end of each
        learning-rate cycle.

    Notes
    -----
    `Model.averaged` returns a model with the averaged weights. The running statistics of normalization layers are those of
    the last weights; a few steps with a tiny learning rate update them. Equivalent to PyTorch's `AveragedModel`.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer, p = SWA(SGD(1.0)), [np.array([0.0])]
    >>> state = optimizer.init(p)
    >>> for gradient in (-1.0, -1.0):
    ...     p, state = optimizer.update(p, [np.array([gradient])], state)
    >>> p, optimizer.averaged(p, state)
    ([array([2.])], [array([1.5])])

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), "Averaging weights leads to wider optima and better
    generalization", algorithm 1.
    """

    _: KW_ONLY
    start: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("SWA", "start", self.start, at_least=0)
        check_int("SWA", "every", self.every, at_least=1)

    def newest_weight(self, count: Array) -> Array:
        xp = namespace(count)
        since = count + 1.0 - self.start  # updates since the start, including this one
        taken = xp.floor((since + 0.5) / self.every)
        now = xp.astype(since - taken * self.every < 0.5, count.dtype)
        return xp.where(since < self.every, count * 0.0 + 1.0, now / xp.maximum(taken, 1.0))

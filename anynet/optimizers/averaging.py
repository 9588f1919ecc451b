r"""Averages of the weights over training, which often generalise better than the last weights.

>>> import numpy as np
>>> from anynet import EMA, SGD, Dense, MeanSquaredError, Model
>>> model = Model([Dense(1)], input_shape=2, loss=MeanSquaredError(), optimizer=EMA(SGD(0.1), decay=0.9))
>>> _ = model.fit(np.eye(2), np.ones((2, 1)), epochs=5)
>>> averaged = model.averaged()             # the same model with the averaged weights
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter, check_int
from anynet.optimizers.base import Elementwise, Schedule, State, at, functional, run_rule
from anynet.optimizers.wrapper import Keeper, begun


def mix(average: Array, p: Array, share: Any) -> tuple[Array, ...]:
    average += share * (p - average)
    return (average,)


@dataclass(frozen=True)
class Averager(Keeper):
    """An optimiser with an average of its parameters beside it; to write one, write `share`.

    The state holds the optimiser's under ``"optimizer"``, the ``"average"``, and ``"step"``, the number of updates.
    """

    def share(self, count: Array) -> Array:
        """Return the share of the newest parameters in the average, 1 for the first, given the updates made before."""
        raise NotImplementedError(f"{type(self).__name__}: expected share(count) to be written, got none")

    def init(self, params: tree.Tree) -> State:
        return begun(self.optimizer, params, running="average", counter="step")

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[tree.Tree, State]:
        if not tree.leaves(grads):
            return params, state
        params, inside = self.optimizer.update(params, grads, state["optimizer"], elementwise)
        rows = tree.zip_leaves(grads, state["average"], params)
        share = self.share(namespace(state["step"]).astype(state["step"], rows[0][0].dtype))
        (new,) = run_rule(elementwise, mix, rows, (share,))
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
    r"""Keep an exponential moving average of the parameters beside an optimiser.

    .. math:: \bar θ ← \bar θ + (1 - d)(θ - \bar θ), \qquad \bar θ = θ \text{ up to the first update after the start}

    Parameters
    ----------
    optimizer : Optimizer
        Who trains; the average does not change what it does.
    decay : float in [0, 1), or a schedule
        d; it remembers about 1/(1 − d) updates.
    start : int >= 0
        Updates made before it begins.

    Notes
    -----
    `Model.averaged` gives the model with the averaged weights; its running statistics are those of the last weights.
    PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`.

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
    Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging"; the exponential form as in Tarvainen,
    Valpola (2017), "Mean teachers are better role models", eq. 1.
    """

    _: KW_ONLY
    decay: float | Schedule = 0.999
    start: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyperparameter("EMA", "decay", self.decay, "[0, 1)")
        check_int("EMA", "start", self.start, at_least=0)

    def share(self, count: Array) -> Array:
        return namespace(count).where(
            count > self.start, count * 0.0 + (1.0 - at(self.decay, count)), count * 0.0 + 1.0
        )


@dataclass(frozen=True)
class SWA(Averager):
    r"""Stochastic weight averaging: keep the plain mean of the parameters from some update on.

    .. math:: \bar θ ← \bar θ + \frac{1}{n + 1} (θ - \bar θ), \qquad n \text{ taken before}

    Parameters
    ----------
    optimizer : Optimizer
        Who trains, at a rate that stays large.
    start : int >= 0
        Updates made before it begins, three quarters of the training say.
    every : int >= 1
        Take the parameters after every so many updates, once an epoch say; the paper takes them at the ends of the cycles of
        the learning rate.

    Notes
    -----
    `Model.averaged` gives the model with the averaged weights. Running statistics of normalising layers are those of the
    last weights: take some steps at a tiny rate to renew them. PyTorch's `AveragedModel`.

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

    def share(self, count: Array) -> Array:
        xp = namespace(count)
        since = count + 1.0 - self.start  # updates since the start, this one included
        taken = xp.floor((since + 0.5) / self.every)
        now = xp.astype(since - taken * self.every < 0.5, count.dtype)
        return xp.where(since < self.every, count * 0.0 + 1.0, now / xp.maximum(taken, 1.0))

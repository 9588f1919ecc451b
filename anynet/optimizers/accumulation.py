r"""Gradient accumulation, for batches that do not fit into memory."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Self

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int
from anynet.optimizers.base import Elementwise, State, out_of_place, run_rule
from anynet.optimizers.wrapper import StatefulWrapper, update_where, wrapper_state


def add(total: Array, g: Array) -> tuple[Array, ...]:
    total += g
    return (total,)


@dataclass(frozen=True)
class Accumulate(StatefulWrapper):
    r"""Update with the mean of the gradients of several batches.

    .. math:: G ← G + g; \qquad \text{at every } k\text{-th update: } \; θ ← \text{optimizer}(θ, G / k), \quad G ← 0

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer to wrap; it updates, and counts a step, at every k-th call.
    steps : int, in [1, inf)
        Number k of batches per update. ``fit(batch_size=32)`` then trains like a batch size of 32 k, if all batches are full
        and have equal weights.

    Notes
    -----
    Batches left over at the end of an epoch count towards the next update. The update is computed at every call and used
    at every k-th, so that a compiled step has no branch. Equivalent to optax's `MultiSteps`, and to calling `backward`
    several times before `step` in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer, p = Accumulate(SGD(1.0), steps=2), [np.array([1.0])]
    >>> p, state = optimizer.update(p, [np.array([0.5])], optimizer.init(p))
    >>> optimizer.update(p, [np.array([0.1])], state)[0]
    [array([0.7])]
    """

    _: KW_ONLY
    steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("Accumulate", "steps", self.steps, at_least=1)

    def in_steps(self, per_epoch: float) -> Self:
        return super().in_steps(per_epoch / self.steps)

    def init(self, params: tree.Tree) -> State:
        return wrapper_state(self.optimizer, params, running="sum", counter="count")

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        if not tree.leaves(grads):
            return params, state
        leaf_groups = tree.zip_leaves(grads, state["sum"], grads)
        (new_sum,) = run_rule(elementwise, add, leaf_groups, ())
        total = tree.set_leaves(state["sum"], iter(new_sum), like=grads)
        count = state["count"] + 1
        last = count >= self.steps
        mean = tree.set_leaves(grads, iter([g * (1.0 / self.steps) for g in new_sum]), like=grads)
        params, inside = update_where(last, self.optimizer, params, mean, state["optimizer"], elementwise)
        total = tree.map(lambda g: namespace(g).where(last, g * 0.0, g), total)
        return params, {"optimizer": inside, "sum": total, "count": namespace(count).where(last, count * 0, count)}

"""Base classes of wrappers: optimizers that change the gradients or the updates of another optimizer.

>>> from anynet import Adam, Clip, MaxNorm
>>> MaxNorm(Clip(Adam(1e-3), norm=1.0), 3.0)        # doctest: +ELLIPSIS
MaxNorm(optimizer=Clip(optimizer=Adam(learning_rate=0.001, ...), norm=1.0, value=None), norm=3.0, match=None)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_kind
from anynet.optimizers.base import Elementwise, Optimizer, State, out_of_place


@dataclass(frozen=True)
class Wrapper(Optimizer):
    """Base class of wrappers, which delegates to another optimizer; subclasses override `update`.

    A wrapper with a state of its own stores that of the wrapped optimizer under ``"optimizer"``.
    """

    optimizer: Optimizer

    def __post_init__(self) -> None:
        check_kind(type(self).__name__, "optimizer", self.optimizer, Optimizer, "Adam()")
        if self.optimizer.full_batch:
            raise ValueError(
                f"{type(self).__name__}: expected an optimizer that takes gradients, got {self.optimizer!r}; "
                f"it evaluates the loss itself and cannot be wrapped"
            )

    def init(self, params: tree.Tree) -> State:
        return self.optimizer.init(params)

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        return self.optimizer.update(params, grads, state, elementwise)

    def check_parameters(self, named: Sequence[tuple[tree.Path, Array]]) -> None:
        self.optimizer.check_parameters(named)

    def carried(self, params: tree.Tree, state: State) -> State:
        inner = self.inner(state)
        inside = self.optimizer.carried(params, inner)
        return inside if inner is state else {**super().carried(params, state), "optimizer": inside}

    def inner(self, state: State) -> State:
        """Return the state of the wrapped optimizer."""
        return state

    def loss_scale(self, state: State) -> Array | None:
        return self.optimizer.loss_scale(self.inner(state))

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        return self.optimizer.averaged(params, self.inner(state))


@dataclass(frozen=True)
class StatefulWrapper(Wrapper):
    """Base class of wrappers with a state in addition to that of the wrapped optimizer."""

    def inner(self, state: State) -> State:
        return state["optimizer"]


def update_where(
    condition: Array,
    optimizer: Optimizer,
    params: tree.Tree,
    grads: tree.Tree,
    state: State,
    elementwise: Elementwise,
) -> tuple[tree.Tree, State]:
    """Return parameters and state after an update if a 0-d condition holds, else unchanged.

    The condition stays on the device: the update runs on copies, and `where` selects one of the two results.
    """

    def chosen(new: Array, old: Array) -> Array:
        return namespace(old).where(condition, new, old)

    def copy(x: Array) -> Array:
        return namespace(x).asarray(x, copy=True)

    used = tree.set_leaves(params, iter([copy(p) for p in tree.leaves(params, like=grads)]), like=grads)
    new, new_state = optimizer.update(used, grads, tree.map(copy, state), elementwise)
    moved = [chosen(*row) for row in tree.zip_leaves(grads, new, params)]
    return tree.set_leaves(params, iter(moved), like=grads), tree.map(chosen, new_state, state)


def wrapper_state(
    optimizer: Optimizer, params: tree.Tree, *, running: str | None = None, first: float = 0.0, counter: str
) -> State:
    """Return a wrapper's initial state, with a counter and optionally `first` times the parameters."""
    state: State = {"optimizer": optimizer.init(params)}
    arrays = tree.leaves(params)
    if arrays:
        xp = namespace(arrays[0])
        if running is not None:
            state[running] = tree.map(lambda p: p * first if first else xp.zeros_like(p), params)
        state[counter] = xp.zeros((), dtype=xp.int32, device=device(arrays[0]))
    return state

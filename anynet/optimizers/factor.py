"""A factor on the learning rate that can change between steps, on any optimiser.

It is an array in the optimiser's state, ``state["factor"]``, there only once somebody has set it: a compiled step takes it
as an argument, so that a change of it needs no new compilation, and nobody else pays for it.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.optimizers.base import Elementwise, Objective, Optimizer, Schedule, State, at

KEY = "factor"


@dataclass(frozen=True, eq=False)
class Scaled:
    """A schedule times an array; lives no longer than the step that it is made in."""

    rate: float | Schedule
    factor: Array

    def __call__(self, step: Array) -> Any:
        return at(self.rate, step) * self.factor


def step(
    optimizer: Optimizer, objective: Objective, params: tree.Tree, state: State, elementwise: Elementwise
) -> tuple[Array, Any, tree.Tree, State]:
    """Take a step of an optimiser, with its learning rate multiplied by the factor in the state if there is one."""
    if KEY not in state:
        return optimizer.step(objective, params, state, elementwise)
    rest = {name: value for name, value in state.items() if name != KEY}
    value, extra, params, rest = scaled(optimizer, state[KEY]).step(objective, params, rest, elementwise)
    return value, extra, params, {**rest, KEY: state[KEY]}


def scaled(value: Any, factor: Array) -> Any:
    """Return an equal optimiser, but for the learning rate of each optimiser within."""
    if isinstance(value, tuple):
        return tuple(scaled(part, factor) for part in value)
    if not isinstance(value, Optimizer):
        return value
    changed = copy.copy(value)
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        new = Scaled(old, factor) if field.name == "learning_rate" else scaled(old, factor)
        object.__setattr__(changed, field.name, new)
    return changed


def check(where: str, optimizer: Any) -> None:
    """Raise ValueError unless there is a learning rate in the optimiser or in one that it wraps."""
    if not _has_rate(optimizer):
        raise ValueError(f"{where}: expected an optimizer with a learning_rate, got {optimizer!r}")


def _has_rate(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_has_rate, value))
    if not isinstance(value, Optimizer):
        return False
    return any(f.name == "learning_rate" or _has_rate(getattr(value, f.name)) for f in dataclasses.fields(value))

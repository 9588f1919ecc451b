"""A factor on the learning rate of any optimizer that can change between steps.

It is an array in the optimizer's state, ``state["factor"]``, and present only after it was first set. A compiled step takes
it as an argument, so changing it needs no recompilation.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.optimizers.base import Elementwise, Objective, Optimizer, Schedule, State, value_at

KEY = "factor"


@dataclass(frozen=True, eq=False)
class Scaled:
    """A learning rate times an array; used only within one step."""

    rate: float | Schedule
    factor: Array
    __hash__ = None  # type: ignore[assignment]  # it holds an array, which a kernel must not keep as a constant

    def __call__(self, step: Array) -> Any:
        return value_at(self.rate, step) * self.factor


def step(
    optimizer: Optimizer, objective: Objective, params: tree.Tree, state: State, elementwise: Elementwise
) -> tuple[Array, Any, tree.Tree, State]:
    """Take an optimizer step with the learning rate scaled by the state's factor."""
    if KEY not in state:
        return optimizer.step(objective, params, state, elementwise)
    rest = {name: value for name, value in state.items() if name != KEY}
    value, extra, params, rest = scaled(optimizer, state[KEY]).step(objective, params, rest, elementwise)
    return value, extra, params, {**rest, KEY: state[KEY]}


def scaled(value: Any, factor: Array) -> Any:
    """Return a copy of an optimizer with all learning rates scaled, nested optimizers included."""
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
    """Raise ValueError unless the optimizer, or one that it wraps, has a learning rate."""
    if not _has_rate(optimizer):
        raise ValueError(f"{where}: expected an optimizer with a learning_rate, got {optimizer!r}")


def _has_rate(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_has_rate, value))
    if not isinstance(value, Optimizer):
        return False
    return any(f.name == "learning_rate" or _has_rate(getattr(value, f.name)) for f in dataclasses.fields(value))

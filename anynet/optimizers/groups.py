"""Parameter groups: other rates, other decay, or no training at all for some of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.optimizers.base import Elementwise, Optimizer, State, functional


@dataclass(frozen=True)
class Groups(Optimizer):
    """One optimiser for most of the parameters, and others, or none, for those that are named.

    Parameters
    ----------
    optimizer : Optimizer
        For all parameters that no group names.
    groups : mapping
        From parameters to what becomes of them. The first group that matches counts. A key is

        * a pattern of names as `Model.params` has them: ``"0.*"`` is the first layer, ``"*bias"`` all biases;
        * a number of axes: 1 stands for all vectors, biases and the scales of normalisation.

        A value is

        * a dict of hyper-parameters that differ: ``{"weight_decay": 0.0}``;
        * another optimiser;
        * None: the parameters stay as they are.

    Notes
    -----
    PyTorch's parameter groups; optax's `multi_transform` and `masked`. `Model` raises ValueError for a group that matches no
    parameter; a frozen layer's count, under the names that they have when it is not frozen too. Where a loss scale or an
    average is kept, put `Groups` inside of it.

    Raises
    ------
    TypeError, ValueError
        If a key or a value is of another kind, or the optimiser has no such hyper-parameter.

    Examples
    --------
    No decay of vectors, a first layer that learns slowly:

    >>> from anynet import AdamW
    >>> optimizer = Groups(AdamW(1e-3), {"0.*": {"learning_rate": 1e-4}, 1: {"weight_decay": 0.0}})
    >>> optimizer.groups[0][1].learning_rate
    0.0001
    """

    optimizer: Optimizer
    groups: Any

    def __post_init__(self) -> None:
        pairs = self.groups.items() if isinstance(self.groups, Mapping) else self.groups
        resolved = tuple((_checked(key), self._resolved(key, value)) for key, value in pairs)
        for optimizer in (self.optimizer, *(value for _, value in resolved)):
            if optimizer is not None and (not isinstance(optimizer, Optimizer) or optimizer.full_batch):
                raise TypeError(f"Groups: expected an optimizer that takes gradients, got {optimizer!r}")
        object.__setattr__(self, "groups", resolved)

    def _resolved(self, key: Any, value: Any) -> Optimizer | None:
        if value is None or isinstance(value, Optimizer):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(
                f"Groups: expected for {key!r} a dict of hyper-parameters, an optimizer or None, got {value!r}"
            )
        names = {field.name for field in fields(self.optimizer)}
        for name in value:
            if name not in names:
                raise ValueError(
                    f"Groups: expected for {key!r} hyper-parameters of {type(self.optimizer).__name__}, "
                    f"which are {', '.join(sorted(names))}, got {name!r}"
                )
        return replace(self.optimizer, **value)

    @property
    def optimizers(self) -> tuple[Optimizer | None, ...]:
        """The optimiser of each group, and last that of the rest."""
        return (*(value for _, value in self.groups), self.optimizer)

    def parts(self, values: tree.Tree) -> list[tree.Tree]:
        """Return a tree for each of `optimizers`, with None in place of what belongs to another."""

        def of(part: int) -> tree.Tree:
            return tree.select(values, lambda path, leaf: owner(path, leaf) == part)

        def owner(path: tree.Path, leaf: Array) -> int:
            found = (i for i, (key, _) in enumerate(self.groups) if tree.matches(key, path, leaf))
            return next(found, len(self.groups))

        return [of(part) for part in range(len(self.groups) + 1)]

    def check_parameters(self, named: Sequence[tuple[tree.Path, Array]]) -> None:
        for key, _ in self.groups:
            if named and not any(tree.matches(key, path, leaf) for path, leaf in named):
                raise ValueError(
                    f"Groups: expected parameters that match {key!r}, got none; there are "
                    f"{', '.join(f'{tree.name(path)} {tuple(leaf.shape)}' for path, leaf in named)}"
                )
        for optimizer in self.optimizers:
            if optimizer is not None:
                optimizer.check_parameters(named)

    def init(self, params: tree.Tree) -> State:
        pairs = zip(self.optimizers, self.parts(params), strict=True)
        return {"groups": [{} if optimizer is None else optimizer.init(part) for optimizer, part in pairs]}

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[tree.Tree, State]:
        states = []
        for optimizer, part, old in zip(self.optimizers, self.parts(grads), state["groups"], strict=True):
            if optimizer is not None:
                params, old = optimizer.update(params, part, old, elementwise)
            states.append(old)
        return params, {"groups": states}


def _checked(key: Any) -> str | int:
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        raise TypeError(f"Groups: expected a pattern of names or a number of axes, got {key!r}")
    return key

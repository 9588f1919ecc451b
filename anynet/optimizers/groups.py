"""Parameter groups: different hyper-parameters, or freezing, for some parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.optimizers.base import Elementwise, Optimizer, State, out_of_place


@dataclass(frozen=True)
class Groups(Optimizer):
    """Use different hyper-parameters or optimizers for groups of parameters.

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer of all parameters that match no group.
    groups : mapping
        Groups of parameters; the first match applies. A key is

        * a pattern for names as in `Model.params`: ``"0.*"`` matches the first layer, ``"*bias"`` all biases;
        * a number of axes: 1 matches all vectors, that is, biases and normalization scales.

        A value is

        * a dict of different hyper-parameters, such as ``{"weight_decay": 0.0}``;
        * another optimizer;
        * None, which freezes the parameters.

    Notes
    -----
    Equivalent to parameter groups in PyTorch, and to `multi_transform` and `masked` in optax. `Model` raises ValueError for a
    group without matching parameters; frozen parameters also match under their names before freezing. Put `Groups` inside
    `LossScale`, not around it. `Model.averaged` averages the groups whose optimizer is an average.

    Raises
    ------
    TypeError, ValueError
        If a key or value has the wrong type, or the optimizer lacks the hyper-parameter.

    Examples
    --------
    Exclude vectors from weight decay, and train the first layer slowly:

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
        """The optimizer of each group, followed by that of the remaining parameters."""
        return (*(value for _, value in self.groups), self.optimizer)

    def parts(self, values: tree.Tree) -> list[tree.Tree]:
        """Return one tree per optimizer, with None in place of the other optimizers' leaves."""

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

    def carried(self, params: tree.Tree, state: State) -> State:
        rows = zip(self.optimizers, self.parts(params), state["groups"], strict=True)
        return {"groups": [{} if optimizer is None else optimizer.carried(part, old) for optimizer, part, old in rows]}

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        states = []
        for optimizer, part, old in zip(self.optimizers, self.parts(grads), state["groups"], strict=True):
            if optimizer is not None:
                params, old = optimizer.update(params, part, old, elementwise)
            states.append(old)
        return params, {"groups": states}

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        for optimizer, part in zip(self.optimizers, state["groups"], strict=True):
            if optimizer is not None:
                params = optimizer.averaged(params, part)
        return params


def _checked(key: Any) -> str | int:
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        raise TypeError(f"Groups: expected a pattern of names or a number of axes, got {key!r}")
    return key

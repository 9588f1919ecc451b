"""Base class of optimizers, and functions that run an elementwise rule over parameter trees.

An optimizer is a frozen dataclass of hyper-parameters. Most consist of an elementwise *rule* of plain arithmetic,
``rule(p, g, *slots, *coefficients) -> (p, *slots)``, and *slots*, arrays of a parameter's shape kept between steps. The rule
may update its arguments in place (``m *= b`` does so on mutable arrays, and creates a new array on JAX), so its caller must
own them. Each backend runs the same source in its own way: in tiles, compiled, or as one kernel.

>>> import numpy as np
>>> from anynet import SGD
>>> params, grads = {"weight": np.array([1.0])}, {"weight": np.array([0.5])}
>>> optimizer = SGD(0.1)
>>> optimizer.update(params, grads, optimizer.init(params))[0]
{'weight': array([0.95])}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.durations import fields_in_steps
from anynet.names.constructors import Value
from anynet.optimizers import scalars
from anynet.optimizers.own import check_rule

Rule = Callable[..., tuple[Array, ...]]
LeafGroups = list[tuple[Array, ...]]
Elementwise = Callable[[Rule], Callable[[LeafGroups, tuple[Any, ...]], Sequence[tuple[Array, ...]] | None]]
Schedule = Callable[[Array], Array]
State = dict[str, Any]
Objective = Callable[[tree.Tree], tuple[Array, tree.Tree, Any]]
"""A function of the parameters that returns the loss, its gradients and auxiliary output."""


def out_of_place(rule: Rule) -> Callable[[LeafGroups, tuple[Any, ...]], Sequence[tuple[Array, ...]]]:
    """Return a function that runs a rule on copies, so that `update` is pure."""

    def run(leaf_groups: LeafGroups, coefficients: tuple[Any, ...]) -> Sequence[tuple[Array, ...]]:
        def copy(x: Array) -> Array:
            return namespace(x).asarray(x, copy=True)

        return [rule(copy(p), g, *(copy(s) for s in slots), *coefficients) for p, g, *slots in leaf_groups]

    return run


def run_rule(
    elementwise: Elementwise, rule: Rule, leaf_groups: LeafGroups, coefficients: tuple[Any, ...]
) -> list[list[Array]]:
    """Run a rule and return lists of the new parameters and of each slot."""
    new = elementwise(rule)(leaf_groups, coefficients)
    return [
        list(column)
        for column in zip(*([(p, *slots) for p, _, *slots in leaf_groups] if new is None else new), strict=True)
    ]


@dataclass(frozen=True)
class Optimizer(metaclass=Value):
    """Base class of optimizers, which are pure functions.

    An elementwise optimizer is a frozen dataclass that implements `slots`, `rule` and `coefficients`. Others implement `init`
    and `update`, or `init` and `step` if they evaluate the loss more than once per step.
    """

    full_batch: ClassVar[bool] = False
    """Whether `step` evaluates the loss of the same examples several times, with decisions on the host in between.

    `Model.fit` then requires ``batch_size=None``, and compiles the loss and its gradients instead of the whole step.
    """

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter, initially zero."""
        return ()

    @property
    def rule(self) -> Rule:
        """The elementwise rule, a module-level function."""
        raise NotImplementedError(f"{type(self).__name__}: expected rule to be implemented, got none")

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        """Return the coefficients of the rule after `step` earlier updates, a 0-d float array."""
        raise NotImplementedError(f"{type(self).__name__}: expected coefficients(step) to be implemented, got none")

    def advance(self, step: Array, state: State) -> tuple[tuple[Any, ...], State]:
        """Return the coefficients, and new values of the state's scalars."""
        return self.coefficients(step), {}

    def init(self, params: tree.Tree) -> State:
        """Return the initial state for the trainable part of the parameters."""
        # The step count is an array because a compiled step would treat a Python integer as a constant.
        if type(self).rule is not Optimizer.rule and type(self).advance is Optimizer.advance:
            if self.rule != self.rule:
                raise TypeError(
                    f"{type(self).__name__}: expected rule to be the same function at each access, got a new one, which would be "
                    "compiled in each step; define it at the level of the module"
                )
            check_rule(type(self).__name__, self.slots, self.rule, self.coefficients)
        arrays = tree.leaves(params)
        if not arrays:
            return {}
        xp = namespace(arrays[0])
        step = xp.zeros((), dtype=xp.int32, device=device(arrays[0]))
        return {"step": step, **{slot: tree.map(xp.zeros_like, params) for slot in self.slots}}

    def carried(self, params: tree.Tree, state: State) -> State:
        """Return the state for a changed selection of trained parameters.

        It is that of `state`, and the initial one for new parameters. Optimizers with arrays that belong to all parameters
        together override this, and those with several optimizers inside call it for each of them.
        """
        new, known = self.init(params), dict(tree.leaves_with_paths(state))
        leaves = [known.get(path, initial) for path, initial in tree.leaves_with_paths(new)]
        return tree.set_leaves(new, iter(leaves), like=new)

    def in_steps(self, per_epoch: float) -> Self:
        """Return the optimizer with schedules in steps; `per_epoch` is the number of updates per epoch."""
        return fields_in_steps(self, per_epoch)

    def check_parameters(self, named: Sequence[tuple[tree.Path, Array]]) -> None:
        """Raise ValueError if the optimizer names parameters that the model lacks."""

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        """Return parameters and state after one step.

        Parameters without an entry in `grads`, such as buffers and those of frozen layers, are returned unchanged.
        """
        slots = self.slots if state else ()
        leaf_groups = tree.zip_leaves(grads, params, grads, *(state[slot] for slot in slots))
        if not leaf_groups:
            return params, state
        coefficients, numbers, step = scalars.advance(self, state, leaf_groups[0][1].dtype)
        new = elementwise(self.rule)(leaf_groups, coefficients)
        if new is None:  # changed in place
            return params, {**state, **numbers, "step": step}
        columns = zip(*new, strict=True)
        params = tree.set_leaves(params, iter(next(columns)), like=grads)
        moved = {
            slot: tree.set_leaves(state[slot], iter(column), like=grads)
            for slot, column in zip(slots, columns, strict=True)
        }
        return params, {"step": step, **moved, **numbers}

    def step(
        self, objective: Objective, params: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[Array, Any, tree.Tree, State]:
        """Return the loss before the step, auxiliary output, new parameters and new state."""
        value, grads, extra = objective(params)
        return value, extra, *self.update(params, grads, state, elementwise)

    def minimize(
        self, value_and_grad: Callable[[tree.Tree], tuple[Array, tree.Tree]], params: tree.Tree, *, steps: int = 100
    ) -> tree.Tree:
        """Return the parameters after `steps` steps on a function that returns its value and gradients.

        Examples
        --------
        >>> import numpy as np
        >>> from anynet import SGD
        >>> SGD(0.5).minimize(lambda p: (np.sum(p[0] ** 2), [2 * p[0]]), [np.array([1.0, 2.0])], steps=1)
        [array([0., 0.])]
        """

        def objective(params: tree.Tree) -> tuple[Array, tree.Tree, None]:
            return *value_and_grad(params), None

        state = self.init(params)
        for _ in range(steps):
            _, _, params, state = self.step(objective, params, state)
        return params

    def loss_scale(self, state: State) -> Array | None:
        """Return the factor that multiplies the loss's derivative and divides the gradients, or None."""
        return None

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        """Return the parameters to use after training: their average if the optimizer keeps one."""
        return params


def value_at(value: float | Schedule, step: Array) -> Any:
    """Return the value of a number or schedule at a step."""
    return value(step) if callable(value) else value

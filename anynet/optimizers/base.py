"""The contract that every optimiser keeps, and how an elementwise rule is run over whole trees of parameters.

An optimiser is a frozen dataclass of hyper-parameters. Nearly all are an elementwise *rule* of plain arithmetic,
``rule(p, g, *slots, *coefficients) -> (p, *slots)``, and a number of *slots*, arrays of a parameter's shape that it keeps
between steps. The rule may update its arguments in place (``m *= b`` does so where arrays can be changed, and makes a new
one on JAX), so whoever runs it owns them. A backend runs the same source its own way: in tiles, compiled, or as one kernel.

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
from typing import Any, ClassVar

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace

Rule = Callable[..., tuple[Array, ...]]
Rows = list[tuple[Array, ...]]
Elementwise = Callable[[Rule], Callable[[Rows, tuple[Any, ...]], Sequence[tuple[Array, ...]] | None]]
Schedule = Callable[[Array], Array]
State = dict[str, Any]
Objective = Callable[[tree.Tree], tuple[Array, tree.Tree, Any]]
"""From parameters to the loss, its gradients, and whatever else the one who asked wants back."""


def functional(rule: Rule) -> Callable[[Rows, tuple[Any, ...]], Sequence[tuple[Array, ...]]]:
    """Run a rule on copies, so that no argument changes: how an optimiser works when it is used by itself."""

    def run(rows: Rows, coefficients: tuple[Any, ...]) -> Sequence[tuple[Array, ...]]:
        def copy(x: Array) -> Array:
            return namespace(x).asarray(x, copy=True)

        return [rule(copy(p), g, *(copy(s) for s in slots), *coefficients) for p, g, *slots in rows]

    return run


def run_rule(elementwise: Elementwise, rule: Rule, rows: Rows, coefficients: tuple[Any, ...]) -> list[list[Array]]:
    """Run a rule and return columns: the new p of every row, then each of the slots, whether they changed in place or not."""
    new = elementwise(rule)(rows, coefficients)
    return [
        list(column) for column in zip(*([(p, *slots) for p, _, *slots in rows] if new is None else new), strict=True)
    ]


@dataclass(frozen=True)
class Optimizer:
    """Pure functions from parameters, gradients and state to new parameters and state.

    To write an elementwise optimiser: a frozen dataclass with `slots`, `rule` and `coefficients`. To write another: one with
    `init` and `update`, or, if it has to ask for the loss more than once, `init` and `step`.
    """

    full_batch: ClassVar[bool] = False
    """Whether `step` asks for the loss of the same examples several times, and decides on the host how to go on.

    `Model.fit` then wants all examples at a time, and compiles the loss with its gradients instead of the whole step.
    """

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays kept for each parameter, all zero at first."""
        return ()

    @property
    def rule(self) -> Rule:
        """The elementwise rule, a module-level function."""
        raise NotImplementedError(f"{type(self).__name__}: expected a rule to be written, got none")

    def coefficients(self, step: Array) -> tuple[Any, ...]:
        """Return the numbers that the rule takes, given the count of updates made before, a 0-d float array."""
        raise NotImplementedError(f"{type(self).__name__}: expected coefficients(step) to be written, got none")

    def advance(self, step: Array, state: State) -> tuple[tuple[Any, ...], State]:
        """Return the coefficients, and the new numbers where the state holds any that depend on the steps before."""
        return self.coefficients(step), {}

    def init(self, params: tree.Tree) -> State:
        """Return the state before the first step for the trainable part of a layer's parameters.

        The step count is an array, since a compiled step would bake a Python integer in.
        """
        arrays = tree.leaves(params)
        if not arrays:
            return {}
        xp = namespace(arrays[0])
        step = xp.zeros((), dtype=xp.int32, device=device(arrays[0]))
        return {"step": step, **{slot: tree.map(xp.zeros_like, params) for slot in self.slots}}

    def check_parameters(self, named: Sequence[tuple[tree.Path, Array]]) -> None:
        """Raise ValueError if the optimizer names parameters that are not among those of a model, frozen ones included."""

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[tree.Tree, State]:
        """Return parameters and state after one step.

        Only what has a gradient moves: a parameter without an entry in `grads` (a buffer, a frozen layer) is passed on.
        """
        slots = self.slots if state else ()
        rows = tree.zip_leaves(grads, params, grads, *(state[slot] for slot in slots))
        if not rows:
            return params, state
        step = state["step"]
        count = namespace(step).astype(step, rows[0][1].dtype)
        coefficients, numbers = self.advance(count, state)
        new = elementwise(self.rule)(rows, coefficients)
        if new is None:  # changed in place
            return params, {**state, **numbers, "step": step + 1}
        columns = zip(*new, strict=True)
        params = tree.set_leaves(params, iter(next(columns)), like=grads)
        moved = {
            slot: tree.set_leaves(state[slot], iter(column), like=grads)
            for slot, column in zip(slots, columns, strict=True)
        }
        return params, {"step": step + 1, **moved, **numbers}

    def step(
        self, objective: Objective, params: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[Array, Any, tree.Tree, State]:
        """Take one step on a function, and return its value before, what else it told, parameters and state."""
        value, grads, extra = objective(params)
        return value, extra, *self.update(params, grads, state, elementwise)

    def minimize(
        self, value_and_grad: Callable[[tree.Tree], tuple[Array, tree.Tree]], params: tree.Tree, *, steps: int = 100
    ) -> tree.Tree:
        """Return parameters after some steps on a function of parameters alone, which gives its value and gradients.

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
        """Return what to multiply the loss's derivative by before backward, and to divide the gradients by after, or None."""
        return None

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        """Return the parameters to use after training: these, unless the optimiser keeps an average of them."""
        return params


def at(value: float | Schedule, step: Array) -> Any:
    """Return a hyper-parameter at a step: itself, or what its schedule says."""
    return value(step) if callable(value) else value

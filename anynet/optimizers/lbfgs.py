r"""L-BFGS, a quasi-Newton method for small networks and data that fit in one batch."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int, check_number
from anynet.optimizers.base import Elementwise, Objective, Optimizer, State, out_of_place
from anynet.optimizers.linesearch import Point, strong_wolfe

Pair = tuple[Array, Array, Array]
"""A step s and the gradient change y along it, both of shape (n,), and 1 / sᵀy, 0-d."""


@dataclass(frozen=True)
class LBFGS(Optimizer):
    r"""L-BFGS: limited-memory BFGS with a strong Wolfe line search.

    .. math::

        θ ← θ - a H g, \qquad
        H ← (I - ρ s y^T) H (I - ρ y s^T) + ρ s s^T, \quad s = Δθ, \; y = Δg, \; ρ = \frac{1}{s^T y}.

    H is never formed: the two-loop recursion computes H g from the last pairs s, y, starting with
    :math:`H = \frac{s^T y}{y^T y} I` of the newest pair.

    Parameters
    ----------
    iterations : int, in [1, inf)
        Number of iterations per step, which is one epoch in `Model.fit`.
    history : int, in [1, inf)
        Number of pairs kept.
    tolerance : float, in [0, inf)
        Stop iterating when no element of the gradient is larger in absolute value.
    evaluations : int, in [2, inf)
        Maximum number of evaluations of loss and gradient per line search.

    Notes
    -----
    It evaluates the loss of the same examples at several points: use ``model.fit(x, y, batch_size=None, epochs=10)``, or
    ``LBFGS().minimize(value_and_grad, params)`` without a model. Vectors stay on the device; each evaluation transfers a few
    numbers to the host for the line search. The state holds the pairs as rows, oldest first, so that training resumes exactly.

    The first step size is min(1, 1/‖g‖₁), as in PyTorch's ``LBFGS(line_search_fn="strong_wolfe")``.

    Examples
    --------
    >>> import numpy as np
    >>> def bowl(p):
    ...     return np.sum(np.array([1.0, 100.0]) * p[0] ** 2), [np.array([2.0, 200.0]) * p[0]]
    >>> print(np.abs(LBFGS().minimize(bowl, [np.array([3.0, -2.0])], steps=1)[0]).round(6))
    [0. 0.]

    References
    ----------
    Nocedal, Wright (2006), "Numerical optimization", second edition, algorithms 7.4 and 7.5; Liu, Nocedal (1989).
    """

    full_batch: ClassVar[bool] = True
    _: KW_ONLY
    iterations: int = 20
    history: int = 10
    tolerance: float = 1e-7
    evaluations: int = 25

    def __post_init__(self) -> None:
        check_int("LBFGS", "iterations", self.iterations, at_least=1)
        check_int("LBFGS", "history", self.history, at_least=1)
        check_number("LBFGS", "tolerance", self.tolerance, "[0, inf)")
        check_int("LBFGS", "evaluations", self.evaluations, at_least=2)

    def init(self, params: tree.Tree) -> State:
        arrays = tree.leaves(params)
        if not arrays:
            return {}
        xp, place, dtype = namespace(arrays[0]), device(arrays[0]), arrays[0].dtype
        shape = (self.history, sum(math.prod(a.shape) for a in arrays))
        return {
            "step": xp.zeros((), dtype=xp.int32, device=place),
            "pairs": xp.zeros((), dtype=xp.int32, device=place),
            "s": xp.zeros(shape, dtype=dtype, device=place),
            "y": xp.zeros(shape, dtype=dtype, device=place),
        }

    def carried(self, params: tree.Tree, state: State) -> State:
        """Return the state, or the initial one if other parameters are trained."""
        # A pair is a step in all trained parameters and the change of their gradient.
        new = self.init(params)
        sizes = [{name: tuple(array.shape) for name, array in each.items()} for each in (new, state)]
        return state if sizes[0] == sizes[1] else new

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        """Raise TypeError, because gradients at one point are not enough."""
        raise TypeError("LBFGS: expected a function to minimize, got gradients alone; call step or minimize")

    def step(
        self, objective: Objective, params: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[Array, Any, tree.Tree, State]:
        value, grads, extra = objective(params)
        if not tree.leaves(grads):
            return value, extra, params, state
        x, g = flat(params, grads), flat(grads, grads)
        xp, f, pairs = namespace(x), float(value), self._pairs(state)
        rounding = float(xp.finfo(x.dtype).eps)

        for _ in range(self.iterations):
            if not float(xp.max(xp.abs(g))) > self.tolerance:
                break
            d = -inverse_hessian_times(g, pairs)
            slope = float(xp.sum(d * g))
            if slope >= 0:  # rounding errors have spoiled the pairs
                pairs.clear()
                d, slope = -g, -float(xp.sum(g * g))

            def phi(distance: float, x: Array = x, d: Array = d) -> tuple[float, float, Array]:
                value, new, _ = objective(unflat(x + distance * d, params, grads))
                g = flat(new, grads)
                return float(value), float(xp.sum(g * d)), g

            first = 1.0 if pairs else min(1.0, 1.0 / float(xp.sum(xp.abs(g))))
            best = strong_wolfe(phi, Point(0.0, f, slope, g), first, evaluations=self.evaluations, rounding=rounding)
            if best.distance == 0.0:
                if not pairs:
                    break
                pairs.clear()  # retry along the negative gradient
                continue
            s, y = best.distance * d, best.extra - g
            curvature = xp.sum(s * y)
            if float(curvature) > rounding * float(xp.sum(y * y)):
                pairs.append((s, y, 1.0 / curvature))
            x, f, g = x + s, best.value, best.extra
        return value, extra, unflat(x, params, grads), self._state(pairs, state)

    def _pairs(self, state: State) -> deque[Pair]:
        xp = namespace(state["s"])
        rows = [(state["s"][i, :], state["y"][i, :]) for i in range(int(state["pairs"]))]
        return deque(((s, y, 1.0 / xp.sum(s * y)) for s, y in rows), maxlen=self.history)

    def _state(self, pairs: deque[Pair], state: State) -> State:
        xp = namespace(state["s"])
        missing = [xp.zeros_like(state["s"][0, :])] * (self.history - len(pairs))
        return {
            "step": state["step"] + 1,
            "pairs": state["pairs"] * 0 + len(pairs),
            "s": xp.stack([s for s, _, _ in pairs] + missing),
            "y": xp.stack([y for _, y, _ in pairs] + missing),
        }


def inverse_hessian_times(g: Array, pairs: deque[Pair]) -> Array:
    """Return H g by the two-loop recursion over the pairs, oldest first."""
    if not pairs:
        return g
    xp, q, weights = namespace(g), g, []
    for s, y, rho in reversed(pairs):
        weight = rho * xp.sum(s * q)
        weights.append(weight)
        q = q - weight * y
    _, y, rho = pairs[-1]
    q = q / (rho * xp.sum(y * y))
    for (s, y, rho), weight in zip(pairs, reversed(weights), strict=True):
        q = q + (weight - rho * xp.sum(y * q)) * s
    return q


def flat(values: tree.Tree, like: tree.Tree) -> Array:
    """Return the leaves at the paths of `like` as one vector."""
    arrays = tree.leaves(values, like=like)
    xp = namespace(arrays[0])
    return xp.concat([xp.reshape(a, (-1,)) for a in arrays])


def unflat(vector: Array, values: tree.Tree, like: tree.Tree) -> tree.Tree:
    """Return `values` with the leaves at the paths of `like` taken from a vector."""
    xp, parts, start = namespace(vector), [], 0
    for array in tree.leaves(values, like=like):
        stop = start + math.prod(array.shape)
        parts.append(xp.reshape(vector[start:stop], array.shape))
        start = stop
    return tree.set_leaves(values, iter(parts), like=like)

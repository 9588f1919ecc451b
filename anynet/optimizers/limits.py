r"""Limits on what goes into an optimiser, `Clip`, and on what comes out of it, `MaxNorm`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Elementwise, Schedule, State, functional
from anynet.optimizers.wrapper import Wrapper, begun


@dataclass(frozen=True)
class Limit(Wrapper):
    """An optimiser with a limit on something; to write one, write `limit` and `within`.

    The state is the optimiser's. Only where the limit is a schedule it has one of its own: the optimiser's under
    ``"optimizer"``, and ``"step"``, the number of updates.
    """

    @property
    def limit(self) -> float | Schedule:
        raise NotImplementedError(f"{type(self).__name__}: expected limit to be written, got none")

    def within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        """Make the optimiser's update, given the limit of this step."""
        raise NotImplementedError(f"{type(self).__name__}: expected within(limit, ...) to be written, got none")

    def init(self, params: tree.Tree) -> State:
        return begun(self.optimizer, params, counter="step") if callable(self.limit) else self.optimizer.init(params)

    def inner(self, state: State) -> State:
        return state["optimizer"] if callable(self.limit) else state

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[tree.Tree, State]:
        if not callable(self.limit):
            return self.within(self.limit, params, grads, state, elementwise)
        arrays = tree.leaves(grads)
        if not arrays:
            return params, state
        limit = self.limit(namespace(arrays[0]).astype(state["step"], arrays[0].dtype))
        params, inside = self.within(limit, params, grads, state["optimizer"], elementwise)
        return params, {"optimizer": inside, "step": state["step"] + 1}


@dataclass(frozen=True)
class Clip(Limit):
    r"""Limit the gradients before an optimiser sees them: all together by their norm, or each number by itself.

    .. math:: g ← g \min\Big(1, \frac{c}{‖g‖ + 10^{-6}}\Big), \quad ‖g‖^2 = \sum \text{ over all parameters } g^2,
              \qquad \text{or} \quad g ← \min(\max(g, -c), c)

    Parameters
    ----------
    optimizer : Optimizer
        Who gets the limited gradients.
    norm : float > 0, or a schedule, optional
        The largest norm, of all gradients taken as one vector; their direction stays as it is.
    value : float > 0, or a schedule, optional
        Or the largest absolute value of each number.

    Notes
    -----
    PyTorch's `clip_grad_norm_` and `clip_grad_value_`; Keras' `global_clipnorm` and `clipvalue`. A schedule is one of the
    updates that `Clip` has seen, which are more than those of the optimiser inside if that is `Accumulate` or `LossScale`.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer = Clip(SGD(1.0), norm=1.0)
    >>> p = [np.zeros(2)]
    >>> print(optimizer.update(p, [np.array([30.0, -40.0])], optimizer.init(p))[0][0].round(6))
    [-0.6  0.8]

    References
    ----------
    Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural networks", algorithm 1.
    """

    _: KW_ONLY
    norm: float | Schedule | None = None
    value: float | Schedule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.norm is None) == (self.value is None):
            raise ValueError(
                f"Clip: expected either norm or value, got norm={self.norm!r} and value={self.value!r}; "
                f"for both write Clip(Clip(...))"
            )
        for name, limit in (("norm", self.norm), ("value", self.value)):
            if limit is not None:
                check_hyperparameter("Clip", name, limit, "(0, inf)")

    @property
    def limit(self) -> float | Schedule:
        return self.norm if self.norm is not None else self.value  # type: ignore[return-value]  # one of them is given

    def within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        return self.optimizer.update(params, self.limited(grads, limit), state, elementwise)

    def limited(self, grads: tree.Tree, limit: float | Array) -> tree.Tree:
        """Return the gradients within the limit."""
        arrays = tree.leaves(grads)
        if not arrays:
            return grads
        xp = namespace(arrays[0])
        if self.norm is None:
            return tree.map(lambda g: xp.minimum(xp.maximum(g, -limit), limit), grads)
        factor = xp.minimum(limit / (global_norm(arrays) + 1e-6), 1.0)
        return tree.map(lambda g: g * factor, grads)


def global_norm(arrays: list[Array]) -> Array:
    """Return the Euclidean norm of all numbers in some arrays."""
    xp = namespace(arrays[0])
    total = xp.sum(arrays[0] * arrays[0])
    for array in arrays[1:]:
        total = total + xp.sum(array * array)
    return xp.sqrt(total)


@dataclass(frozen=True)
class MaxNorm(Limit):
    r"""After each update bring the weights that lead into one unit back to a norm of at most c.

    .. math:: W_{:j} ← W_{:j} \min\Big(1, \frac{c}{‖W_{:j}‖}\Big)

    Parameters
    ----------
    optimizer : Optimizer
        Who makes the update.
    norm : float > 0, or a schedule
        c; 3 to 4 is usual beside dropout.
    match : str or int, optional
        The names of the parameters it holds for, such as ``"0.weight"`` or ``"*weight"``, or their number of axes; by
        default all with two axes or more. The last axis counts the units.

    Notes
    -----
    Keras' `MaxNorm`, with all axes but the last.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer = MaxNorm(SGD(1.0), 1.0)
    >>> p = {"weight": np.array([[3.0, 0.1], [4.0, 0.2]])}
    >>> optimizer.update(p, {"weight": np.zeros((2, 2))}, optimizer.init(p))[0]["weight"]
    array([[0.6, 0.1],
           [0.8, 0.2]])

    References
    ----------
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", section 5.1.
    """

    norm: float | Schedule
    _: KW_ONLY
    match: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyperparameter("MaxNorm", "norm", self.norm, "(0, inf)")

    @property
    def limit(self) -> float | Schedule:
        return self.norm

    def within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        params, state = self.optimizer.update(params, grads, state, elementwise)
        meant = tree.select(grads, lambda path, g: tree.matches(self.match, path, g))
        limited = [self.limited(w, limit) for w in tree.leaves(params, like=meant)]
        return tree.set_leaves(params, iter(limited), like=meant), state

    def limited(self, w: Array, limit: float | Array) -> Array:
        """Return weights (..., units) within the limit."""
        xp = namespace(w)
        squares = xp.sum(w * w, axis=tuple(range(w.ndim - 1)), keepdims=True)
        norms = xp.sqrt(xp.maximum(squares, float(xp.finfo(w.dtype).smallest_normal)))
        return w * xp.minimum(limit / norms, 1.0)

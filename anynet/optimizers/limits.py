r"""Limits on the gradients, `Clip`, and on the updated weights, `MaxNorm`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.checks import check_hyperparameter
from anynet.optimizers.base import Elementwise, Schedule, State, out_of_place
from anynet.optimizers.wrapper import Wrapper, wrapper_state


@dataclass(frozen=True)
class Limit(Wrapper):
    """Base class of wrappers with a limit; subclasses implement `limit` and `update_within`.

    The state is that of the optimizer. If the limit is a schedule, it is a dict of the optimizer's state, ``"optimizer"``,
    and the number of updates, ``"step"``.
    """

    @property
    def limit(self) -> float | Schedule:
        raise NotImplementedError(f"{type(self).__name__}: expected limit to be implemented, got none")

    def update_within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        """Return parameters and state after an update within this step's limit."""
        raise NotImplementedError(f"{type(self).__name__}: expected update_within to be implemented, got none")

    def init(self, params: tree.Tree) -> State:
        if callable(self.limit):
            return wrapper_state(self.optimizer, params, counter="step")
        return self.optimizer.init(params)

    def inner(self, state: State) -> State:
        return state["optimizer"] if callable(self.limit) else state

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        if not callable(self.limit):
            return self.update_within(self.limit, params, grads, state, elementwise)
        arrays = tree.leaves(grads)
        if not arrays:
            return params, state
        limit = self.limit(namespace(arrays[0]).astype(state["step"], arrays[0].dtype))
        params, inside = self.update_within(limit, params, grads, state["optimizer"], elementwise)
        return params, {"optimizer": inside, "step": state["step"] + 1}


@dataclass(frozen=True)
class Clip(Limit):
    r"""Clip the gradients by their global norm or by value.

    .. math:: g ← g \min\Big(1, \frac{c}{‖g‖ + 10^{-6}}\Big), \quad ‖g‖^2 = \sum \text{ over all parameters } g^2,
              \qquad \text{or} \quad g ← \min(\max(g, -c), c)

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer that receives the clipped gradients.
    norm : float or Schedule, in (0, inf), optional
        Maximum norm of all gradients taken as one vector; their direction is kept.
    value : float or Schedule, in (0, inf), optional
        Maximum absolute value of each element. Give either `norm` or `value`.

    Notes
    -----
    Equivalent to `clip_grad_norm_` and `clip_grad_value_` in PyTorch, and to `global_clipnorm` and `clipvalue` in Keras. The
    step of a schedule counts calls of `Clip`, including those that `Accumulate` or `LossScale` inside it skip.

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
        return self.norm if self.norm is not None else self.value  # type: ignore[return-value]  # one of the two is set

    def update_within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        return self.optimizer.update(params, self.limited(grads, limit), state, elementwise)

    def limited(self, grads: tree.Tree, limit: float | Array) -> tree.Tree:
        """Return the clipped gradients."""
        arrays = tree.leaves(grads)
        if not arrays:
            return grads
        xp = namespace(arrays[0])
        if self.norm is None:
            return tree.map(lambda g: xp.minimum(xp.maximum(g, -limit), limit), grads)
        factor = xp.minimum(limit / (global_norm(arrays) + 1e-6), 1.0)
        return tree.map(lambda g: g * narrowed(factor, g.dtype), grads)


def global_norm(arrays: list[Array]) -> Array:
    """Return the Euclidean norm of all elements of a list of arrays."""
    xp = namespace(arrays[0])
    arrays = [widened(array) for array in arrays]
    squares = xp.sum(arrays[0] * arrays[0])
    for array in arrays[1:]:
        squares = squares + xp.sum(array * array)
    return xp.sqrt(squares)


@dataclass(frozen=True)
class MaxNorm(Limit):
    r"""Limit the norm of each unit's incoming weights after every update.

    .. math:: W_{:j} ← W_{:j} \min\Big(1, \frac{c}{‖W_{:j}‖}\Big)

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer to wrap.
    norm : float or Schedule, in (0, inf)
        Maximum norm c; typically 3 to 4 in combination with dropout.
    match : str or int, optional
        Pattern for the names of the limited parameters, such as ``"0.weight"`` or ``"*weight"``, or their number of axes; by
        default all with at least two axes. The last axis indexes the units.

    Notes
    -----
    Equivalent to Keras' `MaxNorm` over all axes except the last.

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

    def update_within(
        self, limit: float | Array, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise
    ) -> tuple[tree.Tree, State]:
        params, state = self.optimizer.update(params, grads, state, elementwise)
        meant = tree.select(grads, lambda path, g: tree.matches(self.match, path, g))
        limited = [self.limited(w, limit) for w in tree.leaves(params, like=meant)]
        return tree.set_leaves(params, iter(limited), like=meant), state

    def limited(self, w: Array, limit: float | Array) -> Array:
        """Return the weights, of shape (..., units), with the norms limited."""
        xp = namespace(w)
        wide = widened(w)
        squares = xp.sum(wide * wide, axis=tuple(range(w.ndim - 1)), keepdims=True)
        norms = xp.sqrt(xp.maximum(squares, float(xp.finfo(w.dtype).smallest_normal)))
        return narrowed(wide * xp.minimum(limit / norms, 1.0), w.dtype)

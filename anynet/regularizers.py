r"""Penalties on the size of the weights, as part of the loss.

``Model(regularizer=L2(1e-4))`` adds R(θ) to the loss that `fit`, `train_step`, `gradients` and `evaluate` report, and its
derivative to the gradients. For weight decay outside of the loss, see `AdamW` and `SGD`.

>>> import numpy as np
>>> params = [{"weight": np.array([[3.0, -4.0]]), "bias": np.array([9.0, 9.0])}]
>>> print(L2(0.1).value(params), (L2(0.1) + L1(1.0)).value(params))
1.25 8.25
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_kind, check_number
from anynet.names.constructors import Value


@dataclass(frozen=True)
class Regularizer(metaclass=Value):
    """Base class of penalties; subclasses implement `value` and `add_gradient`."""

    def value(self, params: tree.Tree, examples: Array | float = 1.0) -> Array | float:
        """Return R, a 0-d array, or 0 if it applies to no parameter.

        `examples` is the denominator of the mean loss: the number of examples, or the sum of their weights.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected value(params) to be implemented, got none")

    def add_gradient(self, params: tree.Tree, grads: tree.Tree, examples: Array | float = 1.0) -> tree.Tree:
        """Return the gradients plus ∂R/∂θ."""
        raise NotImplementedError(f"{type(self).__name__}: expected add_gradient to be implemented, got none")

    def __add__(self, other: Regularizer) -> Regularizer:
        return Both(self, other)


@dataclass(frozen=True)
class Both(Regularizer):
    """Sum of two regularizers, such as the elastic net ``L1(1e-5) + L2(1e-4)``."""

    first: Regularizer
    second: Regularizer

    def __post_init__(self) -> None:
        for part in (self.first, self.second):
            check_kind("+", "a regularizer", part, Regularizer, "L2(1e-4)")

    def value(self, params: tree.Tree, examples: Array | float = 1.0) -> Array | float:
        return self.first.value(params, examples) + self.second.value(params, examples)

    def add_gradient(self, params: tree.Tree, grads: tree.Tree, examples: Array | float = 1.0) -> tree.Tree:
        return self.second.add_gradient(params, self.first.add_gradient(params, grads, examples), examples)


@dataclass(frozen=True)
class Penalty(Regularizer):
    """Base class of sums over individual weights; subclasses implement `of` and `slope`."""

    strength: float
    _: KW_ONLY
    match: str | int | None = None
    per_example: bool = False

    def __post_init__(self) -> None:
        check_number(type(self).__name__, "strength", self.strength, "[0, inf)")

    def of(self, w: Array) -> Array:
        """Return the penalty of an array of weights, 0-d."""
        raise NotImplementedError(f"{type(self).__name__}: expected of(w) to be implemented, got none")

    def slope(self, w: Array, factor: Array | float = 1.0) -> Array:
        """Return the derivative of the penalty times a factor, in the shape of w."""
        raise NotImplementedError(f"{type(self).__name__}: expected slope(w) to be implemented, got none")

    def value(self, params: tree.Tree, examples: Array | float = 1.0) -> Array | float:
        total: Array | float = 0.0
        for path, w in tree.leaves_with_paths(params):
            if tree.matches(self.match, path, w):
                total = total + self.of(w)
        return total / examples if self.per_example else total

    def add_gradient(self, params: tree.Tree, grads: tree.Tree, examples: Array | float = 1.0) -> tree.Tree:
        return self._added(params, grads, 1.0 / examples if self.per_example else 1.0, ())

    def _added(self, w: tree.Tree, g: tree.Tree, factor: Array | float, path: tree.Path) -> tree.Tree:
        """Return the gradients with the derivatives added."""
        # One pass over both trees, because this runs in every training step.
        if isinstance(g, dict):
            return {key: self._added(w[key], part, factor, (*path, key)) for key, part in g.items()}
        if isinstance(g, (list, tuple)):
            return type(g)([self._added(w[i], part, factor, (*path, i)) for i, part in enumerate(g)])
        return g + self.slope(w, factor) if g is not None and tree.matches(self.match, path, g) else g


@dataclass(frozen=True)
class L2(Penalty):
    r"""Penalize half the sum of squared weights (ridge, Gaussian prior).

    .. math:: R = \tfrac12 λ \sum w^2, \qquad \frac{∂R}{∂w} = λ w

    Parameters
    ----------
    strength : float, in [0, inf)
        Strength λ.
    match : str or int, optional
        Pattern for the names of the penalized parameters, such as ``"0.weight"`` or ``"*weight"``, or their number of axes; by
        default all with at least two axes, which excludes biases and normalization scales.
    per_example : bool
        Whether to divide R by the number of examples in the batch, or the sum of their weights. Then λ refers to a sum over
        all examples, and smaller batches are regularized more.

    Notes
    -----
    λ equals PyTorch's `weight_decay` (for plain SGD) and, with `per_example`, `alpha` of scikit-learn's MLP. Keras' `L2(l2)`
    has no factor ½, so λ is 2 l2.

    Examples
    --------
    >>> import numpy as np
    >>> w = {"weight": np.array([[3.0, -4.0]])}
    >>> print(L2(0.1).value(w), L2(0.1).add_gradient(w, {"weight": np.zeros((1, 2))})["weight"])
    1.25 [[ 0.3 -0.4]]

    References
    ----------
    Goodfellow, Bengio, Courville (2016), "Deep learning", eqs. 7.1 to 7.3.
    """

    def of(self, w: Array) -> Array:
        flat = namespace(w).reshape(w, (-1,))
        return (0.5 * self.strength) * (flat @ flat)  # a dot product needs no temporary array of squares

    def slope(self, w: Array, factor: Array | float = 1.0) -> Array:
        return (factor * self.strength) * w


@dataclass(frozen=True)
class L1(Penalty):
    r"""Penalize the sum of absolute weights (lasso), which brings many of them near zero.

    .. math:: R = λ \sum |w|, \qquad \frac{∂R}{∂w} = λ \operatorname{sign} w

    Parameters
    ----------
    strength : float, in [0, inf)
        Strength λ, as in Keras.
    match, per_example
        See `L2`.

    Examples
    --------
    >>> import numpy as np
    >>> w = {"weight": np.array([[3.0, -4.0]])}
    >>> print(round(L1(0.1).value(w), 3), L1(0.1).add_gradient(w, {"weight": np.zeros((1, 2))})["weight"])
    0.7 [[ 0.1 -0.1]]

    References
    ----------
    Goodfellow, Bengio, Courville (2016), "Deep learning", eqs. 7.18 to 7.20.
    """

    def of(self, w: Array) -> Array:
        return self.strength * total(namespace(w).abs(w))

    def slope(self, w: Array, factor: Array | float = 1.0) -> Array:
        return (factor * self.strength) * namespace(w).sign(w)

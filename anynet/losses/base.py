"""The loss contract, and the mean over the batch.

A loss defines two methods: the loss of each example and its derivative. The base class alone takes the (weighted) mean over
the batch, so that a loss does not depend on batch sizes or weights.

Legend: N batch, O outputs, C classes.

>>> import numpy as np
>>> from anynet import HalfSquaredError
>>> loss = HalfSquaredError()
>>> value, cache = loss.forward(np.array([[0.0]]), np.array([[0.5]]))
>>> print(value, loss.backward(cache))
0.125 [[0.5]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from anynet import tree
from anynet.arrays.namespace import Array, DType, namespace
from anynet.arrays.reduce import narrowed, total, widened
from anynet.checks import ANY_SIZE, check_finite as check_finite, is_multi
from anynet.names.constructors import Value

Cache: TypeAlias = Any
"""The values that the derivative needs: arrays, or tuples, lists and dicts of arrays."""
Targets: TypeAlias = Any
"""An array of targets; for `Losses`, a tuple of these."""
OutputShape: TypeAlias = Any
"""The shape of the output of a network, a tuple of ints; for `Losses`, a tuple of these."""


@dataclass(frozen=True)
class Loss(metaclass=Value):
    """The mean over the batch of a loss per example.

    .. math:: L = \\frac{\\sum_n w_n ℓ_n}{\\sum_n w_n}, \\qquad
              \\frac{∂L}{∂ŷ_n} = \\frac{w_n}{\\sum_m w_m} \\frac{∂ℓ_n}{∂ŷ_n}

    To write a loss, define a frozen dataclass with `per_example` and `derivative`.
    """

    threshold: ClassVar[float | None] = None
    """Decision threshold of a single output for two classes; None if the largest output determines the class."""

    expects: ClassVar[Literal["logits", "probabilities", "numbers"]] = "numbers"
    """The kind of numbers in y_pred."""

    has_classes: ClassVar[bool] = False
    """Whether the outputs stand for classes, so that the loss defines `classes`."""

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        """Return ℓ, of shape (N,), and the cache for `derivative`."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method per_example(y_true, y_pred), got none")

    def _losses(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        """Return `per_example`, or raise ValueError if it is not a pair of losses (N,) and a cache."""
        pair, shape = self.per_example(y_true, y_pred), tree.leaves(y_pred)[0].shape[:1]
        if type(pair) is tuple and len(pair) == 2 and getattr(pair[0], "shape", None) == shape:
            return pair
        got = f"{_shape_of(pair[0])} and a cache" if type(pair) is tuple and len(pair) == 2 else _shape_of(pair)
        raise ValueError(
            f"{type(self).__name__}.per_example: expected one loss per example, of shape {tuple(shape)}, and the "
            f"cache for derivative, got {got}; the mean over the batch is taken by Loss"
        )

    def derivative(self, cache: Cache) -> Array:
        """Return ∂ℓ/∂y_pred, of y_pred's shape."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method derivative(cache), got none")

    def effective_weights(self, losses: Array, y_true: Array, sample_weight: Array | None) -> Array | None:
        """Return the examples' weights (N,) in the denominator, None for 1 each.

        This is the sample weight, unless the loss also weights examples by their targets, as class weights do.
        """
        return sample_weight

    @property
    def weights_targets(self) -> bool:
        """Whether `denominators` may differ from the number of examples even without sample weights."""
        return type(self).effective_weights is not Loss.effective_weights

    def denominators(self, like: Array, y_true: Targets, sample_weight: Array | None) -> tuple[Array | float, ...]:
        """Return the denominator of each mean of `term_weights`.

        It is the number of examples or the sum of their weights. `like` is an array of the dtype and the device of the losses.
        """
        shares = self.effective_weights(like, y_true, sample_weight)
        return (float(y_true.shape[0]) if shares is None else namespace(shares).sum(widened(shares)),)

    def forward(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | None = None,
        denominators: Sequence[Array | float] | None = None,
    ) -> tuple[Array, Cache]:
        """Return the mean loss of a batch, a 0-d array, and the cache for `backward`.

        If all weights of a batch are zero, its loss and gradient are 0.

        `denominators`, positive numbers, replace those of these examples, which are then part of a larger batch: its loss is
        the sum over its parts, and so are its gradients. A part may be empty.
        """
        losses, cache = self._losses(y_true, y_pred)
        xp = namespace(losses)
        if denominators is not None:
            weight = (xp.ones_like(losses) if sample_weight is None else sample_weight) / denominators[0]
            return total(weight * losses), (cache, weight)
        shares = self.effective_weights(losses, y_true, sample_weight)
        if shares is None:
            mean = xp.sum(widened(losses)) * (1.0 / losses.shape[0])
            return narrowed(mean, losses.dtype), (cache, None)
        counted = xp.maximum(xp.sum(widened(shares)), float(xp.finfo(losses.dtype).smallest_normal))
        weight = narrowed((1.0 if sample_weight is None else sample_weight) / counted, losses.dtype)
        return total(weight * losses), (cache, weight)

    def backward(self, cache: Cache) -> Array:
        """Return ∂L/∂y_pred."""
        inner, weight = cache
        dy = self.derivative(inner)
        if not hasattr(dy, "shape"):
            raise ValueError(
                f"{type(self).__name__}.derivative: expected an array of y_pred's shape, got {_shape_of(dy)}"
            )
        if weight is None:
            return dy * (1.0 / dy.shape[0])
        return dy * namespace(dy).reshape(weight, (-1,) + (1,) * (dy.ndim - 1))

    @property
    def term_weights(self) -> tuple[float, ...]:
        """Weights of the means whose sum is the loss; `Losses` has several."""
        return (1.0,)

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        """Return numerator and denominator of each mean, 0-d arrays to add over batches."""
        losses, _ = self._losses(y_true, y_pred)
        shares, losses = self.effective_weights(losses, y_true, sample_weight), widened(losses)
        xp = namespace(losses)
        counted = xp.ones_like(losses) if shares is None else widened(shares)
        return xp.sum(losses if sample_weight is None else losses * sample_weight), xp.sum(counted)

    def target_shape(self, output_shape: OutputShape) -> OutputShape:
        """Return the shape of the targets of one example, by default that of the output.

        Override this for another number of targets than outputs, and for one target of several outputs.
        """
        return output_shape

    def targets(self, y: Targets, output_shape: OutputShape, dtype: DType) -> Targets:
        """Return targets in the shape and dtype that `per_example` expects.

        Only shape and dtype are checked, so this can run in every step. The default is for
        numbers of shape `target_shape`.

        Raises
        ------
        TypeError, ValueError
            If the dtype or the shape does not fit.
        """
        where, xp, shape = type(self).__name__, namespace(y), self.target_shape(output_shape)
        if not xp.isdtype(y.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{where}: expected y of real numbers, got dtype {y.dtype}")
        if y.shape[1:] != shape and math.prod(y.shape[1:]) == math.prod(shape) == 1:
            y = xp.reshape(y, (y.shape[0], *shape))  # (N,) and (N, 1) would broadcast to (N, N)
        if y.shape[1:] != shape:
            classes = len(y.shape) == 1 and xp.isdtype(y.dtype, "integral")
            hint = "; if these are classes, use SoftmaxCrossEntropy or pass one-hot rows" if classes else ""
            if self.has_classes and (y.shape[1:], shape) == ((2,), (1,)):
                hint = "; of one-hot rows for two classes, pass y[:, 1]"
            reason = "as the model's output" if shape == output_shape else f"for the model's output {output_shape}"
            raise ValueError(
                f"{where}: expected y of shape (N, {', '.join(map(str, shape))}), {reason}, got {tuple(y.shape)}{hint}"
            )
        return y if y.dtype == dtype else xp.astype(y, dtype)

    def check_outputs(self, output_shape: OutputShape) -> None:
        """Raise ValueError if an output shape does not fit the loss."""
        if is_multi(output_shape):
            raise ValueError(
                f"{type(self).__name__}: expected a network with one output, got {len(output_shape)}, of shapes "
                f"{', '.join(map(str, output_shape))}; use Losses([...]) with one loss per output"
            )
        if ANY_SIZE in output_shape:
            where = type(self).__name__
            raise ValueError(
                f"{where}: expected outputs of a fixed size, got {output_shape}; leave the batch axis out of input_shape, or use "
                f"EachPosition({where}()) for a target at each position"
            )

    def probabilities(self, y_pred: Array) -> Any:
        """Return the probability of each class (N, C), or of each of several labels (N, O).

        A single output of two classes gives two columns, for classes 0 and 1. ValueError if the loss defines none.
        """
        hint = "; Model.predict_classes returns the classes" if self.has_classes else "; use Model.predict"
        raise ValueError(
            f"predict_proba: expected a loss with probabilities of classes, such as SoftmaxCrossEntropy, got "
            f"{type(self).__name__}{hint}"
        )

    def classes(self, y_pred: Array) -> Any:
        """Return the predicted classes (N,), or 0 or 1 for each of several labels (N, O), as integers.

        ValueError if the outputs are not classes.
        """
        raise ValueError(
            f"predict_classes: expected a loss of classes, such as SoftmaxCrossEntropy, got {type(self).__name__}; "
            "use Model.predict"
        )

    def check_values(self, y: Targets, output_shape: OutputShape) -> None:
        """Raise ValueError if a target has an impossible value; runs once per data set."""
        check_finite(type(self).__name__, "y", y)


def check_derivative(loss: Loss, dy: Any, y_pred: Any) -> None:
    """Raise ValueError unless a derivative, an array or several, has the shape of y_pred."""
    if isinstance(y_pred, tuple):
        for one, like in zip(dy, y_pred, strict=True):
            check_derivative(loss, one, like)
    elif getattr(dy, "shape", None) != y_pred.shape:
        raise ValueError(
            f"{type(loss).__name__}.derivative: expected y_pred's shape {tuple(y_pred.shape)}, got {_shape_of(dy)}"
        )


def _shape_of(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return "None" if value is None else type(value).__name__
    return f"shape {tuple(shape)}"


def check_same_shape(where: str, y_true: Array, y_pred: Array) -> None:
    """Raise unless predictions and targets have the same shape, to prevent broadcasting."""
    if y_pred.shape != y_true.shape:
        raise ValueError(
            f"{where}: expected y_true of shape {tuple(y_pred.shape)}, as y_pred, got {tuple(y_true.shape)}"
        )


def largest(y_pred: Array) -> Array:
    """Return the index of the largest output of each example, as an integer (N,)."""
    return namespace(y_pred).argmax(y_pred, axis=-1)


def above(y_pred: Array, threshold: float) -> Array:
    """Return 1 where an output exceeds a threshold and 0 elsewhere, as integers; (N,) for a single output."""
    xp = namespace(y_pred)
    found = xp.astype(y_pred > threshold, xp.__array_namespace_info__().default_dtypes()["indexing"])
    return found[:, 0] if found.shape[1:] == (1,) else found


def of_both_classes(p: Array) -> Array:
    """Return the probabilities of classes 0 and 1 (N, 2) for a single output, and several outputs unchanged."""
    return namespace(p).concat([1.0 - p, p], axis=1) if p.shape[1:] == (1,) else p


def outputs(x: Array) -> tuple[int, ...]:
    """Return the axes of an example."""
    return tuple(range(1, len(x.shape)))

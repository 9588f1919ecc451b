"""The loss of a network with several outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array, Arrays, DType
from anynet.checks import check_kind, check_number, is_multi
from anynet.losses.base import Cache, Loss, OutputShape, Targets


@dataclass(frozen=True)
class Losses(Loss):
    """The weighted sum of one loss per output.

    .. math:: L = \\sum_o λ_o L_o(ŷ_o, y_o), \\qquad \\frac{∂L}{∂ŷ_o} = λ_o \\frac{∂L_o}{∂ŷ_o}

    Parameters
    ----------
    losses : sequence of Loss
        L_o, one per output of the network, in order.
    weights : sequence of floats in [0, inf), optional
        λ_o; by default 1 each.

    Notes
    -----
    y_pred and y_true are tuples of arrays; y_pred is the output of a network that ends in ``Parallel(..., combine=None)``.
    Each loss takes its own mean over the batch. If some losses have class weights, the means of a batch have different
    denominators; then the loss in the history, a mean of the batches' losses, differs slightly from a mean over all examples,
    which `Model.evaluate` returns. Cache: the caches of all losses.

    Raises
    ------
    ValueError
        If the number of weights or of outputs differs from the number of losses.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import HalfSquaredError, MeanSquaredError
    >>> loss = Losses([HalfSquaredError(), MeanSquaredError()], weights=[2.0, 1.0])
    >>> value, _ = loss.forward((np.zeros((1, 1)), np.zeros((1, 1))), (np.ones((1, 1)), np.ones((1, 1))))
    >>> print(value)
    2.0

    References
    ----------
    Caruana (1997), "Multitask learning", Machine Learning 28, section 2.
    """

    losses: Any
    weights: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "losses", tuple(self.losses))
        for index, loss in enumerate(self.losses):
            check_kind("Losses", f"loss {index}", loss, Loss, "MeanSquaredError()")
        weights = (1.0,) * len(self.losses) if self.weights is None else tuple(self.weights)
        if len(weights) != len(self.losses):
            raise ValueError(f"Losses: expected {len(self.losses)} weights, one per loss, got {len(weights)}")
        for weight in weights:
            check_number("Losses", "weights", weight, "[0, inf)")
        object.__setattr__(self, "weights", weights)

    def check_outputs(self, output_shape: OutputShape) -> None:
        if not is_multi(output_shape) or len(output_shape) != len(self.losses):
            raise ValueError(
                f"Losses: expected a network with {len(self.losses)} outputs, one per loss, got output shape "
                f"{output_shape}; end it in Parallel([...], combine=None)"
            )
        for loss, shape in zip(self.losses, output_shape, strict=True):
            loss.check_outputs(shape)

    def per_example(self, y_true: Targets, y_pred: Arrays) -> tuple[Array, Cache]:
        parts = [loss.per_example(t, p) for loss, t, p in zip(self.losses, y_true, y_pred, strict=True)]
        each, caches = zip(*parts, strict=True)
        return sum(w * one for w, one in zip(self.weights, each, strict=True)), list(caches)

    def derivative(self, cache: Cache) -> Arrays:
        parts = zip(self.weights, self.losses, cache, strict=True)
        return tuple(_scaled(w, loss.derivative(c)) for w, loss, c in parts)

    @property
    def weights_targets(self) -> bool:
        return any(loss.weights_targets for loss in self.losses)

    def denominators(self, like: Array, y_true: Targets, sample_weight: Array | None) -> tuple[Array | float, ...]:
        parts = zip(self.losses, y_true, strict=True)
        return tuple(number for loss, t in parts for number in loss.denominators(like, t, sample_weight))

    def forward(
        self,
        y_true: Targets,
        y_pred: Arrays,
        sample_weight: Array | None = None,
        denominators: Sequence[Array | float] | None = None,
    ) -> tuple[Array, Cache]:
        rest = None if denominators is None else iter(denominators)
        parts = []
        for loss, t, p in zip(self.losses, y_true, y_pred, strict=True):
            own = None if rest is None else tuple(islice(rest, len(loss.term_weights)))
            parts.append(loss.forward(t, p, sample_weight, own))
        values, caches = zip(*parts, strict=True)
        return sum(w * value for w, value in zip(self.weights, values, strict=True)), list(caches)

    @property
    def term_weights(self) -> tuple[float, ...]:
        return tuple(w * part for w, loss in zip(self.weights, self.losses, strict=True) for part in loss.term_weights)

    def sums(self, y_true: Targets, y_pred: Arrays, sample_weight: Array | None = None) -> tuple[Array, ...]:
        parts = zip(self.losses, y_true, y_pred, strict=True)
        return tuple(total for loss, t, p in parts for total in loss.sums(t, p, sample_weight))

    def backward(self, cache: Cache) -> Arrays:
        parts = zip(self.weights, self.losses, cache, strict=True)
        return tuple(_scaled(w, loss.backward(c)) for w, loss, c in parts)

    def target_shape(self, output_shape: OutputShape) -> OutputShape:
        return tuple(loss.target_shape(shape) for loss, shape in zip(self.losses, output_shape, strict=True))

    def targets(self, y: Targets, output_shape: OutputShape, dtype: DType) -> Targets:
        parts = zip(self.losses, y, output_shape, strict=True)
        return tuple(loss.targets(one, shape, dtype) for loss, one, shape in parts)

    @property
    def has_classes(self) -> bool:  # type: ignore[override]
        return any(loss.has_classes for loss in self.losses)

    def probabilities(self, y_pred: Arrays) -> Any:
        """Return the probabilities of each output, None for outputs without classes."""
        return self._of_classes("probabilities", y_pred)

    def classes(self, y_pred: Arrays) -> Any:
        """Return the classes of each output, None for outputs without classes."""
        return self._of_classes("classes", y_pred)

    def _of_classes(self, method: str, y_pred: Arrays) -> tuple[Any, ...]:
        if not self.has_classes:
            getattr(super(), method)(y_pred)  # raises
        parts = zip(self.losses, y_pred, strict=True)
        return tuple(getattr(loss, method)(part) if loss.has_classes else None for loss, part in parts)

    def check_values(self, y: Targets, output_shape: OutputShape) -> None:
        for loss, one, shape in zip(self.losses, y, output_shape, strict=True):
            loss.check_values(one, shape)


def _scaled(weight: float, dy: Any) -> Any:
    """Return a derivative, or each of several, times a weight."""
    return tree.map_arrays(lambda d: weight * d, dy)

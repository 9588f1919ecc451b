"""Base classes of metrics, which measure the quality of predictions.

A metric reduces each batch to *sums*, a tuple of arrays that are added over batches, and converts the totals to its value.
So batches of unequal size have the correct weight. A metric that needs more than sums, such as a rank among all examples,
keeps the arrays of every batch instead (`Metric.keeps_examples`).

Sums are computed on the device, in the model's dtype. They are added, and converted to the value, on the host in float64.

>>> import numpy as np
>>> from anynet import Accuracy
>>> metric = Accuracy()
>>> float(metric.value(metric.sums(np.array([1, 1]), np.array([[0.2, 0.8], [0.9, 0.1]]))))
0.5
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import widened
from anynet.losses.base import Loss
from anynet.losses.parts import PartsLoss
from anynet.losses.several import Losses
from anynet.names.constructors import Value


@dataclass(frozen=True)
class Metric(metaclass=Value):
    """Base class of metrics; subclasses implement `sums` and `value`."""

    keeps_examples: ClassVar[bool] = False
    """Whether the arrays that `sums` returns are concatenated over batches instead of added."""

    greater_is_better: ClassVar[bool | None] = None
    """Whether a greater value is better; None if unknown."""

    needs_classes: ClassVar[bool] = False
    """Whether the targets are classes; then numbers other than 0 and 1 are refused with a loss of numbers."""

    optional_weights: ClassVar[bool] = False
    """Whether `sums` returns an array of weights only if it is given weights, so that batches must agree."""

    def for_loss(self, loss: Loss) -> Metric:
        """Return the metric with the settings that it takes from a model's loss."""
        return PartsMetric(self, loss) if isinstance(loss, PartsLoss) else self

    def measured(self, loss: Loss, y: Any) -> tuple[Loss, Any]:
        """Return the loss and the targets of the outputs that the metric measures."""
        return loss, y

    @property
    def name(self) -> str:
        """Key in the history, by default the class name in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        """Return the arrays that are added over batches and passed to `value`."""
        raise NotImplementedError(f"{type(self).__name__}: expected sums(y_true, y_pred) to be implemented, got none")

    def value(self, sums: tuple[Any, ...]) -> Any:
        """Return the metric from the totals or concatenated arrays, on the host in float64."""
        raise NotImplementedError(f"{type(self).__name__}: expected value(sums) to be implemented, got none")


@dataclass(frozen=True)
class Mean(Metric):
    """Base class of (weighted) means over the examples; subclasses implement `per_example`."""

    def per_example(self, y_true: Array, y_pred: Array) -> Array:
        """Return one number per example, shape (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected per_example(y_true, y_pred) to be implemented, got none"
        )

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        each = widened(self.per_example(y_true, y_pred))
        xp = namespace(each)
        weight = xp.ones_like(each) if sample_weight is None else sample_weight
        return xp.sum(each * weight), xp.sum(weight)

    def value(self, sums: tuple[Array, ...]) -> Any:
        total, weight = (float(s) for s in sums)
        return total / weight if weight > 0 else float("nan")


class OuterMetric(Metric):
    """Base class of metrics that apply another one, `metric`, to a part of the data."""

    metric: Metric

    @property
    def keeps_examples(self) -> bool:  # type: ignore[override]
        return self.metric.keeps_examples

    @property
    def greater_is_better(self) -> bool | None:  # type: ignore[override]
        return self.metric.greater_is_better

    @property
    def needs_classes(self) -> bool:  # type: ignore[override]
        return self.metric.needs_classes

    @property
    def optional_weights(self) -> bool:  # type: ignore[override]
        return self.metric.optional_weights

    def value(self, sums: tuple[Any, ...]) -> Any:
        return self.metric.value(sums)


@dataclass(frozen=True)
class OutputMetric(OuterMetric):
    """Apply a metric to one output of a multi-output network.

    Parameters
    ----------
    index : int
        Index of the output.
    metric : Metric
        Metric of that output. In a model with `Losses`, it takes its default threshold, and the positions that count, from the
        loss of the output.

    Examples
    --------
    >>> from anynet import Accuracy
    >>> OutputMetric(1, Accuracy()).name
    'output_1_accuracy'
    """

    index: int
    metric: Metric

    @property
    def name(self) -> str:
        return f"output_{self.index}_{self.metric.name}"

    def for_loss(self, loss: Loss) -> Metric:
        if not isinstance(loss, Losses):
            return super().for_loss(loss)
        count = len(loss.losses)
        if not -count <= self.index < count:
            raise ValueError(f"metrics: expected the index of an output below {count}, got {self.index}")
        return replace(self, metric=self.metric.for_loss(loss.losses[self.index]))

    def measured(self, loss: Loss, y: Any) -> tuple[Loss, Any]:
        if isinstance(loss, Losses):
            return self.metric.measured(loss.losses[self.index], y[self.index])
        return loss, y

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.metric.sums(y_true[self.index], y_pred[self.index], sample_weight)


@dataclass(frozen=True)
class PartsMetric(OuterMetric):
    """Apply a metric to the predictions of a loss with parts."""

    metric: Metric
    loss: PartsLoss

    @property
    def name(self) -> str:
        return self.metric.name

    def for_loss(self, loss: Loss) -> Metric:
        return self

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.metric.sums(*self.loss.predictions(y_true, y_pred, sample_weight))


@dataclass(frozen=True)
class LossMetric(Mean):
    """Report a loss as a metric."""

    loss: Loss
    greater_is_better = False

    @property
    def name(self) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self.loss).__name__).lower()

    def for_loss(self, loss: Loss) -> Metric:
        return self if isinstance(self.loss, PartsLoss) else super().for_loss(loss)

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.loss.sums(y_true, y_pred, sample_weight)

    def value(self, sums: tuple[Array, ...]) -> Any:
        means = zip(self.loss.term_weights, sums[::2], sums[1::2], strict=True)
        return sum(part * super(LossMetric, self).value((total, weight)) for part, total, weight in means)


@dataclass(frozen=True)
class Custom(Metric):
    """Apply a function to all targets and predictions; used for functions in ``metrics=[...]``.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)``, or ``function(y_true, y_pred, sample_weight)`` if it has an argument of that name. It
        is called once per epoch or evaluation, with NumPy arrays of all examples. It returns a number, or one number per
        example, whose (weighted) mean is reported.

    Examples
    --------
    >>> import numpy as np
    >>> def largest_error(y_true, y_pred):
    ...     return np.max(np.abs(y_true - y_pred))
    >>> Custom(largest_error).name
    'largest_error'
    """

    function: Callable[..., Any]
    keeps_examples = True
    optional_weights = True

    @property
    def name(self) -> str:
        return self.function.__name__.strip("<>")

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return (y_true, y_pred) if sample_weight is None else (y_true, y_pred, sample_weight)

    def value(self, sums: tuple[Any, ...]) -> Any:
        y_true, y_pred, *weight = sums
        weights = {}
        if "sample_weight" in inspect.signature(self.function).parameters:
            weights["sample_weight"] = weight[0] if weight else None
        try:
            value = self.function(y_true, y_pred, **weights)
        except Exception as error:
            error.add_note(
                f"metrics: {self.name} received y_true {y_true.shape} and y_pred {y_pred.shape}, the outputs as Model.predict "
                "returns them; functions of classes need y_pred.argmax(axis=1)"
            )
            raise
        value = np.asarray(value, dtype=np.float64)
        if value.shape == (len(y_true),):
            return float(np.average(value, weights=weight[0] if weight else None))
        if value.shape != ():
            raise ValueError(
                f"metrics: expected {self.name} to return a number, or one for each of {len(y_true)} examples, got an "
                f"array of shape {value.shape}"
            )
        return float(value)

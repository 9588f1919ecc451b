"""Metrics: how good predictions are, computed where the arrays are.

A metric turns each batch into *sums*, a tuple of 0-d arrays that may be added over batches of unequal sizes, and the sums
of all batches into one number. A mean of batch means, which is wrong when the last batch is smaller, cannot be written.

>>> import numpy as np
>>> metric = Accuracy()
>>> float(metric.value(metric.sums(np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([1, 1]))))
0.5
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from anynet.losses.base import Loss
from anynet.namespace import Array, namespace

__all__ = ["Accuracy", "LossMetric", "Mean", "Metric", "OutputMetric", "resolve"]


@dataclass(frozen=True)
class Metric:
    """Sums over a batch, and the number that sums over all batches give."""

    rows: ClassVar[bool] = False
    """Whether what `sums` returns is kept, row below row, instead of summed over batches."""

    greater_is_better: ClassVar[bool | None] = None
    """Which way is better; None where that cannot be said."""

    @property
    def name(self) -> str:
        """Key in the history: the class name in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def sums(self, y_pred: Array, y_true: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        """Return a tuple of arrays whose sums over batches are all that `value` needs."""
        raise NotImplementedError(f"{type(self).__name__}: expected sums(y_pred, y_true) to be written, got none")

    def value(self, sums: tuple[Any, ...]) -> Any:
        """Return the metric of everything that was summed, on the host in float64, or kept."""
        raise NotImplementedError(f"{type(self).__name__}: expected value(sums) to be written, got none")


@dataclass(frozen=True)
class Mean(Metric):
    """A metric that is the (weighted) mean of a number for each example; to write one, write `per_example`."""

    def per_example(self, y_pred: Array, y_true: Array) -> Array:
        """Return one number for each example, shape (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected per_example(y_pred, y_true) to be written, got none"
        )

    def sums(self, y_pred: Array, y_true: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        each = self.per_example(y_pred, y_true)
        xp = namespace(each)
        weight = xp.ones_like(each) if sample_weight is None else sample_weight
        return xp.sum(each * weight), xp.sum(weight)

    def value(self, sums: tuple[Array, ...]) -> Any:
        total, weight = (float(s) for s in sums)
        return total / weight if weight > 0 else float("nan")


@dataclass(frozen=True)
class Accuracy(Mean):
    """The fraction of examples whose class is right.

    Parameters
    ----------
    threshold : float, optional
        Where a single output divides two classes: 0 for logits, 0.5 for probabilities. With several outputs a threshold
        means independent yes-or-no answers, whose fraction of right ones is taken; without one, the largest output names
        the class. ``metrics=["accuracy"]`` takes the threshold that goes with the model's loss.
    """

    threshold: float | None = None
    greater_is_better = True

    def per_example(self, y_pred: Array, y_true: Array) -> Array:
        xp = namespace(y_pred)
        single = y_pred.shape[1:] == (1,)
        if self.threshold is None and not single:
            classes = xp.argmax(y_pred, axis=-1)
            labels = y_true if len(y_true.shape) < len(y_pred.shape) else xp.argmax(y_true, axis=-1)
            return xp.astype(classes == labels, y_pred.dtype)
        threshold = 0.5 if self.threshold is None else self.threshold
        right = xp.astype((y_pred > threshold) == (y_true > 0.5), y_pred.dtype)
        return xp.mean(xp.reshape(right, (right.shape[0], -1)), axis=1)


@dataclass(frozen=True)
class OutputMetric(Metric):
    """A metric of one output of a network that has several.

    Parameters
    ----------
    index : int
        The number of the output.
    metric : Metric
        What to measure of it.

    Examples
    --------
    >>> OutputMetric(1, Accuracy()).name
    'output_1_accuracy'
    """

    index: int
    metric: Metric

    @property
    def name(self) -> str:
        return f"output_{self.index}_{self.metric.name}"

    def sums(self, y_pred: Any, y_true: Any, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.metric.sums(y_pred[self.index], y_true[self.index], sample_weight)

    def value(self, sums: tuple[Array, ...]) -> Any:
        return self.metric.value(sums)


@dataclass(frozen=True)
class LossMetric(Mean):
    """A loss, reported as a metric."""

    loss: Loss
    greater_is_better = False

    @property
    def name(self) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self.loss).__name__).lower()

    def sums(self, y_pred: Array, y_true: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        each, _ = self.loss.per_example(y_pred, y_true)
        xp, shares = namespace(each), self.loss.shares(each, y_true, sample_weight)
        counted = xp.ones_like(each) if shares is None else shares
        return xp.sum(each if sample_weight is None else each * sample_weight), xp.sum(counted)


def resolve(metrics: Any, loss: Loss | None) -> tuple[Metric, ...]:
    """Return metrics given as names, losses or metrics as metrics.

    Raises
    ------
    ValueError
        If a name is unknown or two metrics have one name.
    TypeError
        If one is something else.
    """
    found: list[Metric] = []
    if not isinstance(metrics, (str, Metric, Loss, Iterable)):
        raise TypeError(f"metrics: expected a list of names, metrics or losses, got {metrics!r}")
    for metric in (metrics,) if isinstance(metrics, (str, Metric, Loss)) else metrics:
        if isinstance(metric, Metric):
            found.append(metric)
        elif isinstance(metric, Loss):
            found.append(LossMetric(metric))
        elif metric == "accuracy":
            found.append(Accuracy(None if loss is None else loss.threshold))
        elif isinstance(metric, str):
            raise ValueError(f"metrics: expected 'accuracy', a Metric or a Loss, got {metric!r}")
        else:
            raise TypeError(f"metrics: expected names, metrics or losses, got {metric!r}")
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ValueError(f"metrics: expected different names, none of them 'loss', got {', '.join(names)}")
    return tuple(found)

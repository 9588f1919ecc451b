"""Metrics of classification.

===================  =====================================================================================
`Accuracy`           fraction of correct predictions
`TopK`               fraction of examples whose class is among the k largest outputs
`Precision`          fraction of the predictions of a class that are correct
`Recall`             fraction of the examples of a class that are found
`F1`                 harmonic mean of precision and recall
`ConfusionMatrix`    counts by true class (rows) and predicted class (columns)
`ROCAUC`             probability that a positive example is ranked above a negative one
===================  =====================================================================================

Legend: N batch, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import device

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import widened
from anynet.checks import check_int
from anynet.losses.base import Loss
from anynet.metrics.base import Mean, Metric


class Thresholded(Metric):
    """Base class of metrics with a field `threshold`, by default that of the loss."""

    threshold: float | None

    def for_loss(self, loss: Loss) -> Metric:
        chosen: dict[str, Any] = {"threshold": loss.threshold} if self.threshold is None else {}
        return super(Thresholded, replace(self, **chosen)).for_loss(loss)


@dataclass(frozen=True)
class Accuracy(Thresholded, Mean):
    """Fraction of correctly classified examples.

    Parameters
    ----------
    threshold : float, optional
        Decision threshold of a single output: 0 for logits, 0.5 for probabilities. With several outputs, a threshold means
        independent binary labels, and the fraction of correct labels is reported; without a threshold, the largest output
        is the predicted class. ``metrics=["accuracy"]`` uses the threshold of the model's loss.
    """

    threshold: float | None = None
    needs_classes = True
    greater_is_better = True

    def per_example(self, y_true: Array, y_pred: Array) -> Array:
        xp = namespace(y_pred)
        single = y_pred.shape[1:] == (1,)
        if self.threshold is None and not single:
            classes = xp.argmax(y_pred, axis=-1)
            labels = y_true if len(y_true.shape) < len(y_pred.shape) else xp.argmax(y_true, axis=-1)
            return xp.astype(classes == labels, y_pred.dtype)
        threshold = 0.5 if self.threshold is None else self.threshold
        right = xp.astype((y_pred > threshold) == (y_true > 0.5), y_pred.dtype)
        return xp.mean(xp.reshape(right, (right.shape[0], math.prod(right.shape[1:]))), axis=1)


def check_classes(where: str, y_pred: Array) -> None:
    """Raise ValueError unless there is one output for two classes, or one per class."""
    if len(y_pred.shape) != 2:
        raise ValueError(f"{where}: expected outputs of shape (N, C) or (N, 1), got {tuple(y_pred.shape)}")


def true_classes(y_true: Array, y_pred: Array) -> Array:
    """Return the classes (N,) from integers, one-hot rows, or binary labels of a single output."""
    xp = namespace(y_pred)
    if y_pred.shape[1] == 1:
        return xp.astype(xp.reshape(y_true, (-1,)) > 0.5, xp.int32)
    return xp.astype(y_true if len(y_true.shape) == 1 else xp.argmax(y_true, axis=1), xp.int32)


def given_classes(y_pred: Array, threshold: float | None) -> Array:
    """Return the predicted classes (N,) by largest output, or by threshold of a single output."""
    xp = namespace(y_pred)
    if y_pred.shape[1] == 1:
        return xp.astype(y_pred[:, 0] > (0.5 if threshold is None else threshold), xp.int32)
    return xp.astype(xp.argmax(y_pred, axis=1), xp.int32)


def members(classes: Array, like: Array) -> Array:
    """Return the classes as one-hot rows (N, C)."""
    xp = namespace(like)
    numbers = xp.arange(max(2, like.shape[1]), dtype=xp.int32, device=device(like))
    return xp.astype(classes[:, None] == numbers[None, :], like.dtype)


@dataclass(frozen=True)
class TopK(Mean):
    """Fraction of examples whose class is among those of the k largest outputs.

    Parameters
    ----------
    k : int, in [1, inf)
        Number of outputs considered; ties with the output of the true class do not count against it.

    Examples
    --------
    >>> TopK(3).name
    'top_3'
    """

    k: int = 5
    needs_classes = True
    greater_is_better = True

    def __post_init__(self) -> None:
        check_int("TopK", "k", self.k, at_least=1)

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def per_example(self, y_true: Array, y_pred: Array) -> Array:
        if len(y_pred.shape) != 2 or y_pred.shape[1] < 2:
            raise ValueError(f"TopK: expected one output per class, shape (N, C), got {tuple(y_pred.shape)}")
        xp = namespace(y_pred)
        labels = y_true if len(y_true.shape) == 1 else xp.argmax(y_true, axis=1)
        true = xp.take_along_axis(y_pred, labels[:, None], axis=1)
        above = xp.sum(xp.astype(y_pred > true, xp.int32), axis=1)
        return xp.astype(above < self.k, y_pred.dtype)


@dataclass(frozen=True)
class ConfusionMatrix(Thresholded):
    """Number, or total weight, of examples by true class (row) and predicted class (column).

    Parameters
    ----------
    threshold : float, optional
        Decision threshold of a single output: 0 for logits, 0.5 for probabilities. In a model, the default is that of the
        loss.

    Notes
    -----
    The history holds a list of lists; `evaluate` returns a NumPy array.

    Examples
    --------
    >>> metric = ConfusionMatrix()
    >>> metric.value(metric.sums(np.array([1, 1, 0]), np.array([[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])))
    array([[0., 1.],
           [1., 1.]])
    """

    needs_classes = True
    threshold: float | None = None

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        check_classes(type(self).__name__, y_pred)
        xp, true = namespace(y_pred), members(true_classes(y_true, y_pred), y_pred)
        if sample_weight is not None:
            true = true * sample_weight[:, None]
        given = members(given_classes(y_pred, self.threshold), y_pred)
        return (xp.matmul(xp.matrix_transpose(true), given),)

    def value(self, sums: tuple[Any, ...]) -> Any:
        return sums[0]


@dataclass(frozen=True)
class ClassScore(Thresholded):
    """Base class of `Precision`, `Recall` and `F1`; subclasses implement `score`."""

    average: str | None = None
    threshold: float | None = None
    needs_classes = True
    greater_is_better = True

    def __post_init__(self) -> None:
        if self.average not in (None, "binary", "macro"):
            raise ValueError(f"{type(self).__name__}: expected average 'binary', 'macro' or None, got {self.average!r}")

    def score(self, hits: np.ndarray, calls: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Return the score per class from the weights of correct predictions, predictions and examples."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected score(hits, calls, true) to be implemented, got none"
        )

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        where, xp = type(self).__name__, namespace(y_pred)
        check_classes(where, y_pred)
        if self.average == "binary" and y_pred.shape[1] > 2:
            raise ValueError(f"{where}: expected two classes with average='binary', got {y_pred.shape[1]}")
        true = widened(members(true_classes(y_true, y_pred), y_pred))
        given = widened(members(given_classes(y_pred, self.threshold), y_pred))
        seen = xp.sum(true + given, axis=0)
        weight = xp.ones_like(true[:, :1]) if sample_weight is None else sample_weight[:, None]
        parts = true * given * weight, given * weight, true * weight
        return (*(xp.sum(part, axis=0) for part in parts), seen)

    def value(self, sums: tuple[Any, ...]) -> float:
        hits, calls, true, seen = sums
        scores = self.score(hits, calls, true)
        if self.average == "binary" or (self.average is None and len(scores) == 2):
            return float(scores[1])
        return float(scores[seen > 0].mean())


def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


@dataclass(frozen=True)
class Precision(ClassScore):
    """Fraction of the predictions of a class that are correct: TP / (TP + FP).

    Parameters
    ----------
    average : "binary", "macro" or None
        Score of class 1, or mean score over all classes that occur; None means "binary" for two classes and "macro" for more.
    threshold : float, optional
        Decision threshold of a single output: 0 for logits, 0.5 for probabilities. In a model, the default is that of the
        loss.

    Notes
    -----
    Equivalent to scikit-learn's `precision_score`; 0 for a class that is never predicted.
    """

    def score(self, hits: np.ndarray, calls: np.ndarray, true: np.ndarray) -> np.ndarray:
        return quotient(hits, calls)


@dataclass(frozen=True)
class Recall(ClassScore):
    """Fraction of the examples of a class that are found: TP / (TP + FN).

    Parameters
    ----------
    average, threshold
        See `Precision`.
    """

    def score(self, hits: np.ndarray, calls: np.ndarray, true: np.ndarray) -> np.ndarray:
        return quotient(hits, true)


@dataclass(frozen=True)
class F1(ClassScore):
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Parameters
    ----------
    average, threshold
        See `Precision`; "macro" is the mean of the classes' F1, not the F1 of mean precision and recall.
    """

    def score(self, hits: np.ndarray, calls: np.ndarray, true: np.ndarray) -> np.ndarray:
        return quotient(2.0 * hits, calls + true)


@dataclass(frozen=True)
class ROCAUC(Metric):
    """Area under the receiver operating characteristic curve.

    .. math:: \\frac{\\sum_{i ∈ P} \\sum_{j ∈ N} w_i w_j ([s_i > s_j] + ½ [s_i = s_j])}
              {\\sum_{i ∈ P} w_i \\sum_{j ∈ N} w_j}

    This is the probability that a positive example i has a higher score than a negative example j, with ties counted half.

    Notes
    -----
    The score is a single output, or the difference of two; logits and probabilities give the same result. The metric keeps
    one score per example and ranks them on the host. It is NaN if either class is absent.

    References
    ----------
    Fawcett (2006), "An introduction to ROC analysis", section 7.
    """

    keeps_examples = True
    needs_classes = True
    greater_is_better = True

    @property
    def name(self) -> str:
        return "roc_auc"

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        if len(y_pred.shape) != 2 or y_pred.shape[1] > 2:
            raise ValueError(f"ROCAUC: expected one output or two, got {tuple(y_pred.shape)}")
        scores = y_pred[:, 0] if y_pred.shape[1] == 1 else y_pred[:, 1] - y_pred[:, 0]
        weight = namespace(scores).ones_like(scores) if sample_weight is None else sample_weight
        return scores, true_classes(y_true, y_pred), weight

    def value(self, sums: tuple[Any, ...]) -> float:
        scores, yes, weight = sums
        yes, weight = yes > 0, weight.astype(np.float64)
        nos = scores[~yes]
        order = np.argsort(nos, kind="stable")
        below = np.concatenate([[0.0], np.cumsum(weight[~yes][order])])
        left, right = (np.searchsorted(nos[order], scores[yes], side) for side in ("left", "right"))
        total = weight[yes].sum() * weight[~yes].sum()
        if total == 0:
            return float("nan")
        return float(weight[yes] @ (below[left] + below[right]) / 2.0 / total)

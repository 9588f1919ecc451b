"""Metrics of regression; with several outputs, the mean over the outputs, as in scikit-learn.

Legend: N batch, O outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import widened
from anynet.metrics.base import Mean, Metric


def _flat(metric: Metric, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return targets and outputs for a metric as matrices (N, O), of 32 bits or more."""
    if y_pred.shape != y_true.shape:
        raise ValueError(
            f"the metric {metric.name!r}: expected targets of shape {tuple(y_pred.shape)}, as the output, got "
            f"{tuple(y_true.shape)}"
        )
    shape = (y_pred.shape[0], math.prod(y_pred.shape[1:]))
    reshape = namespace(y_pred).reshape
    return widened(reshape(y_true, shape)), widened(reshape(y_pred, shape))


@dataclass(frozen=True)
class MAE(Mean):
    """Mean absolute error, ``Σ w |ŷ − y| / Σ w``.

    Examples
    --------
    >>> MAE().per_example(np.array([[2.0, 2.0]]), np.array([[1.0, 5.0]]))
    array([2.])
    """

    greater_is_better = False

    def per_example(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _flat(self, y_true, y_pred)
        xp = namespace(y_pred)
        return xp.mean(xp.abs(y_pred - y_true), axis=1)


@dataclass(frozen=True)
class RMSE(Metric):
    """Root mean squared error, √(Σ w (ŷ − y)² / Σ w), of each output."""

    greater_is_better = False

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        y_true, y_pred = _flat(self, y_true, y_pred)
        xp = namespace(y_pred)
        weight = xp.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight
        return xp.sum((y_pred - y_true) ** 2 * weight[:, None], axis=0), xp.sum(weight)

    def value(self, sums: tuple[Any, ...]) -> float:
        squares, weight = sums
        return float(np.sqrt(squares / weight).mean()) if weight > 0 else float("nan")


@dataclass(frozen=True)
class R2(Metric):
    """Coefficient of determination of each output.

    It is 1 − Σ w (y − ŷ)² / Σ w (y − ȳ)²: 1 is perfect; 0 is as good as predicting the mean. For constant targets, it is 1 if
    the predictions are exact and 0 otherwise, as in scikit-learn.

    Notes
    -----
    Each batch is reduced to its weight, its mean target and the squares around that mean, which are combined in float64.
    Sums of y² would cancel for a large mean and a small spread.

    References
    ----------
    Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance", eq. 1.5 (combining batches).
    """

    keeps_examples = True
    greater_is_better = True

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        y_true, y_pred = _flat(self, y_true, y_pred)
        xp = namespace(y_pred)
        weight = xp.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight
        total = xp.maximum(xp.sum(weight), float(xp.finfo(weight.dtype).smallest_normal))
        first = xp.sum(y_true[: min(1, y_true.shape[0]), ...], axis=0)  # zero without examples
        mean = first + xp.sum((y_true - first) * weight[:, None], axis=0) / total
        around = xp.sum((y_true - mean) ** 2 * weight[:, None], axis=0)
        off = xp.sum((y_pred - y_true) ** 2 * weight[:, None], axis=0)
        return total, mean[None, ...], around[None, ...], off[None, ...]

    def value(self, sums: tuple[Any, ...]) -> float:
        weight, means, around, off = (part.astype(np.float64) for part in sums)
        mean = weight @ means / weight.sum()
        spread = around.sum(axis=0) + weight @ (means - mean) ** 2
        missed = off.sum(axis=0)
        constant = np.where(missed > 0, 0.0, 1.0)
        return float(np.where(spread > 0, 1.0 - missed / np.where(spread > 0, spread, 1.0), constant).mean())

"""Perplexity, the usual measure of language models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from anynet.arrays.namespace import Array
from anynet.checks import check_kind
from anynet.losses.base import Loss
from anynet.losses.classification import SoftmaxCrossEntropy
from anynet.metrics.base import Mean


@dataclass(frozen=True)
class Perplexity(Mean):
    """Exponential of the mean cross-entropy: the number of equally likely classes with the same loss.

    .. math:: \\exp\\Big(-\\frac{\\sum_n w_n \\log p_n}{\\sum_n w_n}\\Big)

    where p_n is the probability of the true class. With `EachPosition`, the mean is over all positions that count.

    Parameters
    ----------
    loss : Loss
        The cross-entropy; `CategoricalCrossEntropy` for networks that end in probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> metric = Perplexity()
    >>> print(round(metric.value(metric.sums(np.array([0, 2]), np.zeros((2, 4)))), 6))
    4.0

    References
    ----------
    Jelinek, Mercer, Bahl, Baker (1977), "Perplexity: a measure of the difficulty of speech recognition tasks", Journal of the
    Acoustical Society of America 62, S63.
    """

    loss: Loss = SoftmaxCrossEntropy()
    greater_is_better = False

    def __post_init__(self) -> None:
        check_kind("Perplexity", "loss", self.loss, Loss, "SoftmaxCrossEntropy()")

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.loss.sums(y_true, y_pred, sample_weight)

    def value(self, sums: tuple[Any, ...]) -> float:
        return math.exp(min(super().value(sums), 709.0))

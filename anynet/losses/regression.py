"""Losses for numbers.

Legend: N batch, O outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from anynet.losses.base import Cache, Loss, check_same_shape, outputs
from anynet.namespace import Array, namespace


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the squared error, summed over the outputs: the loss of the lecture notes.

    .. math:: ℓ_n = \\tfrac12 \\sum_o (ŷ_{no} - y_{no})^2, \\qquad \\frac{∂ℓ_n}{∂ŷ_n} = ŷ_n - y_n

    Over a batch of m examples it is the notes' cost, 1/(2m) Σ (y − ŷ)².

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y.

    Examples
    --------
    >>> import numpy as np
    >>> print(HalfSquaredError().forward(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]))[0])
    2.5
    """

    def per_example(self, y_pred: Array, y_true: Array) -> tuple[Array, Cache]:
        check_same_shape("HalfSquaredError", y_pred, y_true)
        error = y_pred - y_true
        return 0.5 * namespace(error).sum(error * error, axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return cache


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared error, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o (ŷ_{no} - y_{no})^2, \\qquad \\frac{∂ℓ_n}{∂ŷ_n} = \\frac2O (ŷ_n - y_n)

    The same as PyTorch's `MSELoss` and Keras' `MeanSquaredError`, and the 2/n (y − y*) of note 004.

    Notes
    -----
    y_pred and y_true (N, ...). Cache: ŷ − y.

    Examples
    --------
    >>> import numpy as np
    >>> print(MeanSquaredError().forward(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]))[0])
    2.5
    """

    def per_example(self, y_pred: Array, y_true: Array) -> tuple[Array, Cache]:
        check_same_shape("MeanSquaredError", y_pred, y_true)
        error = y_pred - y_true
        return namespace(error).mean(error * error, axis=outputs(error)), error

    def derivative(self, cache: Cache) -> Array:
        return cache * (2.0 / math.prod(cache.shape[1:]))

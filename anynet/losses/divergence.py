r"""Losses for counts and for probability distributions.

Legend: N batch, O outputs. Derivations: docs/derivations/losses.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_number
from anynet.losses.base import Cache, Loss, check_same_shape, largest, outputs


@dataclass(frozen=True)
class Poisson(Loss):
    r"""Negative log-likelihood of counts under Poisson distributions, averaged over the outputs.

    .. math::

        \text{from the logarithm of the rate:}\quad
        ℓ_n &= \frac1O \sum_o e^{z} - y z, \qquad \frac{∂ℓ_n}{∂z_n} = \frac1O (e^{z_n} - y_n) \\
        \text{from the rate:}\quad
        ℓ_n &= \frac1O \sum_o λ - y \log(λ + ε), \qquad
        \frac{∂ℓ_n}{∂λ_n} = \frac1O \Big(1 - \frac{y_n}{λ_n + ε}\Big)

    Parameters
    ----------
    log_input : bool
        Whether the output of the model is log λ, any real number, or λ, which must not be negative.
    epsilon : float, in (0, inf)
        ε, used for λ only.

    Notes
    -----
    y_pred and y_true (N, ...), y_true in [0, inf). Cache: the derivative times O. The term log y!, which does not
    depend on the model, is omitted. The same as PyTorch's `PoissonNLLLoss`; Keras' `Poisson` is this with
    ``log_input=False`` and epsilon 1e-7.

    Examples
    --------
    >>> import numpy as np
    >>> print(Poisson().forward(np.array([[3.0]]), np.array([[0.0]]))[0])
    1.0

    References
    ----------
    McCullagh, Nelder (1989), "Generalized linear models", section 6.2.
    """

    _: KW_ONLY
    log_input: bool = True
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_number("Poisson", "epsilon", self.epsilon, "(0, inf)")

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("Poisson", y_true, y_pred)
        xp = namespace(y_pred)
        if self.log_input:
            rate = xp.exp(y_pred)
            return xp.mean(rate - y_true * y_pred, axis=outputs(y_pred)), rate - y_true
        rate = y_pred + self.epsilon
        return xp.mean(y_pred - y_true * xp.log(rate), axis=outputs(y_pred)), 1.0 - y_true / rate

    def derivative(self, cache: Cache) -> Array:
        return cache * (1.0 / math.prod(cache.shape[1:]))

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        super().check_values(y, output_shape)
        _check_not_negative("Poisson", "counts", y)


@dataclass(frozen=True)
class KLDivergence(Loss):
    r"""Kullback-Leibler divergence KL(y ‖ p) of target and predicted distributions, from log p.

    .. math:: ℓ_n = \sum_o y_{no} (\log y_{no} - \log p_{no}), \qquad \frac{∂ℓ_n}{∂\log p_n} = -y_n

    Notes
    -----
    y_pred (N, ...) log-probabilities, such as the output of `LogSoftmax`; y_true (N, ...) probabilities, with 0 log 0 = 0.
    Cache: y. The same as PyTorch's `KLDivLoss(reduction="batchmean")`, the mathematical definition (its default also divides
    by the number of outputs); Keras' `KLDivergence` takes probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> print(KLDivergence().forward(np.array([[1.0, 0.0]]), np.log([[0.25, 0.75]]))[0].round(4))
    1.3863

    References
    ----------
    Kullback, Leibler (1951), "On information and sufficiency", eq. 2.4.
    """

    has_classes = True

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("KLDivergence", y_true, y_pred)
        xp = namespace(y_pred)
        tiny = float(xp.finfo(y_true.dtype).smallest_normal)
        return total(y_true * (xp.log(xp.maximum(y_true, tiny)) - y_pred), axis=outputs(y_pred)), y_true

    def derivative(self, cache: Cache) -> Array:
        return -cache

    def probabilities(self, y_pred: Array) -> Array:
        return namespace(y_pred).exp(y_pred)

    def classes(self, y_pred: Array) -> Array:
        return largest(y_pred)

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        super().check_values(y, output_shape)
        _check_not_negative("KLDivergence", "probabilities", y)


def _check_not_negative(where: str, what: str, y: Array) -> None:
    low = float(namespace(y).min(y))
    if low < 0:
        raise ValueError(f"{where}: expected {what} >= 0 in y, got {low:g}")

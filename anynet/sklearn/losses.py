r"""Losses that sum over the outputs, as scikit-learn's gradients do; anynet's take the mean.

Legend: N batch, O outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.losses import Loss, SigmoidCrossEntropy
from anynet.losses.base import Cache, check_same_shape, outputs


@dataclass(frozen=True)
class SummedSigmoidCrossEntropy(SigmoidCrossEntropy):
    r"""`SigmoidCrossEntropy` times O: the sum over the outputs instead of the mean.

    .. math:: ℓ_n = \sum_o \max(z, 0) - y z + \log(1 + e^{-|z|}), \qquad \frac{∂ℓ_n}{∂z_n} = σ(z_n) - y_n
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        losses, cache = super().per_example(y_true, y_pred)
        return losses * y_pred.shape[1], cache

    def derivative(self, cache: Cache) -> Array:
        return cache


@dataclass(frozen=True)
class HalfPoissonDeviance(Loss):
    r"""Half the Poisson deviance of counts, given log rates, summed over the outputs.

    .. math:: ℓ_n = \sum_o e^{z} - y z + y \log y - y, \qquad \frac{∂ℓ_n}{∂z_n} = e^{z_n} - y_n

    Notes
    -----
    y_pred and y_true (N, O); y_true is at least 0, and 0 log 0 is 0. Cache: the derivative. The loss is `Poisson` plus terms
    that do not depend on the model, so that a perfect prediction has loss 0.

    References
    ----------
    McCullagh, Nelder (1989), "Generalized linear models", section 2.3.
    """

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("HalfPoissonDeviance", y_true, y_pred)
        xp, rate = namespace(y_pred), namespace(y_pred).exp(y_pred)
        tiny = float(xp.finfo(y_true.dtype).smallest_normal)
        best = y_true * xp.log(xp.maximum(y_true, tiny)) - y_true
        return xp.sum(rate - y_true * y_pred + best, axis=outputs(y_pred)), rate - y_true

    def derivative(self, cache: Cache) -> Array:
        return cache

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        super().check_values(y, output_shape)
        low = float(namespace(y).min(y))
        if low < 0:
            raise ValueError(
                f"Some value(s) of y are out of the valid range of the loss 'poisson': expected y >= 0, got {low:g}"
            )

r"""Losses of predicted distributions: a mean with its variance, and quantiles.

Each target has several outputs. A network for K targets with k outputs per target ends in k·K outputs: the first K belong to
the targets in order, then the next K, and so on.

Legend: N batch, K targets, O = k·K outputs. Derivations: docs/derivations/losses.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.special import sigmoid
from anynet.checks import check_number
from anynet.losses.base import Cache, Loss, OutputShape, outputs


@dataclass(frozen=True)
class DistributionLoss(Loss):
    """Base class of losses with `outputs_per_target` outputs for each target."""

    @property
    def outputs_per_target(self) -> int:
        """Number k of outputs per target."""
        raise NotImplementedError(f"{type(self).__name__}: expected outputs_per_target to be implemented, got none")

    def target_shape(self, output_shape: OutputShape) -> OutputShape:
        return (*output_shape[:-1], output_shape[-1] // self.outputs_per_target)

    def check_outputs(self, output_shape: OutputShape) -> None:
        super().check_outputs(output_shape)
        count = self.outputs_per_target
        if not output_shape or output_shape[-1] % count:
            raise ValueError(
                f"{type(self).__name__}: expected a multiple of {count} outputs, {count} per target, got output shape "
                f"{output_shape}; for one target end the network in Dense({count})"
            )

    def split(self, y_true: Array, y_pred: Array) -> list[Array]:
        """Return the k parts of the output, each of y_true's shape; check both shapes."""
        count = self.outputs_per_target
        if y_pred.shape[:-1] != y_true.shape[:-1] or y_pred.shape[-1] != count * y_true.shape[-1]:
            raise ValueError(
                f"{type(self).__name__}: expected y_true of shape (..., K) and y_pred of (..., {count}·K), "
                f"got {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
            )
        size = y_true.shape[-1]
        return [y_pred[..., i * size : (i + 1) * size] for i in range(count)]


@dataclass(frozen=True)
class GaussianNLL(DistributionLoss):
    r"""Negative log-likelihood of normal distributions, averaged over the targets.

    .. math::

        ℓ_n = \frac1{2K} \sum_k \log v + \frac{(μ - y)^2}{v}, \qquad v = e^s + ε,

        \frac{∂ℓ_n}{∂μ} = \frac{μ - y}{K v}, \qquad
        \frac{∂ℓ_n}{∂s} = \frac1{2K} \Big(1 - \frac{(μ - y)^2}{v}\Big) \frac{e^s}{v}

    The outputs are K means μ, followed by the logarithms s of K variances.

    Parameters
    ----------
    log_variance : bool
        Whether the second half of the outputs is s, any real number, or the variance itself, which must not be negative;
        then v = max(s, 0) + ε.
    epsilon : float, in (0, inf)
        ε, in squared units of y: keeps the loss finite for a vanishing variance. Scale y to a spread of about 1.

    Notes
    -----
    y_pred (N, ..., 2K); y_true (N, ..., K). Cache: the two derivatives times K. The constant ½ log 2π is omitted, as in
    PyTorch's `GaussianNLLLoss`, which takes mean and variance as two arguments. log v and eˢ/v are computed without eˢ, so
    no output overflows.

    Raises
    ------
    ValueError
        If the number of outputs is odd.

    Examples
    --------
    >>> import numpy as np
    >>> loss = GaussianNLL()
    >>> print(loss.forward(np.array([[1.0]]), np.array([[3.0, np.log(4.0)]]))[0].round(4))
    1.1931
    >>> loss.target_shape((2,))
    (1,)

    References
    ----------
    Nix, Weigend (1994), "Estimating the mean and variance of the target probability distribution", eq. 1.
    """

    _: KW_ONLY
    log_variance: bool = True
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_number("GaussianNLL", "epsilon", self.epsilon, "(0, inf)")

    @property
    def outputs_per_target(self) -> int:
        return 2

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        xp, (mean, s) = namespace(y_pred), self.split(y_true, y_pred)
        if self.log_variance:
            above = s - math.log(self.epsilon)
            log_v = xp.maximum(above, 0.0) + xp.log1p(xp.exp(-xp.abs(above))) + math.log(self.epsilon)
            precision, share = xp.exp(-log_v), sigmoid(above)
        else:
            v = xp.maximum(s, 0.0) + self.epsilon
            log_v, precision = xp.log(v), 1.0 / v
            share = precision * xp.astype(s > 0.0, s.dtype)
        error = mean - y_true
        squared = error * error * precision
        return 0.5 * xp.mean(log_v + squared, axis=outputs(mean)), (error * precision, 0.5 * (1.0 - squared) * share)

    def derivative(self, cache: Cache) -> Array:
        by_mean, by_variance = cache
        return namespace(by_mean).concat([by_mean, by_variance], axis=-1) * (1.0 / math.prod(by_mean.shape[1:]))


@dataclass(frozen=True)
class Quantile(DistributionLoss):
    r"""Pinball loss of quantiles, averaged over the outputs.

    .. math::

        ℓ_n = \frac1O \sum_o \max\big(τ (y - ŷ),\, (τ - 1)(y - ŷ)\big)
            = \frac1O \sum_o \tfrac12 |e| + (\tfrac12 - τ)\, e, \quad e = ŷ - y, \qquad
        \frac{∂ℓ_n}{∂ŷ_n} = \frac1O \big(\tfrac12 \operatorname{sign} e + \tfrac12 - τ\big)

    The expected loss is minimal at the quantile of each level τ. The outputs are K quantiles of the first level, followed by K
    of the second, and so on.

    Parameters
    ----------
    levels : float or sequence of floats, in (0, 1)
        τ of each quantile. The default is the median with the limits of an 80 % interval.

    Notes
    -----
    y_pred (N, ..., k·K) for k levels; y_true (N, ..., K). Cache: e of each level. The same as the mean of scikit-learn's
    `mean_pinball_loss` over the levels. Predicted quantiles of different levels may cross; sort them if order matters.

    Raises
    ------
    ValueError
        If the number of outputs is not a multiple of the number of levels.

    Examples
    --------
    >>> import numpy as np
    >>> print(Quantile([0.1, 0.9]).forward(np.array([[2.0]]), np.array([[1.0, 1.0]]))[0])
    0.5

    References
    ----------
    Koenker, Bassett (1978), "Regression quantiles", eq. 1.2.
    """

    levels: Any = (0.1, 0.5, 0.9)

    def __post_init__(self) -> None:
        levels = self.levels if isinstance(self.levels, (list, tuple)) else (self.levels,)
        if not levels:
            raise ValueError("Quantile: expected one or more levels, got none")
        for level in levels:
            check_number("Quantile", "levels", level, "(0, 1)")
        object.__setattr__(self, "levels", tuple(map(float, levels)))

    @property
    def outputs_per_target(self) -> int:
        return len(self.levels)

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        xp = namespace(y_pred)
        errors = [part - y_true for part in self.split(y_true, y_pred)]
        each = zip(self.levels, errors, strict=True)
        terms = [0.5 * xp.abs(e) + (0.5 - level) * e for level, e in each]
        return xp.mean(xp.concat(terms, axis=-1), axis=outputs(y_pred)), errors

    def derivative(self, cache: Cache) -> Array:
        xp = namespace(cache[0])
        slopes = [0.5 * xp.sign(e) + (0.5 - level) for level, e in zip(self.levels, cache, strict=True)]
        return xp.concat(slopes, axis=-1) * (1.0 / (len(slopes) * math.prod(cache[0].shape[1:])))

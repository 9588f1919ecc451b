"""Binary cross-entropies, from logits and from probabilities.

Legend: N batch, O outputs. Derivations: docs/derivations/losses.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from anynet.arrays.namespace import Array, DType, namespace
from anynet.arrays.special import sigmoid
from anynet.losses.base import Cache, Loss, above, check_same_shape, of_both_classes, outputs
from anynet.losses.classification import at_least_tiny, check_count, check_weights, constant


@dataclass(frozen=True)
class BinaryLoss(Loss):
    """Base class of losses whose targets are 0 (no), 1 (yes) or a probability, independently per output."""

    has_classes = True
    threshold: ClassVar[float]

    def probabilities(self, y_pred: Array) -> Array:
        return of_both_classes(sigmoid(y_pred) if self.expects == "logits" else y_pred)

    def classes(self, y_pred: Array) -> Array:
        return above(y_pred, self.threshold)

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        super().check_values(y, output_shape)
        xp = namespace(y)
        low, high = float(xp.min(y)), float(xp.max(y))
        if low < 0 or high > 1:
            hint = "; for labels -1 and 1, pass (y + 1) / 2" if (low, high) == (-1.0, 1.0) else ""
            raise ValueError(
                f"{type(self).__name__}: expected labels in y from 0 to 1, got {low if low < 0 else high:g}{hint}"
            )


@dataclass(frozen=True)
class SigmoidCrossEntropy(BinaryLoss):
    """Binary cross-entropy from logits, averaged over the outputs.

    .. math:: ℓ_n = \\frac1O \\sum_o (1 - y) s(z) + w y s(-z), \\quad s(z) = \\max(z, 0) + \\log(1 + e^{-|z|}), \\qquad
              \\frac{∂ℓ_n}{∂z_n} = \\frac1O \\big((1 - y) σ(z) - w y (1 - σ(z))\\big)

    s is the softplus function. Without weights, w = 1 and the derivative is (σ(z) − y)/O. The same as PyTorch's
    `BCEWithLogitsLoss`.

    Parameters
    ----------
    pos_weight : float, or sequence of O floats, in [0, inf), optional
        w, the weight of positive targets of each output; a number is for a single output. A weight above 1 raises recall at the
        cost of precision.

    Notes
    -----
    y_pred (N, O) logits; y_true (N, O) from 0 to 1. Cache: the derivative times O.

    Examples
    --------
    >>> import numpy as np
    >>> print(SigmoidCrossEntropy().forward(np.array([[1.0, 1.0]]), np.array([[0.0, 1e4]]))[0].round(4))
    0.3466
    """

    expects = "logits"
    threshold = 0.0
    _: KW_ONLY
    pos_weight: Any = None

    def __post_init__(self) -> None:
        if self.pos_weight is not None:
            single = isinstance(self.pos_weight, (int, float))
            weights = check_weights(
                "SigmoidCrossEntropy", "pos_weight", (self.pos_weight,) if single else self.pos_weight
            )
            object.__setattr__(self, "pos_weight", weights)

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("SigmoidCrossEntropy", y_true, y_pred)
        xp, z, no = namespace(y_pred), y_pred, 1.0 - y_true
        yes = y_true if self.pos_weight is None else y_true * constant(self.pos_weight, z)
        tail, p = xp.log1p(xp.exp(-xp.abs(z))), sigmoid(z)
        losses = no * (xp.maximum(z, 0.0) + tail) + yes * (xp.maximum(-z, 0.0) + tail)
        return xp.mean(losses, axis=outputs(z)), no * p - yes * (1.0 - p)

    def derivative(self, cache: Cache) -> Array:
        return cache * (1.0 / math.prod(cache.shape[1:]))

    def targets(self, y: Array, output_shape: tuple[int, ...], dtype: DType) -> Array:
        check_count("SigmoidCrossEntropy", "pos_weight", self.pos_weight, output_shape[-1] if output_shape else 1)
        return super().targets(y, output_shape, dtype)


@dataclass(frozen=True)
class BinaryCrossEntropy(BinaryLoss):
    """Binary cross-entropy from probabilities, such as the output of `Sigmoid`, averaged over the outputs.

    .. math:: ℓ_n = -\\frac1O \\sum_o y \\log p + (1 - y) \\log(1 - p), \\qquad
              \\frac{∂ℓ_n}{∂p_n} = \\frac1O \\Big(\\frac{1 - y}{1 - p} - \\frac{y}{p}\\Big)

    p and 1 − p are clipped below at the smallest normal number of the dtype, so the loss is finite (PyTorch clamps the
    logarithm at −100 instead).

    Notes
    -----
    y_pred (N, O) probabilities; y_true (N, O) from 0 to 1. Cache: p, 1 − p, y.

    Examples
    --------
    >>> import numpy as np
    >>> print(BinaryCrossEntropy().forward(np.array([[1.0]]), np.array([[0.5]]))[0].round(4))
    0.6931
    """

    expects = "probabilities"
    threshold = 0.5

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("BinaryCrossEntropy", y_true, y_pred)
        xp = namespace(y_pred)
        p, q = at_least_tiny(y_pred), at_least_tiny(1.0 - y_pred)
        losses = -(y_true * xp.log(p) + (1.0 - y_true) * xp.log(q))
        return xp.mean(losses, axis=outputs(p)), (p, q, y_true)

    def derivative(self, cache: Cache) -> Array:
        p, q, y_true = cache
        return ((1.0 - y_true) / q - y_true / p) * (1.0 / math.prod(p.shape[1:]))

r"""Binary losses that emphasize examples that are hard to classify.

Legend: N batch, O outputs. Derivations: docs/derivations/losses.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.special import sigmoid
from anynet.checks import check_number
from anynet.losses.base import Cache, Loss, above, check_finite, check_same_shape, outputs
from anynet.losses.binary import BinaryLoss
from anynet.losses.classification import at_least_tiny


@dataclass(frozen=True)
class Hinge(Loss):
    r"""Penalize outputs that are not on the target's side of zero by a margin of 1.

    .. math:: ℓ_n = \frac1O \sum_o \max(1 - s z, 0), \quad s = \pm 1, \qquad
              \frac{∂ℓ_n}{∂z_n} = -\frac1O s \, [s z < 1]

    Notes
    -----
    Averaged over the outputs. y_pred (N, O); y_true (N, O), labels 0 and 1 or −1 and 1, with s = 1 where y > 0 and s = −1
    elsewhere. Cache: s where the margin is violated, 0 elsewhere. The same as Keras' `Hinge`. PyTorch's `HingeEmbeddingLoss`
    is a different loss, for distances, and its `MultiMarginLoss` compares classes with each other.

    Examples
    --------
    >>> import numpy as np
    >>> print(Hinge().forward(np.array([[1.0, 0.0]]), np.array([[0.5, -3.0]]))[0])
    0.25

    References
    ----------
    Cortes, Vapnik (1995), "Support-vector networks", section 3: the slack ξ of eqs. 22 and 23.
    """

    has_classes = True
    threshold = 0.0
    expects = "logits"

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("Hinge", y_true, y_pred)
        xp = namespace(y_pred)
        side = 2.0 * xp.astype(y_true > 0, y_pred.dtype) - 1.0
        short = 1.0 - side * y_pred
        losses = xp.mean(xp.maximum(short, 0.0), axis=outputs(y_pred))
        return losses, side * xp.astype(short > 0, y_pred.dtype)

    def derivative(self, cache: Cache) -> Array:
        return cache * (-1.0 / math.prod(cache.shape[1:]))

    def classes(self, y_pred: Array) -> Array:
        return above(y_pred, self.threshold)

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        check_finite("Hinge", "y", y)
        xp = namespace(y)
        if not bool(xp.all((y == 1) | (y == 0) | (y == -1))):
            raise ValueError("Hinge: expected labels in y of 0 and 1, or of -1 and 1, got other values")


@dataclass(frozen=True)
class FocalLoss(BinaryLoss):
    r"""Binary cross-entropy from logits that down-weights examples already classified confidently.

    .. math::

        ℓ_n = \frac1O \sum_o -a\, q^γ \log p_t, \qquad
        p_t = y p + (1 - y)(1 - p), \quad q = 1 - p_t, \quad p = σ(z), \quad a = α y + (1 - α)(1 - y),

        \frac{∂ℓ_n}{∂z_n} = \frac aO \Big(q^γ (p - y) + γ\, q^{γ - 1} p (1 - p)(1 - 2 y)\, h\Big), \quad h = -\log p_t

    Parameters
    ----------
    gamma : float, in [0, inf)
        γ, the strength of the down-weighting; 0 gives `SigmoidCrossEntropy` (times a).
    alpha : float, in [0, 1], or None
        α, the weight of positive targets; negative targets have weight 1 − α. None gives both weight 1.

    Notes
    -----
    Averaged over the outputs. y_pred (N, O) logits; y_true (N, O) of 0 or 1 (for values between, h is the cross-entropy of y
    and p). Cache: the derivative times O. The same as the mean of `torchvision.ops.sigmoid_focal_loss`, defaults included; the
    paper divides the sum by the number of objects instead.

    Examples
    --------
    >>> import numpy as np
    >>> print(FocalLoss(alpha=None).forward(np.array([[1.0]]), np.array([[0.0]]))[0].round(4))
    0.1733

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár (2017), "Focal loss for dense object detection", eqs. 4, 5 and appendix A.
    """

    threshold = 0.0
    expects = "logits"
    gamma: float = 2.0
    _: KW_ONLY
    alpha: float | None = 0.25

    def __post_init__(self) -> None:
        check_number("FocalLoss", "gamma", self.gamma, "[0, inf)")
        if self.alpha is not None:
            check_number("FocalLoss", "alpha", self.alpha, "[0, 1]")

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_same_shape("FocalLoss", y_true, y_pred)
        xp, z, y, no = namespace(y_pred), y_pred, y_true, 1.0 - y_true
        p, p_no = sigmoid(z), sigmoid(-z)
        q = at_least_tiny(no * p + y * p_no)  # 1 − p_t would lose digits where it is small
        h = no * xp.maximum(z, 0.0) + y * xp.maximum(-z, 0.0) + xp.log1p(xp.exp(-xp.abs(z)))
        focus = q**self.gamma
        slope = focus * (no * p - y * p_no) + self.gamma * (focus / q) * p * p_no * (no - y) * h
        if self.alpha is not None:
            a = self.alpha * y + (1.0 - self.alpha) * no
            focus, slope = a * focus, a * slope
        return xp.mean(focus * h, axis=outputs(z)), slope

    def derivative(self, cache: Cache) -> Array:
        return cache * (1.0 / math.prod(cache.shape[1:]))

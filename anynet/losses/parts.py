"""Losses of examples with several parts, each with its own output.

Legend: N batch, P parts of an example, M = N·P, C numbers of an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from anynet.arrays.convert import as_rows, empty_like
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_kind
from anynet.losses.base import Cache, Loss


@dataclass(frozen=True)
class PartsLoss(Loss):
    """Base class of losses that apply another loss to each part of an example.

    A subclass defines `parts`, the target and the weight of each part. The parts are then treated as M examples, by the loss
    and by the metrics of a model, unless it defines other `predictions` for the metrics.

    Parameters
    ----------
    loss : Loss
        The loss of one part.
    """

    one_target: ClassVar[bool] = False
    """Whether all parts of an example have the same target, so that targets are those of the inner loss."""

    loss: Loss

    def __post_init__(self) -> None:
        check_kind(type(self).__name__, "loss", self.loss, Loss, "SoftmaxCrossEntropy()")

    def parts(self, y_true: Array, sample_weight: Array | None, like: Array) -> tuple[Array, Array | None]:
        """Return the targets (M,) or (M, C) and weights (M,) or None of all parts.

        New weights take the dtype of `like`.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method parts(y_true, sample_weight, like), got none"
        )

    def examples(self, y_true: Array, y_pred: Array, sample_weight: Array | None) -> tuple[Array, Array, Array | None]:
        """Return targets, outputs (M, C) and weights of all parts."""
        targets, weight = self.parts(y_true, sample_weight, like=y_pred)
        return targets, as_rows(y_pred), weight

    def predictions(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> tuple[Array, Array, Array | None]:
        """Return the targets, outputs and weights that metrics compare, by default those of all parts."""
        return self.examples(y_true, y_pred, sample_weight)

    @property
    def threshold(self) -> float | None:  # type: ignore[override]
        return self.loss.threshold

    @property
    def expects(self) -> Any:  # type: ignore[override]
        return self.loss.expects

    @property
    def has_classes(self) -> bool:  # type: ignore[override]
        return self.loss.has_classes

    @property
    def weights_targets(self) -> bool:
        return True  # the denominator is not the number of examples

    def effective_weights(self, losses: Array, y_true: Array, sample_weight: Array | None) -> Array | None:
        targets, weight = self.parts(y_true, sample_weight, like=losses)
        shares = self.loss.effective_weights(losses, targets, weight)
        if shares is None:  # the mean is over the parts, whose number may differ between batches
            first = targets if len(targets.shape) == 1 else targets[:, 0]
            # made from the batch: a traced step must not return a constant
            return namespace(first).ones_like(first, dtype=losses.dtype)
        return shares

    def denominators(self, like: Array, y_true: Array, sample_weight: Array | None) -> tuple[Array | float, ...]:
        return self.loss.denominators(like, *self.parts(y_true, sample_weight, like))

    def forward(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | None = None,
        denominators: Sequence[Array | float] | None = None,
    ) -> tuple[Array, Cache]:
        value, cache = self.loss.forward(*self.examples(y_true, y_pred, sample_weight), denominators)
        return value, (cache, empty_like(y_pred[..., 0]))

    def backward(self, cache: Cache) -> Array:
        inner, empty = cache
        return like_parts(self.loss.backward(inner), empty.shape[1:])

    def sums(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, ...]:
        return self.loss.sums(*self.examples(y_true, y_pred, sample_weight))

    def probabilities(self, y_pred: Array) -> Any:
        return like_parts(self.loss.probabilities(as_rows(y_pred)), y_pred.shape[1:-1])

    def classes(self, y_pred: Array) -> Any:
        found = self.loss.classes(as_rows(y_pred))
        return namespace(found).reshape(found, (-1, *y_pred.shape[1:-1], *found.shape[1:]))


def like_parts(values: Array, shape: tuple[int, ...]) -> Array:
    """Return rows (M, C) as (N, *shape, C)."""
    return namespace(values).reshape(values, (-1, *shape, values.shape[-1]))

"""The loss of each member of an ensemble.

Legend: N batch, K members, C numbers of an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from anynet.arrays.namespace import Array, DType, namespace
from anynet.losses.average import average
from anynet.losses.base import Cache, OutputShape
from anynet.losses.parts import PartsLoss


@dataclass(frozen=True)
class EachMember(PartsLoss):
    """Apply a loss to each member of an ensemble, and average over the members.

    .. math:: L = \\frac1K \\sum_k L_k(ŷ_{\\cdot k}, y), \\qquad
              \\frac{∂L}{∂ŷ_{nk}} = \\frac1K \\frac{∂L_k}{∂ŷ_{nk}}

    Each member learns by its own loss. The loss of their average would let members make up for each other's errors, and the
    ensemble would overfit as one large network does.

    Parameters
    ----------
    loss : Loss
        The loss L_k of one member, including its class weights.

    Notes
    -----
    y_pred (N, K, ...); y_true as for the inner loss, one target per example. Metrics of the model, `Model.predict_proba` and
    `Model.predict_classes` are those of the ensemble, which averages the probabilities of the members, or their outputs if the
    loss defines no probabilities (`anynet.losses.average`). Cache: that of the inner loss, for N·K examples.

    Raises
    ------
    TypeError, ValueError
        If the outputs have no axis of members, or y does not fit the inner loss.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import HalfSquaredError
    >>> loss = EachMember(HalfSquaredError())
    >>> value, cache = loss.forward(np.array([[0.0]]), np.array([[[1.0], [-1.0]]]))
    >>> print(value, loss.backward(cache).tolist())
    0.5 [[[0.5], [-0.5]]]

    References
    ----------
    Gorishniy, Kotelnikov, Babenko (2025), "TabM: advancing tabular deep learning with parameter-efficient ensembling", section
    3, the training of submodels.
    """

    one_target: ClassVar[bool] = True

    def parts(self, y_true: Array, sample_weight: Array | None, like: Array) -> tuple[Array, Array | None]:
        return y_true, sample_weight  # a mean over members has the denominator of one member

    def effective_weights(self, losses: Array, y_true: Array, sample_weight: Array | None) -> Array | None:
        return self.loss.effective_weights(losses, y_true, sample_weight)

    def examples(self, y_true: Array, y_pred: Array, sample_weight: Array | None) -> tuple[Array, Array, Array | None]:
        members = y_pred.shape[1]
        if y_true.shape[0] != y_pred.shape[0]:
            raise ValueError(
                f"EachMember: expected {y_pred.shape[0]} examples in y_true, as in y_pred of shape {tuple(y_pred.shape)}, got "
                f"y_true of shape {tuple(y_true.shape)}"
            )
        weight = None if sample_weight is None else _repeated(sample_weight, members)
        y_pred = namespace(y_pred).reshape(y_pred, (y_pred.shape[0] * members, *y_pred.shape[2:]))
        return _repeated(y_true, members), y_pred, weight

    def predictions(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> tuple[Array, Array, Array | None]:
        averaged = average(self.loss, y_pred)
        if isinstance(self.loss, PartsLoss):
            return self.loss.predictions(y_true, averaged, sample_weight)
        return y_true, averaged, sample_weight

    @property
    def weights_targets(self) -> bool:
        return self.loss.weights_targets

    def forward(
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | None = None,
        denominators: Sequence[Array | float] | None = None,
    ) -> tuple[Array, Cache]:
        if denominators is not None:
            denominators = [y_pred.shape[1] * each for each in denominators]
        return super().forward(y_true, y_pred, sample_weight, denominators)

    def probabilities(self, y_pred: Array) -> Any:
        return self.loss.probabilities(average(self.loss, y_pred))

    def classes(self, y_pred: Array) -> Any:
        return self.loss.classes(average(self.loss, y_pred))

    def check_outputs(self, output_shape: OutputShape) -> None:
        super().check_outputs(output_shape)
        if len(output_shape) < 2:
            raise ValueError(
                f"EachMember: expected outputs of shape (members, outputs), got {output_shape}; begin the network with "
                f"Members(...), or use {self.loss!r} alone"
            )
        self.loss.check_outputs(output_shape[1:])

    def target_shape(self, output_shape: OutputShape) -> OutputShape:
        return self.loss.target_shape(output_shape[1:])

    def targets(self, y: Array, output_shape: tuple[int, ...], dtype: DType) -> Array:
        return self.loss.targets(y, output_shape[1:], dtype)

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        self.loss.check_values(y, output_shape[1:])


def _repeated(x: Array, times: int) -> Array:
    """Return x with each example repeated."""
    xp, (count, *rest) = namespace(x), x.shape
    return xp.reshape(xp.broadcast_to(x[:, None, ...], (count, times, *rest)), (count * times, *rest))

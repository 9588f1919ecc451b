"""A loss at each position of a sequence.

Legend: N batch, T positions, M = N·T, C classes.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from array_api_compat import device

from anynet.arrays.namespace import Array, DType, namespace
from anynet.checks import ANY_SIZE, check_int, has_shape
from anynet.losses.base import OutputShape
from anynet.losses.parts import PartsLoss


@dataclass(frozen=True)
class EachPosition(PartsLoss):
    """Apply a loss at each position, and average over the positions that count.

    .. math:: L = \\frac{\\sum_{nt} w_n [y_{nt} ≠ ι]\\, ℓ(ŷ_{nt}, y_{nt})}{\\sum_{nt} w_n [y_{nt} ≠ ι]}

    Parameters
    ----------
    loss : Loss
        ℓ, the loss at one position.
    ignore : int, optional
        ι, the label of positions that do not count, such as padding; for integer targets only.

    Notes
    -----
    y_pred (N, T, C), or with several axes of positions; y_true (N, T) of integers, or (N, T, C). The same as PyTorch's losses on
    flattened arrays, and its ``ignore_index``. Metrics of the model are computed over the positions that count, too. Cache: that
    of ℓ, for M examples.

    Raises
    ------
    TypeError, ValueError
        If the outputs have no axis of positions, y has another number of positions, or `ignore` is given for targets that are
        not integers.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SoftmaxCrossEntropy
    >>> loss = EachPosition(SoftmaxCrossEntropy(), ignore=-1)
    >>> value, cache = loss.forward(np.array([[1, -1]]), np.zeros((1, 2, 2)))
    >>> print(value.round(4), np.abs(loss.backward(cache)).tolist())
    0.6931 [[[0.5, 0.5], [0.0, 0.0]]]
    """

    _: KW_ONLY
    ignore: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore is not None:
            check_int("EachPosition", "ignore", self.ignore, at_least=-(2**31))

    def parts(self, y_true: Array, sample_weight: Array | None, like: Array) -> tuple[Array, Array | None]:
        xp = namespace(y_true)
        labels = xp.isdtype(y_true.dtype, "integral")
        if self.ignore is not None and not labels:
            raise ValueError(
                f"EachPosition(ignore={self.ignore}): expected integer targets and a loss of classes, such as "
                f"SoftmaxCrossEntropy, got targets of dtype {y_true.dtype} with {type(self.loss).__name__}; leave ignore out, "
                "and weight whole examples with sample_weight"
            )
        positions = math.prod(y_true.shape[1:] if labels else y_true.shape[1:-1])
        y_true = xp.reshape(y_true, (-1,) if labels else (-1, y_true.shape[-1]))
        weight = None
        if sample_weight is not None:
            ones = xp.ones((1, positions), dtype=sample_weight.dtype, device=device(sample_weight))
            weight = xp.reshape(sample_weight[:, None] * ones, (-1,))
        if self.ignore is not None:
            counts = y_true != self.ignore
            y_true = xp.where(counts, y_true, xp.zeros_like(y_true))
            counts = xp.astype(counts, like.dtype)
            weight = counts if weight is None else weight * counts
        return y_true, weight

    def examples(self, y_true: Array, y_pred: Array, sample_weight: Array | None) -> tuple[Array, Array, Array | None]:
        positions = len(y_pred.shape) - 1
        if tuple(y_true.shape[:positions]) != tuple(y_pred.shape[:positions]):
            raise ValueError(
                f"EachPosition: expected y_true of shape {tuple(y_pred.shape[:-1])}, or with an axis of numbers, as y_pred "
                f"of shape {tuple(y_pred.shape)}, got {tuple(y_true.shape)}"
            )
        return super().examples(y_true, y_pred, sample_weight)

    def check_outputs(self, output_shape: OutputShape) -> None:
        super().check_outputs(tuple(n for n in output_shape if n != ANY_SIZE))
        if len(output_shape) < 2:
            raise ValueError(
                f"EachPosition: expected outputs of shape (positions, features), got {output_shape}; without positions, use "
                f"{self.loss!r} alone"
            )
        self.loss.check_outputs(output_shape[-1:])

    def targets(self, y: Array, output_shape: tuple[int, ...], dtype: DType) -> Array:
        positions, xp = output_shape[:-1], namespace(y)
        if not has_shape(y[..., 0] if len(y.shape) > 1 + len(positions) else y, positions):
            raise ValueError(
                f"EachPosition: expected y of shape (N, {', '.join(map(str, positions))}), one target per position, or with "
                f"an axis of {output_shape[-1]} numbers, got {tuple(y.shape)}"
            )
        rows = self.loss.targets(xp.reshape(y, (-1, *y.shape[1 + len(positions) :])), output_shape[-1:], dtype)
        return xp.reshape(rows, (*y.shape[: 1 + len(positions)], *rows.shape[1:]))

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        self.loss.check_values(self.parts(y, None, like=y)[0], output_shape[-1:])

"""The prediction of an ensemble, in the form that its loss takes."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.losses.base import Loss
from anynet.losses.binary import BinaryLoss
from anynet.losses.classification import SoftmaxCrossEntropy
from anynet.losses.divergence import KLDivergence
from anynet.losses.parts import PartsLoss


@singledispatch
def average(loss: Loss, y_pred: Array) -> Array:
    """Return the average (N, ...) of the predictions of K members (N, K, ...).

    The average is that of probabilities, if the loss defines them, in the form of y_pred: logits p with
    ``softmax(p) = mean(softmax(y_pred))``. For other losses it is the mean of y_pred. `average.register` adds a class of losses.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SigmoidCrossEntropy
    >>> p = average(SigmoidCrossEntropy(), np.array([[[9.0], [-9.0]]]))
    >>> print(p.round(12))
    [[0.]]
    """
    return namespace(y_pred).mean(y_pred, axis=1)


@average.register(SoftmaxCrossEntropy)
def _(loss: SoftmaxCrossEntropy, y_pred: Array) -> Array:
    z = widened(y_pred)
    xp = namespace(z)
    z = z - xp.max(z, axis=-1, keepdims=True)
    log_p = z - xp.log(xp.sum(xp.exp(z), axis=-1, keepdims=True))
    return narrowed(_log_mean_exp(log_p), y_pred.dtype)


@average.register(KLDivergence)
def _(loss: KLDivergence, y_pred: Array) -> Array:
    return narrowed(_log_mean_exp(widened(y_pred)), y_pred.dtype)


@average.register(BinaryLoss)
def _(loss: BinaryLoss, y_pred: Array) -> Array:
    if loss.expects != "logits":
        return namespace(y_pred).mean(y_pred, axis=1)
    z = widened(y_pred)
    return narrowed(_log_mean_exp(_log_sigmoid(z)) - _log_mean_exp(_log_sigmoid(-z)), y_pred.dtype)


@average.register(PartsLoss)
def _(loss: PartsLoss, y_pred: Array) -> Any:
    xp, (count, members, *parts, width) = namespace(y_pred), y_pred.shape
    rows = xp.reshape(xp.moveaxis(y_pred, 1, -2), (-1, members, width))
    return xp.reshape(average(loss.loss, rows), (count, *parts, width))


def _log_mean_exp(x: Array) -> Array:
    """Return the logarithm of the mean of eˣ over the members."""
    xp = namespace(x)
    top = xp.max(x, axis=1, keepdims=True)
    return top[:, 0, ...] + xp.log(xp.mean(xp.exp(x - top), axis=1))


def _log_sigmoid(z: Array) -> Array:
    xp = namespace(z)
    return xp.minimum(z, 0.0) - xp.log1p(xp.exp(-xp.abs(z)))

"""Class labels, class weights and the stratified validation split, on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anynet.arrays.convert import to_numpy
from anynet.checks import check_number, is_multi
from anynet.losses.base import Loss
from anynet.losses.classification import ClassLoss
from anynet.losses.parts import PartsLoss


def class_labels(where: str, name: str, loss: Loss, y: Any) -> np.ndarray:
    """Return the class of each example from integers, rows of one class or binary targets.

    Raises
    ------
    ValueError
        If the targets of an example are not those of one class.
    """
    if isinstance(y, tuple):
        raise ValueError(f"{where}: expected one array of targets with {name}, got several; pass sample_weight instead")
    labels, loss = to_numpy(y), of_one_target(loss)
    if labels.size != len(labels):
        if labels.ndim != 2 or not (isinstance(loss, ClassLoss) or _is_one_hot(labels)):
            raise ValueError(
                f"{where}: expected one-hot rows in y for {name} with {type(loss).__name__}, got other rows; pass "
                "sample_weight instead"
            )
        return labels.argmax(axis=1)
    labels = labels.reshape(-1)
    if not np.array_equal(labels, np.round(labels)):
        raise ValueError(f"{where}: expected classes in y for {name}, got other numbers")
    return labels.astype(np.int64)


def _is_one_hot(rows: np.ndarray) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


def check_one_class(where: str, name: str, loss: Loss, target_shape: Any) -> None:
    """Raise ValueError if the loss takes several targets per example, which no class describes."""
    if isinstance(loss, PartsLoss) and not loss.one_target:
        raise ValueError(
            f"{where}: expected no {name} with {type(loss).__name__}, whose examples have several targets; pass it to the "
            f"inner loss, for example SoftmaxCrossEntropy(class_weight=[...])"
        )
    single = is_multi(target_shape) or math.prod(target_shape) == 1
    if loss.threshold is not None and not single:
        raise ValueError(
            f"{where}: expected one class per example for {name}, got {math.prod(target_shape)} independent labels with "
            f"{type(of_one_target(loss)).__name__}; weight labels by SigmoidCrossEntropy(pos_weight=[...]), or examples by "
            "sample_weight"
        )


def of_one_target(loss: Loss) -> Loss:
    """Return the loss of one part, if all parts have the same target."""
    while isinstance(loss, PartsLoss) and loss.one_target:
        loss = loss.loss
    return loss


def class_weights(where: str, class_weight: Any, labels: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Return the weight of each example, that of its class in a dict or ``"balanced"``.

    ``"balanced"`` is N / (number of classes · count of the class), as in scikit-learn. A class without an entry has weight 1.
    By default the classes are those among the labels.
    """
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"{where}: expected class_weight to be 'balanced' or a dict, got {class_weight!r}")
        found, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return (len(labels) / (len(found) * counts))[index]
    if not isinstance(class_weight, dict):
        raise TypeError(f"{where}: expected class_weight to be 'balanced' or a dict, got {class_weight!r}")
    classes = np.unique(labels) if classes is None else classes
    for label, weight in class_weight.items():
        if label not in classes:
            raise ValueError(
                f"{where}: expected class_weight for classes in y, got one for {label!r}; classes are {classes.tolist()}"
            )
        check_number(where, f"class_weight[{label!r}]", weight, "[0, inf)")
    each = np.array([float(class_weight.get(int(c), 1.0)) for c in classes])
    if not each.any():
        raise ValueError(f"{where}: expected a class_weight > 0 for a class in y, got only zeros")
    return each[np.searchsorted(classes, labels)]


def stratified_split(
    where: str, fraction: float, count: int, labels: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled indices of training and validation examples, stratified by the labels.

    Raises
    ------
    ValueError
        If either part would be empty.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"{where}: expected validation_split in [0, 1), got {fraction!r}")
    order = rng.permutation(count)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        # Spread each class evenly over the order: a cut at any position then takes its share of each class.
        place = np.empty(count)
        for label in np.unique(labels):
            members = np.flatnonzero(labels[order] == label)
            place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        order = order[np.argsort(place, kind="stable")]
    held = round(fraction * count)
    if held == 0 or held == count:
        raise ValueError(
            f"{where}: expected validation_split to leave examples on both sides, got {fraction!r} of {count}"
        )
    return rng.permutation(order[held:]), order[:held]


def split_labels(loss: Loss, y: Any) -> np.ndarray | None:
    """Return the classes to stratify by; None for other targets."""
    if isinstance(y, tuple):
        return None
    y, loss = to_numpy(y), of_one_target(loss)
    single = y.ndim == 1 or y.shape[1:] == (1,)
    if isinstance(loss, ClassLoss) or (loss.threshold is not None and single and np.array_equal(y, y.round())):
        return class_labels("fit", "validation_split", loss, y)
    return None

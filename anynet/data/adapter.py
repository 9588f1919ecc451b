"""What `Model.fit` and `Model.evaluate` are given, made ready: checked, on the device where it fits, and cut in two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.backends import to_numpy
from anynet.checks import check_number, several
from anynet.data.convert import (
    Data,
    as_weights,
    check_rows,
    check_sizes,
    class_labels,
    class_weights,
    same_length,
    split,
)
from anynet.data.sources import Batches, Order, Plan, Resident, Source, Streamed, in_file
from anynet.losses.base import Loss
from anynet.losses.classification import ClassLoss
from anynet.tree import map_arrays

SPLIT = 2
"""The stream of the seed that a validation split is drawn from."""


def prepare(
    model: Any,
    x: Any,
    y: Any,
    epochs: int,
    batch_size: int | None,
    shuffle: bool | Order,
    sample_weight: Any,
    class_weight: Any,
    validation_data: Any,
    validation_split: float,
) -> tuple[Source, Source | None, Plan]:
    """Return what to train on, what to validate with, and how to go through it; raise if an argument does not fit."""
    check_sizes("fit", epochs, batch_size)
    check_number("fit", "validation_split", validation_split, "[0, 1)")
    if model._compiled.optimizer.full_batch and batch_size is not None:
        raise ValueError(
            f"fit: expected batch_size=None for {type(model.optimizer).__name__}, whose steps need the loss of all "
            f"examples, got {batch_size!r}"
        )
    source = make_source(model, "fit", x, y, sample_weight, class_weight)
    weighted = source if isinstance(source, Batches) else weighted_by_class(model, source, class_weight)
    source, validation = validation_source(model, source, weighted, validation_data, validation_split)
    return (
        source,
        validation,
        Plan(epochs, batch_size, shuffle if callable(shuffle) else bool(shuffle), model.seed, float(validation_split)),
    )


def make_source(model: Any, where: str, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Source:
    """Return the source of arrays, or of an iterable of batches when y is None: only that takes class weights here."""
    if y is None:
        return _iterable(model, where, x, sample_weight, class_weight)
    x, y = _parts(x, model.input_shape), _parts(y, model.output_shape)
    if _too_large(model, x) or _too_large(model, y):
        return _streamed(model, where, x, y, sample_weight)
    return Resident(model.backend, checked(model, where, model._data(where, x, y, sample_weight)), model.index_dtype)


def weighted_by_class(model: Any, source: Any, class_weight: Any) -> Source:
    """Return the source with each example's weight multiplied by that of its class.

    A class's weight shapes training alone: what is held out for validation is taken from the source without.
    """
    if class_weight is None:
        return source
    labels = class_labels("fit", "class_weight", source.targets)
    weight = model.backend.asarray(class_weights("fit", class_weight, labels), model._dtype)
    return source.weighted(weight)


def input_pieces(model: Any, x: Any, rows: int) -> Iterator[Array]:
    """Yield checked inputs, at most `rows` at a time."""
    parts = _parts(x, model.input_shape)
    streamed = _too_large(model, parts)
    if streamed:
        check_rows("predict", parts)
    data = Data(parts if streamed else model._inputs("predict", x), None)
    for start in range(0, len(data), rows):
        part = data.rows(start, start + rows).x
        part = model._inputs("predict", part) if streamed else part
        model.layer.check_input("predict", part)
        yield part


def _parts(x: Any, shape: Any) -> Any:
    """Return several arrays as a tuple; what else there is as it is."""
    return tuple(x) if several(shape) and isinstance(x, (tuple, list)) else x


def _too_large(model: Any, x: Any) -> bool:
    """Return whether x, an array or a tuple of several, lies in a file or has no room on the device."""
    return any(in_file(a) or not model.backend.fits(a) for a in (x if isinstance(x, tuple) else (x,)))


def checked(model: Any, where: str, data: Data) -> Data:
    """Return data whose values were looked at too."""
    model.layer.check_input(where, data.x)
    model._compiled.loss.check_values(data.y, model.output_shape)
    return data


def _streamed(model: Any, where: str, x: Any, y: Any, sample_weight: Any) -> Streamed:
    backend = model.backend
    weight = None
    if sample_weight is not None:
        weight = backend.to_numpy(as_weights(backend, where, sample_weight, model._dtype))
    x, y = (
        map_arrays(lambda a: a if hasattr(a, "shape") and not hasattr(a, "iloc") else to_numpy(a), part)
        for part in (x, y)
    )
    check_rows(where, x)
    same_length(where, x, y=y, sample_weight=weight)

    def prepare(x: Any, y: Any, weight: np.ndarray | None) -> Data:
        data = checked(model, where, model._data(where, x, y))
        return data if weight is None else Data(data.x, data.y, backend.asarray(weight, model._dtype))

    prepare(
        map_arrays(lambda a: a[:1], x), map_arrays(lambda a: a[:1], y), None
    )  # so that a wrong shape is told before anything begins
    return Streamed(backend, (x, y, weight), prepare)


def _iterable(model: Any, where: str, x: Any, sample_weight: Any, class_weight: Any) -> Batches:
    if not is_batches(x):
        raise ValueError(
            f"{where}: expected y, the targets, got None; only an iterable of batches (x, y) comes without"
        )
    if sample_weight is not None:
        raise ValueError(f"{where}: expected no sample_weight beside batches; yield (x, y, sample_weight) instead")
    if class_weight is not None and not isinstance(class_weight, dict):
        raise ValueError(
            f"{where}: expected class_weight to be a dict with batches, got {class_weight!r}; the classes cannot be "
            "counted before"
        )
    classes = np.arange(max(2, model.output_shape[-1] if model.output_shape else 1))

    def prepare(place: str, x: Any, y: Any, weight: Any = None) -> Data:
        data = model._data(place, x, y)
        data = checked(model, place, data)
        if weight is not None:
            weight = as_weights(model.backend, place, weight, model._dtype, some=False)
            same_length(place, data.x, sample_weight=weight)
        if class_weight is not None:
            labels = class_labels(place, "class_weight", data.y)
            each = model.backend.asarray(class_weights(place, class_weight, labels, classes), model._dtype)
            weight = each if weight is None else each * weight
        return Data(data.x, data.y, weight)

    if class_weight is not None:
        class_weights(where, class_weight, classes, classes)
    return Batches(f"{where}: x", x, prepare)


def is_batches(x: Any) -> bool:
    """Return whether this is an iterable of batches, not an array or a nested list of numbers."""
    if isinstance(x, (list, tuple)):
        first = x[0] if x else None
        return isinstance(first, tuple) or (isinstance(first, list) and any(hasattr(part, "shape") for part in first))
    return isinstance(x, Iterable) and not hasattr(x, "shape") and not isinstance(x, (str, bytes, dict))


def validation_source(
    model: Any, source: Source, weighted: Source, given: Any, fraction: float
) -> tuple[Source, Source | None]:
    """Return what to train on, which is weighted, and what to validate with, which is not."""
    if given is not None and fraction:
        raise ValueError(f"fit: expected validation_data or validation_split, got both, {fraction!r}")
    if given is not None:
        where = "fit: validation_data"
        if isinstance(given, (tuple, list)) and len(given) in (2, 3) and not all(isinstance(g, tuple) for g in given):
            return weighted, make_source(model, where, *given)
        if not is_batches(given):
            raise TypeError(
                f"fit: expected validation_data to be (x, y) or (x, y, sample_weight), got {type(given).__name__}; "
                "or an iterable of such batches"
            )
        return weighted, make_source(model, where, given, None)
    if not fraction:
        return weighted, None
    if isinstance(source, Batches):
        raise ValueError(
            f"fit: expected no validation_split with an iterable of batches, got {fraction!r}; pass validation_data"
        )
    parts: Any = source, weighted
    labels = _strata(model._compiled.loss, parts[0].targets)
    kept, held = split("fit", fraction, len(parts[0]), labels, np.random.default_rng((model.seed, SPLIT)))
    return parts[1].take(kept), parts[0].take(held)


def _strata(loss: Loss, y: Any) -> np.ndarray | None:
    """Return the classes to cut alike, or None for targets that are numbers or many answers at once."""
    if isinstance(y, tuple):
        return None
    y = to_numpy(y)
    single = y.ndim == 1 or y.shape[1:] == (1,)
    if isinstance(loss, ClassLoss) or (loss.threshold is not None and single and np.array_equal(y, y.round())):
        return class_labels("fit", "validation_split", y)
    return None

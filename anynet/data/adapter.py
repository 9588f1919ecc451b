"""Conversion of users' data for one model.

Data may be arrays of any library, lists, data frames, arrays in memory-mapped files, or iterables of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.convert import to_numpy
from anynet.arrays.namespace import ArrayLike, namespace
from anynet.backends.base import Backend
from anynet.checks import errors_of, is_multi
from anynet.config import ModelConfig
from anynet.data.batch import Batch, eval_batch_size
from anynet.data.convert import as_inputs, as_targets, as_weights, check_batch_size, fits, same_length
from anynet.data.plan import SPLIT_STREAM
from anynet.data.sources import ArraySource, IterableSource, Source, StreamedSource, in_file, read_rows
from anynet.data.split import check_one_class, class_labels, class_weights, split_labels, stratified_split
from anynet.losses.base import Loss

Inputs = Any
"""An array of N examples, or a tuple of arrays for several inputs."""


class DataAdapter:
    """Convert and check the data that users pass to one model.

    Parameters
    ----------
    config : ModelConfig
    backend : Backend
        The backend that the data are moved to.
    output_shape : tuple
        Shape of the output for one example, or a tuple of shapes.
    """

    def __init__(self, config: ModelConfig, backend: Backend, output_shape: Any) -> None:
        self._config, self._backend, self._output_shape = config, backend, output_shape
        self._target_shape = output_shape if config.loss is None else config.loss.target_shape(output_shape)
        self._dtype = backend.dtype(config.dtype)
        self._ready: Any = None

    # -- batches ------------------------------------------------------------------------------------------------------

    @np.errstate(over="ignore")  # `check_finite` reports overflow more clearly than NumPy's warning
    def inputs(self, where: str, x: ArrayLike) -> Inputs:
        """Check the kind and shape of inputs, and return them on the backend."""
        config = self._config
        integers = config.layer.integer_input
        return as_inputs(self._backend, where, x, config.input_shape, self._dtype, integers=integers)

    def batch(self, where: str, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Batch:
        """Check a batch's kinds and shapes, not its values; return it on the backend.

        Every `Model.train_step` calls this. It therefore returns arrays immediately if their kinds and shapes are those of
        the last batch that needed no conversion.
        """
        kinds: Any = None
        if sample_weight is None:
            try:
                device_key, shape, target_shape = self._backend.device_key, x.shape, y.shape
                kinds = (type(x), x.dtype, shape[1:], device_key(x), type(y), y.dtype, target_shape[1:], device_key(y))
                if kinds == self._ready and shape[0] == target_shape[0] > 0:
                    return Batch(x, y)
            except AttributeError:  # of a list
                pass
        batch = self._convert(where, x, y, sample_weight)
        if kinds is not None and batch.x is x and batch.y is y:
            self._ready = kinds
        return batch

    @np.errstate(over="ignore")
    def _convert(self, where: str, x: Any, y: Any, sample_weight: Any) -> Batch:
        loss, shape = self._config.required_loss, self._output_shape
        inputs = self.inputs(where, x)
        targets = loss.targets(as_targets(self._backend, where, y, self._target_shape), shape, self._dtype)
        weight = as_weights(self._backend, where, sample_weight, self._dtype)
        same_length(where, inputs, y=targets, sample_weight=weight)
        return Batch(inputs, targets, weight)

    def check(self, where: str, batch: Batch) -> Batch:
        """Check the values of a batch, which waits for the device, and return the batch."""
        self._config.layer.check_input(where, batch.x)
        loss = self._config.required_loss
        loss.check_values(batch.y, self._output_shape)
        for metric in self._config.metrics:
            if metric.needs_classes:
                purpose, measured = f"the metric {metric.name!r}", metric.measured(loss, batch.y)
                check_are_classes(where, purpose, "metrics=['rmse', 'mae', 'r2']", *measured)
        return batch

    def input_batches(self, x: ArrayLike) -> Iterator[Inputs]:
        """Yield checked inputs for `Model.predict`, a bounded number of examples at a time."""
        where, config = "predict", self._config
        parts = _parts(x, config.input_shape)
        streamed = self._is_too_large(parts)
        if streamed:
            check_batch_size(where, parts)
        whole = Batch(parts if streamed else self.inputs(where, x), None)
        size = eval_batch_size(config, self._backend.max_eval_numbers, whole.x)
        for start in range(0, len(whole), size):
            if streamed:
                rows = slice(start, min(start + size, len(whole)))
                part = self.inputs(where, tree.map_arrays(lambda a: read_rows(a, rows), parts))  # noqa: B023
            else:
                part = whole.slice(start, start + size).x
            config.layer.check_input(where, part)
            yield part

    # -- sources ------------------------------------------------------------------------------------------------------

    def sources(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any,
        class_weight: Any,
        validation_data: Any,
        validation_split: float,
    ) -> tuple[Source, Source | None]:
        """Return the training source, with class weights applied, and the validation source, without them."""
        if validation_data is not None and validation_split:
            raise ValueError(f"fit: expected validation_data or validation_split, got both, {validation_split!r}")
        if class_weight is not None:
            check_one_class("fit", "class_weight", self._config.required_loss, self._target_shape)
        source = self.source("fit", x, y, sample_weight, class_weight)
        if validation_data is not None:
            return self._weighted(source, class_weight), self._validation(validation_data)
        if not validation_split:
            return self._weighted(source, class_weight), None
        if isinstance(source, IterableSource):
            raise ValueError(
                f"fit: expected no validation_split with an iterable of batches, got {validation_split!r}; "
                "pass validation_data"
            )
        labels = split_labels(self._config.required_loss, source.targets)
        rng = np.random.default_rng((self._config.seed, SPLIT_STREAM))
        kept, held_out = stratified_split("fit", validation_split, len(source), labels, rng)
        return self._weighted(source, class_weight).take(kept), source.take(held_out)

    def source(
        self, where: str, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> ArraySource | StreamedSource | IterableSource:
        """Return a source for arrays, or, if y is None, for an iterable of batches.

        `class_weight` is applied here only to an iterable."""
        if y is None:
            return self._iterable(where, x, sample_weight, class_weight)
        x, y = _parts(x, self._config.input_shape), _parts(y, self._target_shape)
        if self._is_too_large(x) or self._is_too_large(y):
            return self._streamed(where, x, y, sample_weight)
        return ArraySource(self._backend, self.check(where, self.batch(where, x, y, sample_weight)))

    def _weighted(self, source: Any, class_weight: Any) -> Any:
        """Return the source with the weight of each example multiplied by that of its class."""
        if class_weight is None or isinstance(source, IterableSource):
            return source
        return source.weighted(self._class_factors("fit", class_weight, source.targets))

    def _class_factors(self, where: str, class_weight: Any, y: Any, classes: np.ndarray | None = None) -> Any:
        """Return the weight of the class of each example, on the backend."""
        loss = self._config.required_loss
        check_are_classes(where, "class_weight", "sample_weight", loss, y)
        labels = class_labels(where, "class_weight", loss, y)
        return self._backend.asarray(class_weights(where, class_weight, labels, classes), self._dtype)

    def _validation(self, given: Any) -> Source:
        where = "fit: validation_data"
        if isinstance(given, (tuple, list)) and len(given) in (2, 3) and self._is_input(given[0]):
            with errors_of(where):
                return self.source(where, *given)
        if not is_batches(given):
            raise TypeError(
                f"fit: expected validation_data to be (x, y) or (x, y, sample_weight), got {type(given).__name__}; "
                "or an iterable of such batches"
            )
        return self.source(where, given, None)

    def _is_input(self, x: Any) -> bool:
        """Return whether x is an input of this model rather than a batch (a tuple or list that begins with an input)."""
        shape = self._config.input_shape
        if not is_multi(shape):
            return not (isinstance(x, tuple) or _is_list_of_arrays(x, shape))
        return isinstance(x, (tuple, list)) and not any(isinstance(part, tuple) for part in x)

    def _is_too_large(self, x: Any) -> bool:
        """Return whether any of the arrays is in a file or does not fit into the device's memory."""
        return any(in_file(a) or not fits(self._backend, a) for a in (x if isinstance(x, tuple) else (x,)))

    def _streamed(self, where: str, x: Any, y: Any, sample_weight: Any) -> StreamedSource:
        backend, weight = self._backend, None
        if sample_weight is not None:
            weight = to_numpy(as_weights(backend, where, sample_weight, self._dtype))
        x, y = (tree.map_arrays(_sliceable, part) for part in (x, y))
        check_batch_size(where, x)
        same_length(where, x, y=y, sample_weight=weight)

        def prepare(x: Any, y: Any, weight: np.ndarray | None) -> Batch:
            batch = self.check(where, self.batch(where, x, y))
            return batch if weight is None else Batch(batch.x, batch.y, backend.asarray(weight, self._dtype))

        first = [tree.map_arrays(lambda a: a[:1], part) for part in (x, y)]
        self.check(where, self.batch(where, *first))  # reports a wrong shape before training begins
        return StreamedSource(backend, (x, y, weight), prepare)

    def _iterable(self, where: str, x: Any, sample_weight: Any, class_weight: Any) -> IterableSource:
        if not is_batches(x):
            hint = "; wrap it in a torch.utils.data.DataLoader" if is_dataset(x) else ""
            raise ValueError(
                f"{where}: expected y, the targets, got None; only an iterable of batches (x, y) may be passed without y{hint}"
            )
        if sample_weight is not None:
            raise ValueError(
                f"{where}: expected no sample_weight with an iterable of batches; yield (x, y, sample_weight) instead"
            )
        if class_weight is not None and not isinstance(class_weight, dict):
            raise ValueError(
                f"{where}: expected class_weight to be a dict with an iterable of batches, got {class_weight!r}; "
                "the classes cannot be counted in advance"
            )
        classes = None
        if class_weight is not None and not is_multi(self._output_shape):
            classes = np.arange(max(2, self._output_shape[-1] if self._output_shape else 1))
            class_weights(where, class_weight, classes, classes)

        optional = next((metric.name for metric in self._config.metrics if metric.optional_weights), None)
        first: bool | None = None

        def prepare(where: str, x: Any, y: Any, weight: Any = None) -> Batch:
            nonlocal first
            batch = self.check(where, self.batch(where, x, y))
            if weight is not None:
                weight = as_weights(self._backend, where, weight, self._dtype, some_positive=False)
                same_length(where, batch.x, sample_weight=weight)
            if class_weight is not None:
                factor = self._class_factors(where, class_weight, batch.y, classes)
                weight = factor if weight is None else factor * weight
            if optional is not None:
                first = weight is not None if first is None else first
                _check_same_form(where, optional, first, weight is not None)
            # Copy the batch: metrics and callbacks keep it, while the iterable may refill its arrays.
            x, y = (tree.map_arrays(lambda a: self._backend.asarray(a, copy=True), part) for part in batch[:2])
            return Batch(x, y, weight)

        return IterableSource(f"{where}: x", x, prepare)


def _check_same_form(where: str, metric: str, first: bool, weighted: bool) -> None:
    """Raise ValueError if a batch has weights and the first one has none, or the reverse."""
    form = ("(x, y)", "(x, y, sample_weight)")
    if first != weighted:
        raise ValueError(
            f"{where}: expected {form[first]}, as before, for the metric {metric!r}, got {form[weighted]}; yield weights with "
            "every batch, for example ones, or with none"
        )


def check_are_classes(where: str, purpose: str, instead: str, loss: Loss, y: Any) -> None:
    """Raise ValueError if targets that are numbers would be used as classes."""
    if loss.has_classes or not hasattr(y, "shape"):
        return
    xp = namespace(y)
    if xp.isdtype(y.dtype, "real floating") and not bool(xp.all((y == 0) | (y == 1))):
        raise ValueError(
            f"{where}: expected y of classes, 0 and 1, for {purpose} with {type(loss).__name__}, got "
            f"other numbers; for a regression use {instead}, for classes SoftmaxCrossEntropy()"
        )


def is_batches(x: Any) -> bool:
    """Return whether x is an iterable of batches rather than an array or a nested list."""
    if isinstance(x, (list, tuple)):
        first = x[0] if x else None
        return isinstance(first, tuple) or (isinstance(first, list) and any(hasattr(part, "shape") for part in first))
    return isinstance(x, Iterable) and not hasattr(x, "shape") and not isinstance(x, (str, bytes, dict))


def is_dataset(x: Any) -> bool:
    """Return whether x is a data set of PyTorch, with examples by number."""
    return hasattr(x, "__getitem__") and not hasattr(x, "__iter__") and not hasattr(x, "shape")


def _parts(x: Any, shape: Any) -> Any:
    """Return several arrays as a tuple, and anything else unchanged."""
    return tuple(x) if is_multi(shape) and isinstance(x, (tuple, list)) else x


def _is_list_of_arrays(x: Any, shape: Any) -> bool:
    """Return whether x is a list of arrays of examples rather than a list of examples of a shape."""
    return isinstance(x, list) and len(x) > 0 and getattr(x[0], "ndim", 0) > len(shape)


def _sliceable(x: Any) -> Any:
    """Return an array unchanged, and a list or a data frame as a NumPy array."""
    return x if hasattr(x, "shape") and not hasattr(x, "iloc") else to_numpy(x)

"""The pure training step, and the loop that takes it over epochs and batches.

A step's way: the parameters, the optimiser's state and the key come in as one `carry`. Forward gives predictions and
caches; the loss gives a number and its derivative; backward turns that into gradients; the optimiser returns new
parameters; and all of it goes out as the next carry. Nothing else is read or changed, so a backend may compile the
step, give up the old carry's memory, or take many steps in one call.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.base import Backend
from anynet.callbacks.base import Callback, Run
from anynet.data import Data
from anynet.history import History
from anynet.layers.base import Layer
from anynet.losses.base import Loss
from anynet.metrics import LossMetric, Metric
from anynet.namespace import Array, namespace
from anynet.optimizers.base import Elementwise, Optimizer
from anynet.random import next_key
from anynet.regularizers import Regularizer

Carry = tuple[Any, Any, Array]
"""Parameters, optimiser state, key."""

SHUFFLE = 1
"""The stream of the seed that shuffles are drawn from; 0 is for initial weights."""


def cast(x: Any, dtype: Any, *, integers: Any) -> Any:
    """Return a batch in the model's dtype; indices stay as they are."""
    if isinstance(x, tuple):
        flags = integers if isinstance(integers, tuple) else (integers,) * len(x)
        return tuple(cast(a, dtype, integers=flag) for a, flag in zip(x, flags, strict=True))
    return x if integers or x.dtype == dtype else namespace(x).astype(x, dtype)


def cast_floats(values: tree.Tree, dtype: Any) -> tree.Tree:
    """Return a tree with its floating-point arrays in a dtype; as it is with None."""
    if dtype is None:
        return values
    return tree.map(lambda a: namespace(a).astype(a, dtype) if _is_float(a) else a, values)


def _is_float(x: Array) -> bool:
    return namespace(x).isdtype(x.dtype, "real floating")


def make_objective(
    layer: Layer, loss: Loss, dtype: Any, regularizer: Regularizer | None = None, compute_dtype: Any = None
) -> Callable[..., tuple[Array, Any, Any]]:
    """Return ``objective(params, x, y, weight, key, scale) -> loss, grads, (y_pred, cache)``: what training minimises.

    With a key as in training. With a `compute_dtype` the layers work in that, and the loss and all that goes in and out in
    the model's; the `scale` then keeps small derivatives from vanishing on their way.
    """
    integers = layer.integer_input

    def objective(
        params: Any, x: Array, y: Array, weight: Array | None = None, key: Array | None = None, scale: Any = None
    ) -> tuple[Array, Any, Any]:
        used = cast_floats(params, compute_dtype)
        y_pred, cache = layer.forward(used, cast(x, compute_dtype or dtype, integers=integers), key=key)
        y_pred = y_pred if compute_dtype is None else cast_floats(y_pred, dtype)
        value, loss_cache = loss.forward(y_pred, y, weight)
        dy = loss.backward(loss_cache)
        dy = dy if scale is None else tree.map(lambda a: a * scale, dy)
        _, grads = layer.backward(used, cache, cast_floats(dy, compute_dtype), need_dx=False)
        grads = grads if compute_dtype is None else cast_floats(grads, dtype)
        grads = grads if scale is None else tree.map(lambda a: a / scale, grads)
        if regularizer is not None:
            value = value + regularizer.value(layer.trainable(params))
            grads = regularizer.add_gradient(params, grads)
        return value, grads, (y_pred, cache)

    return objective


def make_step(
    objective: Callable[..., tuple[Array, Any, Any]],
    layer: Layer,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    elementwise: Elementwise,
) -> Callable[..., tuple[Carry, Any]]:
    """Return ``step(carry, x, y, weight) -> carry, (loss, total weight or None, sums of each metric)``."""

    def step(carry: Carry, x: Array, y: Array, weight: Array | None = None) -> tuple[Carry, Any]:
        params, state, key = carry
        scale = optimizer.loss_scale(state)
        value, (y_pred, cache), params, state = optimizer.step(
            lambda params: objective(params, x, y, weight, key, scale), params, state, elementwise
        )
        params = layer.update_buffers(params, cache)
        shares = loss.shares(value, y, weight)
        total = None if shares is None else namespace(shares).sum(shares)
        return (params, state, next_key(key) if layer.draws else key), (
            value,
            total,
            [metric.sums(y_pred, y, weight) for metric in metrics],
        )

    return step


def make_predict(layer: Layer, dtype: Any, compute_dtype: Any = None) -> Callable[..., Array]:
    """Return ``predict(params, x) -> y_pred``."""
    integers = layer.integer_input

    def predict(params: Any, x: Array) -> Array:
        used = cast_floats(params, compute_dtype)
        y_pred, _ = layer.forward(used, cast(x, compute_dtype or dtype, integers=integers))
        return y_pred if compute_dtype is None else cast_floats(y_pred, dtype)

    return predict


def make_evaluate(layer: Layer, metrics: Sequence[Metric], dtype: Any, compute_dtype: Any = None) -> Callable[..., Any]:
    """Return ``evaluate(params, x, y, weight) -> sums of each metric``."""
    predict = make_predict(layer, dtype, compute_dtype)

    def evaluate(params: Any, x: Array, y: Array, weight: Array | None = None) -> Any:
        y_pred = predict(params, x)
        return [metric.sums(y_pred, y, weight) for metric in metrics]

    return evaluate


def scored(loss: Loss | None, metrics: Sequence[Metric]) -> dict[str, Metric]:
    """Return what `evaluate` reports, by name: the loss, where there is one, and the metrics."""
    first: dict[str, Metric] = {} if loss is None else {"loss": LossMetric(loss)}
    return first | {metric.name: metric for metric in metrics}


def total(backend: Backend, sums: Sequence[Any], metric: Metric) -> Any:
    """Return a metric's value from its sums over batches, each 0-d, or 1-d where one call took many steps."""
    columns = [gather(backend, column) for column in zip(*sums, strict=True)]
    return metric.value(tuple(column.sum(dtype=np.float64) for column in columns))


def gather(backend: Backend, values: Sequence[Array]) -> np.ndarray:
    """Return numbers that steps left on the device as one host array, in one transfer."""
    if len(values) == 1:
        return backend.to_numpy(values[0]).reshape(-1)
    if isinstance(values[0], (np.ndarray, np.generic)):
        return np.asarray([np.asarray(v) for v in values]).reshape(-1)
    xp = backend.xp
    return backend.to_numpy(xp.concat([xp.reshape(xp.asarray(v), (-1,)) for v in values]))


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of the examples in an epoch: a pure function of seed and epoch, drawn on the host."""
    return np.random.default_rng((seed, SHUFFLE, epoch)).permutation(count)


def train(
    model: Any,
    data: Data,
    *,
    advance: Callable[..., list[Any]],
    score: Callable[[Data], dict[str, Any]],
    epochs: int,
    batch_size: int | None,
    shuffle: bool,
    validation: Data | None,
    callbacks: Sequence[Callback],
) -> History:
    """Take a model through `epochs` epochs with `advance`, its step over a range of examples, and `score`, its evaluation.

    Whenever a callback looks, the model is at a whole number of batches.
    """
    backend, count = model.backend, len(data)
    size = count if batch_size is None else min(batch_size, count)
    call = size * backend.steps_per_call
    backend.steps_ahead = epochs * -(-count // size)
    run = Run(model=model, epochs=epochs, batches=-(-count // size), history=History())
    names = [metric.name for metric in model.metrics]
    diverged = False

    def tell(hook: str) -> None:
        for callback in callbacks:
            getattr(callback, hook)(run)

    tell("on_fit_begin")
    try:
        for run.epoch in range(1, epochs + 1):
            run.batch, run.logs = 0, {}
            tell("on_epoch_begin")
            order = None
            if shuffle and size < count:
                order = backend.asarray(epoch_order(model.seed, model.epoch, count), model.index_dtype)
            outs: list[Any] = []
            for start in range(0, count, call):
                stop = min(start + call, count)
                with np.errstate(over="ignore", invalid="ignore"):  # said once, and clearly, by `_warn_if_diverged`
                    outs += advance(data, order, start, stop, size)
                run.batch, run.loss = -(-stop // size), outs[-1][0]
                tell("on_batch_end")
                if run.stop:
                    break
            model.epoch += 1
            losses, weights, sums = zip(*outs, strict=True)
            values = gather(backend, losses).astype(np.float64)
            share = _batch_sizes(size, count, len(values)) if weights[0] is None else gather(backend, weights)
            run.logs["loss"] = float(values @ share / max(share.sum(), np.finfo(np.float64).tiny))
            diverged = diverged or _warn_if_diverged(run)
            for i, name in enumerate(names):
                run.logs[name] = total(backend, [s[i] for s in sums], model.metrics[i])
            if validation is not None:
                run.logs |= {f"val_{name}": value for name, value in score(validation).items()}
            run.history.append(run.logs)
            tell("on_epoch_end")
            if run.stop:
                break
    finally:
        tell("on_fit_end")
    return run.history


def _warn_if_diverged(run: Run) -> bool:
    """Return whether the loss is not finite any more, and say what to do about it."""
    loss = run.logs["loss"]
    if math.isfinite(loss):
        return False
    warnings.warn(
        f"fit: expected a finite loss, got {loss} in epoch {run.epoch}; the parameters are of no use any more: make the "
        "model anew with a lower learning rate, or bring x to a size of about 1",
        RuntimeWarning,
        stacklevel=4,
    )
    return True


def _batch_sizes(size: int, count: int, batches: int) -> np.ndarray:
    """Return the number of examples in each of the first `batches` batches."""
    sizes = np.full(batches, float(size))
    if batches * size > count:
        sizes[-1] = count - (batches - 1) * size
    return sizes

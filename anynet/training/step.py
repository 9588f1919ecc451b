"""The pure functions of training: the objective, one step, predictions and the sums for evaluation.

The parameters, the optimizer state and the key enter a step as one `TrainState`. Forward returns predictions and caches;
the loss returns a number and its derivative; backward turns the derivative into gradients; the optimizer returns new
parameters; and all of it leaves as the next `TrainState`. A step reads and changes nothing else, so a backend may compile
it, reuse the memory of the old state, or take many steps in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.layers.base import Layer
from anynet.losses.base import Loss, check_derivative
from anynet.metrics import Metric
from anynet.optimizers import lr_factor
from anynet.optimizers.base import Elementwise, Optimizer
from anynet.random import next_key
from anynet.regularizers import Regularizer
from anynet.training.state import TrainState


def cast(x: Any, dtype: Any, *, integers: Any) -> Any:
    """Return a batch in the model's dtype; integer inputs keep theirs."""
    if isinstance(x, tuple):
        flags = integers if isinstance(integers, tuple) else (integers,) * len(x)
        return tuple(cast(a, dtype, integers=flag) for a, flag in zip(x, flags, strict=True))
    return x if integers or x.dtype == dtype else namespace(x).astype(x, dtype)


def cast_floats(values: tree.Tree, dtype: Any) -> tree.Tree:
    """Return a tree with its floating-point arrays in a dtype; unchanged for None."""
    if dtype is None:
        return values
    return tree.map(lambda a: namespace(a).astype(a, dtype) if _is_float(a) else a, values)


def _is_float(x: Array) -> bool:
    return namespace(x).isdtype(x.dtype, "real floating")


def make_objective(
    layer: Layer, loss: Loss, dtype: Any, regularizer: Regularizer | None = None, compute_dtype: Any = None
) -> Callable[..., tuple[Array, Any, Any]]:
    """Return ``objective(params, x, y, weight, key, scale) -> loss, grads, (y_pred, cache)``, which training minimizes.

    A key selects the behavior in training. With a `compute_dtype`, layers compute in that dtype; the loss, the inputs and the
    results have the model's. `scale` multiplies the derivative of the loss before backward, so that small values do not
    underflow, and divides the gradients after it. `denominators` are those of `Loss.forward`, for a part of a batch.
    """
    integers = layer.integer_input

    def objective(
        params: Any,
        x: Array,
        y: Array,
        weight: Array | None = None,
        key: Array | None = None,
        scale: Any = None,
        denominators: Any = None,
    ) -> tuple[Array, Any, Any]:
        used = cast_floats(params, compute_dtype)
        y_pred, cache = layer.forward(used, cast(x, compute_dtype or dtype, integers=integers), key=key)
        y_pred = y_pred if compute_dtype is None else cast_floats(y_pred, dtype)
        more = () if denominators is None else (denominators,)
        value, loss_cache = loss.forward(y, y_pred, weight, *more)
        dy = loss.backward(loss_cache)
        check_derivative(loss, dy, y_pred)
        dy = dy if scale is None else tree.map(lambda a: a * scale, dy)
        _, grads = layer.backward(used, cache, cast_floats(dy, compute_dtype), need_dx=False)
        grads = grads if compute_dtype is None else cast_floats(grads, dtype)
        grads = grads if scale is None else tree.map(lambda a: a / scale, grads)
        if regularizer is not None:
            examples = denominator(loss, value, y, weight)
            value = value + regularizer.value(layer.trainable(params), examples)
            grads = regularizer.add_gradient(params, grads, examples)
        return value, fitted(grads, params), (y_pred, cache)

    return objective


def fitted(grads: tree.Tree, params: tree.Tree) -> tree.Tree:
    """Return gradients in the dtypes of their parameters.

    Raises
    ------
    ValueError
        If the shape of a gradient is not that of its parameter.
    """
    pairs = tree.zip_leaves(grads, grads, params)
    if all(g.dtype == p.dtype and g.shape == p.shape for g, p in pairs):
        return grads
    for (path, _), (g, p) in zip(tree.leaves_with_paths(grads), pairs, strict=True):
        if g.shape != p.shape:
            raise ValueError(
                f"backward: expected a gradient of shape {tuple(p.shape)} for parameter {tree.name(path)}, got "
                f"{tuple(g.shape)}"
            )
    return tree.map(lambda g, p: namespace(p).astype(g, p.dtype), grads, params)


def denominator(loss: Loss, value: Array, y: Array, weight: Array | None) -> Array | float:
    """Return the number of examples of a batch, or the sum of their weights.

    It is infinite if that sum is zero, so that the penalty per example of such a batch is zero, like its loss.
    """
    shares = loss.effective_weights(value, y, weight)
    if shares is None:
        return float(tree.leaves(y)[0].shape[0])
    xp = namespace(shares)
    total = xp.sum(shares)
    return xp.where(total > 0.0, xp.maximum(total, float(xp.finfo(shares.dtype).smallest_normal)), total + math.inf)


def make_step(
    objective: Callable[..., tuple[Array, Any, Any]],
    layer: Layer,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    elementwise: Elementwise,
) -> Callable[..., tuple[TrainState, Any]]:
    """Return ``step(state, x, y, weight) -> state, (loss, total weight or None, sums of each metric)``."""

    def step(state: TrainState, x: Array, y: Array, weight: Array | None = None) -> tuple[TrainState, Any]:
        params, opt_state, key = state
        scale = optimizer.loss_scale(opt_state)
        value, (y_pred, cache), params, opt_state = lr_factor.step(
            optimizer, lambda params: objective(params, x, y, weight, key, scale), params, opt_state, elementwise
        )
        params = layer.update_buffers(params, cache)
        shares = loss.effective_weights(value, y, weight)
        total = None if shares is None else namespace(shares).sum(shares)
        sums = [metric.sums(y, y_pred, weight) for metric in metrics]
        return TrainState(params, opt_state, next_key(key) if layer.uses_key else key), (value, total, sums)

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
        return [metric.sums(y, y_pred, weight) for metric in metrics]

    return evaluate

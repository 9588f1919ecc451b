"""The two halves of a training step on several processes, and the vector between them.

A step on one process is one function. Here it is cut where the gradients are complete. Each process computes the loss and the
gradients of its portion of the batch, divided by the denominators of the whole batch. They are joined to one vector, which is
summed over the processes. The update then runs on every process, on equal numbers.

Losses, metrics and buffers are in the same vector::

    gradients | loss | buffers, times the portion's fraction of the batch | sums of the metrics | flags
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.distributed.turns import FLAGS
from anynet.layers.base import Layer
from anynet.metrics import Metric
from anynet.optimizers import lr_factor
from anynet.optimizers.base import Elementwise, Optimizer
from anynet.random import next_key
from anynet.regularizers import Regularizer
from anynet.training.compiled import Function
from anynet.training.state import TrainState


def buffers(layer: Layer, params: Any) -> Any:
    """Return the tree of the buffers that `layer` updates, without the other entries of `params`."""
    if not layer.has_buffers:
        return None
    children = dict(layer.children())
    if isinstance(params, (list, tuple)):
        return [buffers(children[key], part) for key, part in enumerate(params)]
    own = {name: params[name] for name in layer.buffers if _is_float(params[name])}
    return own | {key: buffers(child, params[key]) for key, child in children.items()}


def _is_float(x: Array) -> bool:
    return bool(namespace(x).isdtype(x.dtype, "real floating"))


def in_order(values: Any) -> Any:
    """Return a tree with its dicts sorted, as a compiled function may do."""
    if isinstance(values, dict):
        return {key: in_order(values[key]) for key in sorted(values)}
    return [in_order(part) for part in values] if isinstance(values, (list, tuple)) else values


class Layout:
    """The structure of the vector of a network.

    Attributes
    ----------
    trained, moved : tree
        Structures of the gradients and of the buffers.
    gradients, buffers : list of tuple
        Shapes of their arrays, in that order.
    loss : int
        Position of the loss, after the gradients.
    """

    def __init__(self, layer: Layer, params: Any) -> None:
        trained, moved = in_order(layer.trainable(params)), in_order(buffers(layer, params))
        self.gradients, self.buffers = ([tuple(a.shape) for a in tree.leaves(part)] for part in (trained, moved))
        self.trained, self.moved = (tree.map(lambda a: 0, part) for part in (trained, moved))
        self.loss = sum(map(math.prod, self.gradients))


def make_vector(
    objective: Function, layer: Layer, layout_of: Callable[[Any], Layout], metrics: Sequence[Metric], dtype: Any
) -> Function:
    """Return the function of a process's part.

    It is ``vector(params, key, scale, fraction, x, y, weight, denominators) -> vector, sums of metrics, kept examples``.
    """

    def vector(
        params: Any, key: Any, scale: Any, fraction: float, x: Any, y: Any, weight: Any, denominators: Any
    ) -> tuple[Array, list[Any], list[Any]]:
        value, grads, (y_pred, cache) = objective(params, x, y, weight, key, scale, denominators)
        layout, xp = layout_of(params), namespace(value)
        arrays = [*tree.leaves(grads, like=layout.trained), value]
        if layout.buffers:
            moved = layer.update_buffers(params, cache)
            arrays += [fraction * a for a in tree.leaves(moved, like=layout.moved)]
        sums: list[Any] = []
        kept: list[Any] = []
        for metric in metrics:
            (kept if metric.keeps_examples else sums).append(metric.sums(y, y_pred, weight))
        flat = [xp.reshape(a, (-1,)) for a in [*arrays, *tree.leaves(sums)]]
        flat = [a if a.dtype == dtype else xp.astype(a, dtype) for a in flat]
        return xp.concat([*flat, xp.zeros((FLAGS,), dtype=dtype, device=device(value))]), sums, kept

    return vector


def cut(vector: Array, start: int, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return views of consecutive elements of a vector in the given shapes."""
    reshape, views = namespace(vector).reshape, []
    for shape in shapes:
        stop = start + math.prod(shape)
        views.append(reshape(vector[start:stop], shape))
        start = stop
    return views


def make_update(
    layer: Layer,
    layout_of: Callable[[Any], Layout],
    optimizer: Optimizer,
    regularizer: Regularizer | None,
    elementwise: Elementwise,
) -> Function:
    """Return ``update(state, total_at, examples) -> state, (loss, vector)``.

    ``total_at(params)`` returns the sum of the vectors of all processes.
    """

    def update(
        state: TrainState, total_at: Callable[[Any], Array], examples: Array | float
    ) -> tuple[TrainState, tuple[Array, Array]]:
        params, opt_state, key = state
        layout = layout_of(params)

        def objective(params: Any) -> tuple[Array, Any, tuple[list[Array], Array]]:
            total, trained = total_at(params), layer.trainable(params)
            grads = tree.set_leaves(trained, iter(cut(total, 0, layout.gradients)), like=layout.trained)
            value = total[layout.loss] + 0.0  # a view would keep the whole vector
            moved = [a + 0.0 for a in cut(total, layout.loss + 1, layout.buffers)]
            if regularizer is not None:
                value = value + regularizer.value(trained, examples)
                grads = regularizer.add_gradient(params, grads, examples)
            return value, grads, (moved, total)

        value, (moved, total), params, opt_state = lr_factor.step(optimizer, objective, params, opt_state, elementwise)
        if moved:
            params = tree.set_leaves(params, iter(moved), like=layout.moved)
        return TrainState(params, opt_state, next_key(key) if layer.uses_key else key), (value, total)

    return update

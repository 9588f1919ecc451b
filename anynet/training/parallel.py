"""Training steps on several processes: the part of a process, the sum, and the update.

A step on one process is one function. Here it is cut where the gradients are complete. Each process computes the loss and the
gradients of its portion of the batch, divided by the denominators of the whole batch. They are joined to one vector, which is
summed over the processes. The update then runs on every process, on equal numbers.

Losses, metrics and buffers are in the same vector::

    gradients | loss | buffers, times the portion's fraction of the batch | sums of the metrics | flags
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.backends.base import Backend
from anynet.config import ModelConfig
from anynet.data.batch import Batch, Portion, share
from anynet.distributed.base import Communicator
from anynet.distributed.normalization import synchronized
from anynet.distributed.turns import FLAGS, Turns, total_of
from anynet.layers.base import Layer
from anynet.layers.hooks import Hook, with_hook
from anynet.metrics import Metric
from anynet.optimizers import lr_factor
from anynet.optimizers.base import Elementwise, Optimizer
from anynet.random import RowsKey, next_key
from anynet.regularizers import Regularizer
from anynet.training.compiled import Compiled, Function
from anynet.training.state import TrainState


class Part(NamedTuple):
    """The examples of a batch that one process takes, and numbers of the whole batch.

    Attributes
    ----------
    x, y, weight : arrays
        The examples of this process, possibly none.
    first, whole : int
        Number of examples before them, and number of examples in the batch.
    examples : float
        Sum of the effective weights of the batch.
    denominators : tuple of float
        Denominators of the loss.
    """

    x: Any
    y: Any
    weight: Array | None
    first: int
    whole: int
    examples: float
    denominators: tuple[float, ...]


class PartChunk(NamedTuple):
    """A chunk of one batch on several processes."""

    part: Part

    def batches(self) -> Iterator[Part]:
        """Return the part, which a step takes as its batch."""
        return iter((self.part,))


def make_part(portion: Portion, numbers: Sequence[float], dtype: str) -> Part:
    """Return the part of a process, given `Parallel.counts` of the whole batch."""
    assert portion.first is not None and portion.whole is not None
    tiny = float(np.finfo(dtype).smallest_normal)
    denominators = tuple(max(float(number), tiny) for number in numbers[1:])
    return Part(*portion.batch, portion.first, portion.whole, float(numbers[0]), denominators)


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


def make_vector(objective: Function, layer: Layer, metrics: Sequence[Metric], dtype: Any) -> Function:
    """Return the function of a process's part.

    It is ``vector(params, key, scale, fraction, x, y, weight, denominators) -> vector, sums of metrics, kept examples``.
    """

    def vector(
        params: Any, key: Any, scale: Any, fraction: float, x: Any, y: Any, weight: Any, denominators: Any
    ) -> tuple[Array, list[Any], list[Any]]:
        value, grads, (y_pred, cache) = objective(params, x, y, weight, key, scale, denominators)
        moved = tree.leaves(in_order(buffers(layer, layer.update_buffers(params, cache))))
        sums: list[Any] = []
        kept: list[Any] = []
        for metric in metrics:
            (kept if metric.keeps_examples else sums).append(metric.sums(y, y_pred, weight))
        xp = namespace(value)
        arrays = [*tree.leaves(grads, like=in_order(layer.trainable(params))), value, *(fraction * a for a in moved)]
        flat = [xp.reshape(a, (-1,)) for a in [*arrays, *tree.leaves(sums)]]
        flat = [a if a.dtype == dtype else xp.astype(a, dtype) for a in flat]
        return xp.concat([*flat, xp.zeros((FLAGS,), dtype=dtype, device=device(value))]), sums, kept

    return vector


def cut(vector: Array, start: int, like: Sequence[Any]) -> tuple[list[Array], int]:
    """Return views of a vector in the shapes of other arrays, and their end."""
    xp, views = namespace(vector), []
    for array in like:
        shape = array.shape
        stop = start + math.prod(shape)
        views.append(xp.reshape(vector[start:stop], shape))
        start = stop
    return views, start


def make_update(
    layer: Layer, optimizer: Optimizer, regularizer: Regularizer | None, elementwise: Elementwise
) -> Function:
    """Return ``update(state, total_at, examples) -> state, (loss, vector)``.

    ``total_at(params)`` returns the sum of the vectors of all processes.
    """

    def update(
        state: TrainState, total_at: Callable[[Any], Array], examples: Array | float
    ) -> tuple[TrainState, tuple[Array, Array]]:
        params, opt_state, key = state

        def objective(params: Any) -> tuple[Array, Any, tuple[list[Array], Array]]:
            total, trained = total_at(params), layer.trainable(params)
            like = in_order(trained)
            leaves, stop = cut(total, 0, tree.leaves(like))
            grads = tree.set_leaves(trained, iter(leaves), like=like)
            value = total[stop] + 0.0  # a view would keep the whole vector
            moved, _ = cut(total, stop + 1, tree.leaves(in_order(buffers(layer, params))))
            if regularizer is not None:
                value = value + regularizer.value(trained, examples)
                grads = regularizer.add_gradient(params, grads, examples)
            return value, grads, ([a + 0.0 for a in moved], total)

        value, (moved, total), params, opt_state = lr_factor.step(optimizer, objective, params, opt_state, elementwise)
        if moved:
            params = tree.set_leaves(params, iter(moved), like=in_order(buffers(layer, params)))
        return TrainState(params, opt_state, next_key(key) if layer.uses_key else key), (value, total)

    return update


class Parallel(Compiled):
    """The functions of training on several processes; those of inference are local.

    Parameters
    ----------
    config, backend
        As for `Compiled`.
    communicator : Communicator

    Raises
    ------
    ValueError
        If the backend compiles a step as a whole, and a layer draws random numbers or has batch statistics.
    """

    def __init__(self, config: ModelConfig, backend: Backend, communicator: Communicator) -> None:
        super().__init__(config, backend)
        self.communicator = communicator
        self._layer = synchronized(config.layer, total_of(communicator, backend))
        self.nested = self._layer is not config.layer
        """Whether layers compute sums over the processes."""
        self._like = backend.asarray(0.0, self._dtypes[0])
        if backend.is_traced and (self.nested or self._layer.uses_key):
            raise ValueError(
                f"distributed: expected layers without random numbers or batch statistics on {backend.name}, which compiles "
                "a step as a whole, got others; use backend='jax', device='all' instead"
            )

    def hooked(self, hook: Hook) -> Compiled:
        other = Parallel(self._config, self._backend, self.communicator)
        other._layer = with_hook(self._layer, hook)
        return other

    def plain_step(self, metrics: tuple[Metric, ...] = (), *, compile_objective: bool = False) -> Function:
        return self._step(self._make_turns(), metrics, lambda function, **options: function)

    @cached_property
    def step(self) -> Function:
        """One training step without metrics, of which each process is given the whole batch."""
        step, communicator = self._step(self._make_turns(), (), self._backend.compile), self.communicator

        def run(state: TrainState, *whole: Any) -> tuple[TrainState, Any]:
            batch = Batch(*whole)
            start, stop = share(0, len(batch), communicator.rank, communicator.size)
            portion = Portion(batch.slice(start, stop), start, len(batch))
            return step(state, *make_part(portion, self.counts(batch), self._config.dtype))

        return run

    @cached_property
    def turns(self) -> Turns:
        """The sums of `loop`."""
        return self._make_turns()

    @cached_property
    def loop(self) -> Function:
        """A training step with metrics on a `Part`."""
        step = self._step(self.turns, self._config.metrics, self._backend.compile)

        def run(state: TrainState, part: Part) -> tuple[TrainState, list[Any]]:
            state, out = step(state, *part)
            return state, [out]

        return run

    def counts(self, batch: Batch) -> list[float]:
        """Return the sum of a batch's effective weights and the denominators of the loss."""
        loss = self._config.required_loss
        weights = loss.effective_weights(self._like, batch.y, batch.weight)
        examples = len(batch) if weights is None else namespace(weights).sum(weights)
        return [float(examples), *map(float, loss.denominators(self._like, batch.y, batch.weight))]

    def _make_turns(self) -> Turns:
        return Turns(self.communicator, self._backend, self._config.dtype, nested=self.nested)

    def _step(self, turns: Turns, metrics: tuple[Metric, ...], compile: Callable[..., Function]) -> Function:
        """Return a step on a `Part`, in two compiled halves."""
        config, layer, optimizer = self._config, self._layer, self._config.required_optimizer
        vector = compile(make_vector(self._objective(layer, None), layer, metrics, self._dtypes[0]))
        update = make_update(layer, optimizer, config.regularizer, self._backend.elementwise)
        if not self._decides_on_host:
            update = _compiled_update(update, compile)
        place = partial(self._backend.asarray, dtype=self._dtypes[0])

        def step(state: TrainState, *part: Any) -> tuple[TrainState, Any]:
            x, y, weight, first, whole, examples, denominators = part
            own = len(Batch(x, y))
            key = RowsKey(state.key, first, own, whole) if layer.uses_key else state.key
            scale = optimizer.loss_scale(state.opt_state)
            local: list[Any] = []

            def make(params: Any) -> Array:
                found = vector(params, key, scale, own / whole, x, y, weight, denominators)
                local[:] = local or found
                return found[0]

            def total_at(params: Any) -> Array:
                return turns.arrays(partial(make, params))

            state, (value, total) = update(state, total_at, place(examples or math.inf))
            return state, (value, examples, self._metric_sums(metrics, total, *local[1:]))

        return step

    def _metric_sums(self, metrics: Sequence[Metric], total: Array, sums: list[Any], kept: list[Any]) -> list[Any]:
        """Return the sums of each metric over the processes, and the kept examples of all."""
        like = tree.leaves(sums)
        stop = total.shape[0] - FLAGS
        start = stop - sum(math.prod(a.shape) for a in like)
        whole, _ = (
            cut(total[start:stop] + 0.0, 0, like) if like else ([], 0)
        )  # a copy: a view would keep the whole vector
        added = iter(tree.set_leaves(sums, iter(whole), like=sums))
        rows: Iterator[Any] = iter(())
        if kept:
            columns = zip(*self.communicator.gather(tree.map(self._backend.to_numpy, kept)), strict=True)
            rows = iter([tuple(map(_joined, zip(*parts, strict=True))) for parts in columns])
        return [next(rows if metric.keeps_examples else added) for metric in metrics]


def _compiled_update(update: Function, compile: Callable[..., Function]) -> Function:
    """Return an update whose vector is summed before the compiled half begins."""

    def of_total(state: TrainState, total: Array, examples: Array) -> tuple[TrainState, Array]:
        state, (value, _) = update(state, lambda params: total, examples)
        return state, value

    run = compile(of_total, donate=(0,))

    def compiled(
        state: TrainState, total_at: Callable[[Any], Array], examples: Array
    ) -> tuple[TrainState, tuple[Array, Array]]:
        total = total_at(state.params)
        state, value = run(state, total, examples)
        return state, (value, total)

    return compiled


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.atleast_1d(part) for part in parts])

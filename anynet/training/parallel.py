"""Training steps on several processes; their two halves are in `anynet.training.halves`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.backends.base import Backend
from anynet.config import ModelConfig
from anynet.data.batch import Batch, Portion, share
from anynet.distributed.base import Communicator
from anynet.distributed.normalization import synchronized
from anynet.distributed.turns import FLAGS, Turns, total_of
from anynet.layers.hooks import Hook, with_hook
from anynet.metrics import Metric
from anynet.random import RowsKey
from anynet.training.compiled import Compiled, Function
from anynet.training.halves import Layout, cut, make_update, make_vector
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
        self._layout: Layout | None = None
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

    def _layout_of(self, params: Any) -> Layout:
        if self._layout is None:
            self._layout = Layout(self._layer, params)
        return self._layout

    def _make_turns(self) -> Turns:
        return Turns(self.communicator, self._backend, self._config.dtype, nested=self.nested)

    def _step(self, turns: Turns, metrics: tuple[Metric, ...], compile: Callable[..., Function]) -> Function:
        """Return a step on a `Part`, in two compiled halves."""
        config, layer, optimizer = self._config, self._layer, self._config.required_optimizer
        layout_of = self._layout_of
        vector = compile(make_vector(self._objective(layer, None), layer, layout_of, metrics, self._dtypes[0]))
        update = make_update(layer, layout_of, optimizer, config.regularizer, self._backend.elementwise)
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
        shapes = [tuple(a.shape) for a in tree.leaves(sums)]
        stop = total.shape[0] - FLAGS
        start = stop - sum(map(math.prod, shapes))
        whole = cut(total[start:stop] + 0.0, 0, shapes) if shapes else []  # a copy, as of the loss
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

"""The pure functions of one model, compiled by its backend, each on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from anynet.backends.base import Backend
from anynet.config import ModelConfig
from anynet.data.batch import Batch
from anynet.layers.base import Layer
from anynet.layers.hooks import Hook, with_hook
from anynet.metrics import Metric
from anynet.regularizers import Regularizer
from anynet.training import step as pure
from anynet.training.state import TrainState, place_state

Function = Callable[..., Any]


class Compiled:
    """The functions of `anynet.training.step` for one configuration, compiled by one backend."""

    def __init__(self, config: ModelConfig, backend: Backend) -> None:
        self._config, self._backend = config, backend
        half = config.compute_dtype
        self._dtypes = backend.dtype(config.dtype), None if half is None else backend.half(half)

    def with_metrics(self, metrics: Sequence[Metric]) -> Compiled:
        """Return the functions of evaluation with additional metrics; itself if there are none."""
        if not metrics:
            return self
        return Compiled(replace(self._config, metrics=(*self._config.metrics, *metrics)), self._backend)

    @property
    def reported(self) -> dict[str, Metric]:
        """The metrics of evaluation by name, starting with the loss."""
        return self._config.reported

    def _objective(self, layer: Layer, regularizer: Regularizer | None) -> Function:
        dtype, compute_dtype = self._dtypes
        objective = pure.make_objective(layer, self._config.required_loss, dtype, regularizer, compute_dtype)
        return self._backend.over_devices(objective)

    def hooked(self, hook: Hook) -> Compiled:
        """Return the functions of a network whose layers pass their calls to a hook."""
        return Compiled(replace(self._config, layer=with_hook(self._config.layer, hook)), self._backend)

    def repeat_steps(self, hook: Hook, state: TrainState, batches: Iterable[Any]) -> Iterator[TrainState]:
        """Repeat training steps from a state, uncompiled, so that the hook may read values."""
        step = self.hooked(hook).plain_step()
        state = place_state(state, self._backend)
        for batch in batches:
            state, _ = step(state, *batch)
            yield state

    def plain_step(self, metrics: tuple[Metric, ...] = (), *, compile_objective: bool = False) -> Function:
        """Return a training step that is not compiled, except for its objective if requested."""
        config, objective = self._config, self._objective(self._config.layer, self._config.regularizer)
        if compile_objective:
            objective = self._backend.compile(objective)
        elementwise = self._backend.elementwise
        return pure.make_step(
            objective, config.layer, config.required_loss, config.required_optimizer, metrics, elementwise
        )

    def count_examples(self, batch: Batch) -> float:
        """Return the sum of the effective weights of a batch."""
        zero = self._backend.asarray(0.0, self._dtypes[0])
        weights = self._config.required_loss.effective_weights(zero, batch.y, batch.weight)
        return float(len(batch)) if weights is None else float(self._backend.xp.sum(weights))

    @property
    def _decides_on_host(self) -> bool:
        """Whether the optimizer reads the loss on the host, so that only the objective can be compiled."""
        return self._config.required_optimizer.full_batch

    @cached_property
    def step(self) -> Function:
        """One training step without metrics."""
        if self._decides_on_host:
            return self.plain_step(compile_objective=True)
        return self._backend.compile_step(self.plain_step())

    @cached_property
    def loop(self) -> Function:
        """Training steps with metrics over a range of examples."""
        step = self.plain_step(self._config.metrics, compile_objective=self._decides_on_host)
        return self._backend.loop(step, compiled=not self._decides_on_host)

    @cached_property
    def gradients(self) -> Function:
        """The loss and its gradients without the randomness of training."""
        objective = self._objective(self._config.layer, self._config.regularizer)
        return self._backend.compile(lambda params, *batch: objective(params, *batch)[:2])

    @cached_property
    def predict(self) -> Function:
        """Predictions."""
        return self._backend.compile(pure.make_predict(self._config.layer, *self._dtypes))

    @cached_property
    def evaluate(self) -> Function:
        """Sums of the loss and the metrics."""
        metrics = list(self.reported.values())
        return self._backend.compile(pure.make_evaluate(self._config.layer, metrics, *self._dtypes))

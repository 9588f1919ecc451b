"""The pure functions of one model as its backend runs them, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from anynet.backends.base import Backend
from anynet.layers import Layer
from anynet.losses.base import Loss
from anynet.metrics import Metric
from anynet.optimizers.base import Optimizer
from anynet.regularizers import Regularizer
from anynet.training import step as training

Function = Callable[..., Any]


class Compiled:
    """`training`'s functions, made for all that a model was given, and compiled by its backend."""

    def __init__(
        self,
        layer: Layer,
        loss: Loss | None,
        optimizer: Optimizer | None,
        regularizer: Regularizer | None,
        metrics: tuple[Metric, ...],
        backend: Backend,
        dtype: Any,
        compute_dtype: Any,
    ) -> None:
        self.layer, self._loss, self._optimizer, self._regularizer = layer, loss, optimizer, regularizer
        self._metrics, self._backend, self._dtypes = metrics, backend, (dtype, compute_dtype)

    @property
    def loss(self) -> Loss:
        """The loss; ValueError if there is none."""
        if self._loss is None:
            raise ValueError("Model: expected a loss, got none; pass loss=..., for example SoftmaxCrossEntropy()")
        return self._loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; ValueError if there is none."""
        if self._optimizer is None:
            raise ValueError("Model: expected an optimizer, got none; pass optimizer=..., for example Adam()")
        return self._optimizer

    def objective(self, layer: Layer) -> Function:
        """Return what training minimises, for the network or an equal one."""
        dtype, compute_dtype = self._dtypes
        return training.make_objective(layer, self.loss, dtype, self._regularizer, compute_dtype)

    def make_step(self, layer: Layer, metrics: tuple[Metric, ...] = (), *, compiled: bool = False) -> Function:
        """Return a step that is not compiled; with a `compiled` objective for optimisers that decide on the host."""
        objective = self.objective(layer)
        objective = self._backend.compile(objective) if compiled else objective
        return training.make_step(objective, layer, self.loss, self.optimizer, metrics, self._backend.elementwise)

    @cached_property
    def step(self) -> Function:
        """One step without metrics."""
        if self.optimizer.full_batch:
            return self.make_step(self.layer, compiled=True)
        return self._backend.compile(self.make_step(self.layer), donate=(0,))

    @cached_property
    def loop(self) -> Function:
        """Steps with metrics over a range of examples."""
        whole = not self.optimizer.full_batch
        return self._backend.loop(self.make_step(self.layer, self._metrics, compiled=not whole), compiled=whole)

    @cached_property
    def gradients(self) -> Function:
        """The loss and its gradients, without the noise of training."""
        objective = self.objective(self.layer)
        return self._backend.compile(lambda params, *data: objective(params, *data)[:2])

    @cached_property
    def predict(self) -> Function:
        """Predictions."""
        return self._backend.compile(training.make_predict(self.layer, *self._dtypes))

    @cached_property
    def evaluate(self) -> Function:
        """The sums of the loss and the metrics."""
        metrics = list(training.scored(self._loss, self._metrics).values())
        return self._backend.compile(training.make_evaluate(self.layer, metrics, *self._dtypes))

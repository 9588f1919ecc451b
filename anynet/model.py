"""The one mutable object: a network with its parameters, optimizer state, backend and randomness.

>>> import numpy as np
>>> from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy, load_digits
>>> (x, y), test = load_digits()
>>> model = Model([Dense(32), ReLU(), Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=Adam(0.01),
...               metrics=["accuracy"])
>>> history = model.fit(x / 16, y, epochs=10)
>>> round(history["accuracy"][-1], 1)
1.0
>>> model.predict(test[0] / 16).shape
(382, 10)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anynet import backends, tree
from anynet.arrays.namespace import Array, ArrayLike, Arrays
from anynet.backends.base import Backend
from anynet.callbacks import Callback, ProgressBar
from anynet.callbacks.base import Run
from anynet.callbacks.progress import should_show
from anynet.checkpoint import snapshot
from anynet.checks import check_path, is_multi
from anynet.config import ModelConfig, warn_if_output_mismatches_loss
from anynet.data.batch import Chunk
from anynet.data.convert import copy_if_shared
from anynet.data.plan import Order, make_plan
from anynet.data.sources import Source
from anynet.distributed import Communicator
from anynet.history import History
from anynet.layers import Layer
from anynet.losses.base import Loss
from anynet.names.constructors import explained
from anynet.network import Portable
from anynet.optimizers.base import Optimizer
from anynet.regularizers import Regularizer
from anynet.training.evaluation import evaluate_source
from anynet.training.loop import check_callbacks, make_run, train
from anynet.training.processes import Alone, place_of


class Model(Portable):
    """A trainable network.

    Parameters
    ----------
    layers : list of Layer, or Layer
        A list becomes a `Sequential`.
    input_shape : int or tuple of int, or a tuple of such tuples
        Shape of one example, without the batch axis. For a network that starts with `Parallel` or `Shared` and takes several
        arrays, a tuple of their shapes, such as ``((28, 28, 1), (5,))``. None for the size of an axis of positions allows
        batches of different lengths; layers that need the size refuse it.
    loss : Loss or its name, such as "mse", optional
        Loss that `fit` minimizes and `evaluate` reports.
    optimizer : Optimizer or its name, such as "adam", optional
        Update rule of training.
    regularizer : Regularizer, optional
        Penalty on the parameters, added to the loss and the gradients.
    metrics : sequence of Metric, Loss, their names, such as "accuracy", or functions
        Quantities that `fit` and `evaluate` report in addition to the loss.
    backend : str or Backend
        ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"`` or ``"strict"``, optionally with a device, as in ``"torch:cuda"``.
    device : str, optional
        The device, if it is not part of the backend's name.
    dtype : "float32" or "float64"
        Data type of parameters and activations.
    compute_dtype : "float16" or "bfloat16", optional
        Data type of the forward and backward passes, for mixed precision on backends that support it. Parameters, loss and
        gradients remain in `dtype`. With float16, wrap the optimizer in `LossScale`.
    distributed : "mpi", "nccl", "torch" or Communicator, optional
        Processes that train together by `fit` and `train_step`, see `anynet.distributed`. Other methods use one process.
    seed : int, in [0, inf)
        Seed of initial weights, shuffles and dropout masks, which are the same on every backend.

    Attributes
    ----------
    config : ModelConfig
        The arguments above that do not depend on the machine. It cannot be changed; its fields are also attributes of the
        model.
    backend : Backend
    distributed : Communicator or None
    output_shape : tuple
        Shape of the output for one example.
    epoch : int
        Number of epochs completed; the shuffle of an epoch depends on it.
    history : History
        Values recorded by the last `fit`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range, or a layer does not accept the shape of its input.
    ImportError, RuntimeError
        If the backend's library or device is not available.
    """

    def __init__(
        self,
        layers: Sequence[Layer] | Layer,
        *,
        input_shape: int | Sequence[Any],
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        regularizer: Regularizer | None = None,
        metrics: Any = (),
        backend: str | Backend = "numpy",
        device: str | None = None,
        dtype: str = "float32",
        compute_dtype: str | None = None,
        seed: int = 0,
        distributed: str | Communicator | None = None,
    ) -> None:
        config = ModelConfig(layers, input_shape, loss, optimizer, regularizer, metrics, dtype, compute_dtype, seed)  # type: ignore[arg-type]
        warn_if_output_mismatches_loss(config.layer, config.loss)
        self._initialize(config, *place_of(backend, device, distributed))

    # -- training -----------------------------------------------------------------------------------------------------

    @explained
    def fit(
        self,
        x: ArrayLike | Iterable[Any],
        y: ArrayLike | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool | Order = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
        resume: str | Path | None = None,
    ) -> History:
        """Train and return the recorded values; calling `fit` again continues training.

        Parameters
        ----------
        x : array of any library, or nested list, of shape ``(N, *input_shape)``; or an iterable of batches
            Arrays are cast to the model's dtype before training, with two exceptions: uint8 arrays are cast batch by batch
            (`Rescale` scales them), and indices remain integers. An array that is in a memory-mapped file, or too large for
            the device, is copied batch by batch in the background. An iterable yields ``(x, y)`` or
            ``(x, y, sample_weight)``; it is iterated once per epoch in the calling thread, and its batches are copied, so it
            may refill the same arrays.
        y : array or list
            Integer classes (N,) or one-hot rows (N, C) for classification losses; otherwise, numbers in the shape of the
            output. A tuple for a network with several outputs; None for an iterable of batches.
        epochs : int, in [1, inf)
            Number of passes over the data.
        batch_size : int, in [1, inf), or None
            Examples per step; the last batch may be smaller. None uses all examples in every step. Batches of an
            iterable keep their size.
        shuffle : bool, or a function
            Whether to draw a new order of the examples in every epoch, or a function ``shuffle(epoch, count)`` that returns
            the order. An iterable is never reordered.
        sample_weight : array (N,), in [0, inf), optional
            Weights of the examples; losses and metrics become weighted means.
        class_weight : dict from class to weight, or "balanced", optional
            Factor by which the weights of all examples of a class are multiplied.
        validation_data : (x, y), (x, y, sample_weight) or an iterable of batches, optional
            Data to evaluate after each epoch.
        validation_split : float, in [0, 1)
            Fraction of the data to hold out, as an alternative to `validation_data`, drawn at random from each class.
        callbacks : sequence of Callback
            Callbacks to run during training.
        progress : bool, optional
            Whether to print one line per epoch and, in a terminal or a notebook, a progress bar; by default, in a notebook, or
            if stdout and stderr are terminals.
        resume : path, optional
            File written by `Checkpoint`. The model, history and callbacks are restored, and training continues from the batch
            at which the file was written, with results identical to those of an uninterrupted run. All other arguments must
            be the same as in the run that wrote the file, except that `epochs` may be larger.

        Returns
        -------
        History
            ``history["loss"]``, ``history["val_loss"]`` etc., one value per epoch; also `Model.history`.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, raised before anything is changed; an invalid batch of an iterable raises when it is
            reached.

        Notes
        -----
        Ctrl-C finishes the current batch and returns; pressing it again aborts immediately.
        """
        processes = self._processes
        with self._on_device:
            with processes.together():
                callbacks = check_callbacks(callbacks)
                plan = make_plan(self.config, epochs, batch_size, shuffle, validation_split)
                source, validation = self._data.sources(
                    x,
                    y,
                    sample_weight=sample_weight,
                    class_weight=class_weight,
                    validation_data=validation_data,
                    validation_split=validation_split,
                )
                config = self.config.in_steps(source.batches(plan.batch_size))
                if any(callback.saves for callback in callbacks):
                    snapshot.describe(config)  # raises if the model cannot be saved
                compiled = self._compiled if config is self.config else processes.compiled(config, self.backend)
                if processes.rank == 0 and should_show(progress):
                    callbacks = [*callbacks, ProgressBar()]
                run = make_run(self, source, validation, plan, callbacks, compiled, writes=processes.rank == 0)
                run.repeat_steps = lambda *steps: self._compiled.repeat_steps(*steps)  # a callback may freeze layers
                run.validating(compiled)  # raises if two metrics have the same name
                evaluate = partial(self._evaluate, processes, choose=run.validating)
            source = processes.source(source, lambda: self._compiled, run)
            if resume is not None:
                self._resume(run, check_path("fit", "resume", resume), config)
            self._configure(config, compiled)
            self.history, self._run = run.history, weakref.ref(run)
            try:
                train(run, source, validation, plan, self._advance, evaluate, self._after_epoch)
            finally:
                self._run = None
            return run.history

    def _after_epoch(self, run: Run) -> None:
        self._processes.end_epoch(run, self._owner)

    def _advance(self, chunk: Chunk) -> list[Any]:
        return self._owner.update(self._compiled.loop, *chunk)

    @explained
    def train_step(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Array:
        """Take one step on one batch, and return the loss before the step, a 0-d array.

        Shapes are checked, but values are not. See `fit` for x and y.
        """
        with self._on_device:
            x, y, weight = self._data.batch("train_step", x, y, sample_weight)
            return self._owner.update(self._compiled.step, x, y, weight)[0]

    @explained
    def gradients(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> tuple[Array, Any]:
        """Return the loss (a 0-d array) and ∂L/∂params, without applying dropout or updating the parameters."""
        with self._on_device, self._owner.read() as state:
            batch = self._data.check("gradients", self._data.batch("gradients", x, y, sample_weight))
            return self._compiled.gradients(state.params, *batch)

    # -- inference ----------------------------------------------------------------------------------------------------

    @explained
    def predict(self, x: ArrayLike) -> Arrays:
        """Return the output for each example.

        The output is the same kind of array as x, on the same device, or a NumPy array if x is a list. For a loss on logits it
        is logits; `predict_proba` returns probabilities.
        """
        return self._predict(x, lambda y: y)

    def __call__(self, x: ArrayLike) -> Arrays:
        """Return `predict` of x."""
        return self.predict(x)

    @explained
    def predict_proba(self, x: ArrayLike) -> Any:
        """Return the probability of each class (N, C), as the loss defines it.

        A single output of two classes gives two columns, for classes 0 and 1; several independent labels give one column each.
        For `Losses`, a tuple with None for outputs without classes.

        Raises
        ------
        ValueError
            If the loss is not one of classes, or its outputs are not probabilities, as for `Hinge`.

        Examples
        --------
        >>> from anynet import Dense, Model, SoftmaxCrossEntropy
        >>> model = Model([Dense(2, weight=[[1.0, 3.0]])], input_shape=1, loss=SoftmaxCrossEntropy())
        >>> model.predict([[1.0]]).round(2), model.predict_proba([[1.0]]).round(2), model.predict_classes([[1.0]])
        (array([[1., 3.]], dtype=float32), array([[0.12, 0.88]], dtype=float32), array([1]))
        """
        return self._predict(x, self.config.required_loss.probabilities)

    @explained
    def predict_classes(self, x: ArrayLike) -> Any:
        """Return the predicted classes (N,) as integers; 0 or 1 for each of several independent labels (N, O).

        See `predict_proba` for `Losses` and errors.
        """
        return self._predict(x, self.config.required_loss.classes)

    def _predict(self, x: ArrayLike, convert: Callable[[Arrays], Any]) -> Any:
        """Return converted outputs, as arrays of the library of x."""
        with self._on_device, self._owner.read() as state:
            predict, params = self._compiled.predict, state.params
            parts = [copy_if_shared(self.backend, predict(params, part), part) for part in self._data.input_batches(x)]
            y = parts[0] if len(parts) == 1 else tree.map(lambda *a: self.backend.xp.concat(a, axis=0), *parts)
            y = convert(y)
            target = backends.of(tree.leaves(x)[0] if is_multi(self.input_shape) else x)
            return y if target.name == self.backend.name else tree.map(target.asarray, y)

    @explained
    def evaluate(
        self, x: ArrayLike | Iterable[Any], y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Return a dict of the loss and metrics over arrays or an iterable of batches."""
        with self._on_device:
            return self._evaluate(Alone(), self._data.source("evaluate", x, y, sample_weight))

    def _evaluate(self, processes: Alone, source: Source, choose: Any = lambda compiled: compiled) -> dict[str, Any]:
        with self._owner.read() as (params, *_):
            return evaluate_source(self.config, self.backend, choose(self._compiled), params, source, processes)

"""The one object that changes: a network with its parameters, optimiser state, backend and randomness.

>>> import numpy as np
>>> from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy, load_digits
>>> (x, y), test = load_digits()
>>> model = Model([Dense(32), ReLU(), Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=Adam(0.01),
...               metrics=["accuracy"])
>>> history = model.fit(x / 16, y, epochs=10)
>>> history["accuracy"][-1] > 0.97
True
>>> model.predict(test[0] / 16).shape
(382, 10)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anynet import backends, random, training, tree
from anynet.backends.base import Backend
from anynet.callbacks import Callback, ProgressBar
from anynet.callbacks.progress import wanted
from anynet.data import (
    Data,
    as_inputs,
    as_targets,
    as_weights,
    check_sizes,
    class_labels,
    class_weights,
    same_length,
    split,
)
from anynet.history import History
from anynet.layers import Layer, Sequential
from anynet.losses.base import Loss
from anynet.metrics import resolve
from anynet.namespace import Array
from anynet.optimizers.base import Optimizer
from anynet.pairing import warn_of_mismatch
from anynet.regularizers import Regularizer
from anynet.summary import summary
from anynet.validation import check_int, check_kind, check_number, check_shapes, several

PREDICT_ROWS = 2048
"""Examples that `predict` and `evaluate` take at a time, so that activations stay in the cache and memory is bounded."""


class Model:
    """A network that can be trained.

    Parameters
    ----------
    layers : list of Layer, or Layer
        A list is a `Sequential`.
    input_shape : int or tuple of int, or a tuple of such tuples
        Shape of one example, without the batch axis. A network that begins with `Parallel` or `Shared` may take several
        arrays: their shapes, such as ``((28, 28, 1), (5,))``.
    loss : Loss, optional
        What `fit`, `evaluate` and `gradients` minimise or report.
    optimizer : Optimizer, optional
        How `fit` and `train_step` change the parameters.
    regularizer : Regularizer, optional
        A penalty on the parameters, part of the loss and of the gradients.
    metrics : sequence of "accuracy", Metric or Loss
        What `fit` and `evaluate` report besides the loss.
    backend : str or Backend
        ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"`` or ``"strict"``, with a device after a colon if wished.
    device : str, optional
        The device, if it is not in the backend's name.
    dtype : "float32" or "float64"
        Type of parameters and activations.
    compute_dtype : "float16" or "bfloat16", optional
        Mixed precision: what forward and backward compute in, where the backend has it; parameters, loss and gradients
        stay in `dtype`. For float16 wrap the optimizer in `LossScale`.
    seed : int >= 0
        One seed, one result: initial weights, shuffles and dropout masks, on every backend.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or a layer cannot take the shape that reaches it.
    ImportError, RuntimeError
        If the backend's library or device is not there; the message says what to do.

    Notes
    -----
    `params` may be read at any time: training never changes an array that was handed out.
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
    ) -> None:
        self.layer = layers if isinstance(layers, Layer) else Sequential(layers)
        self.input_shape = check_shapes("Model", "input_shape", input_shape)
        if loss is not None:
            check_kind("Model", "loss", loss, Loss, "SoftmaxCrossEntropy()")
            warn_of_mismatch(self.layer, loss)
        if optimizer is not None:
            check_kind("Model", "optimizer", optimizer, Optimizer, "Adam()")
        if regularizer is not None:
            check_kind("Model", "regularizer", regularizer, Regularizer, "L2(1e-4)")
        self.loss, self.optimizer, self.metrics = loss, optimizer, resolve(metrics, loss)
        self.regularizer = regularizer
        self.seed = check_int("Model", "seed", seed, at_least=0)
        self.backend = backends.get(backend, device)
        self.dtype, self.compute_dtype = dtype, compute_dtype
        self._dtype = self.backend.dtype(dtype)
        self._compute_dtype = None if compute_dtype is None else self.backend.half(compute_dtype)
        self.epoch = 0
        """Number of epochs done; the shuffle of each is drawn for it."""

        params, self.output_shape = self.layer.init(np.random.default_rng((self.seed, 0)), self.input_shape)
        if loss is not None:
            loss.check_outputs(self.output_shape)
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._fitting: set[Any] = set()
        self._lent = False
        self._restore(params, None, random.make_key(self.seed))

    def _restore(self, params: Any, state: Any, key: Any) -> None:
        """Take copies of host arrays as parameters, optimiser state (None: the first) and key."""
        place = self.backend.asarray
        params = tree.map(lambda a: place(a, self._dtype, copy=True), params)
        if state is None:
            state = self.backend.compile(self.optimizer.init)(self.layer.trainable(params)) if self.optimizer else {}
        else:
            state = tree.map(lambda a: place(a, copy=True), state)
        self._carry: training.Carry = (params, state, place(key, copy=True))

    # -- parameters ---------------------------------------------------------------------------------------------------

    @property
    def params(self) -> Any:
        """The parameters, for a list of layers a list with one dict for each, ``{}`` where a layer has none.

        What is read here stays as it is; training goes on with copies. Assign a tree of the same shapes, of arrays of any
        library, to set them.
        """
        self._lent = True
        return self._carry[0]

    @params.setter
    def params(self, new: Any) -> None:
        old, state, key = self._carry
        self._carry = (_placed_like(old, new, self.backend, self._dtype), state, key)
        self._lent = False

    def _own(self) -> None:
        """Make sure that nobody else holds the arrays that the next step changes or gives up."""
        if self._lent:
            params, state, key = self._carry
            self._carry = (tree.map(lambda a: self.backend.asarray(a, copy=True), params), state, key)
            self._lent = False

    # -- compiled functions, made when they are first needed ----------------------------------------------------------

    def _function(self, name: str) -> Callable[..., Any]:
        if name not in self._compiled:
            layer, backend, dtypes = self.layer, self.backend, (self._dtype, self._compute_dtype)
            if name == "predict":
                made = backend.compile(training.make_predict(layer, *dtypes))
            elif name == "evaluate":
                scored = training.scored(self.loss, self.metrics)
                made = backend.compile(training.make_evaluate(layer, list(scored.values()), *dtypes))
            else:
                loss = self._need_loss()
                objective = training.make_objective(layer, loss, self._dtype, self.regularizer, self._compute_dtype)
                if name == "gradients":
                    made = backend.compile(lambda params, *data: objective(params, *data)[:2])
                else:
                    made = self._training(name, objective)
            self._compiled[name] = made
        return self._compiled[name]

    def _training(self, name: str, objective: Callable[..., Any]) -> Callable[..., Any]:
        """Return the compiled loop over batches, or one step; or, where the optimiser decides on the host, around what is."""
        backend, optimizer, metrics = self.backend, self._need_optimizer(), self.metrics if name == "loop" else ()
        whole = not optimizer.full_batch
        step = training.make_step(
            objective if whole else backend.compile(objective),
            self.layer,
            self._need_loss(),
            optimizer,
            metrics,
            backend.elementwise,
        )
        if name == "loop":
            return backend.loop(step, compiled=whole)
        return backend.compile(step, donate=(0,)) if whole else step

    def _need_loss(self) -> Loss:
        if self.loss is None:
            raise ValueError("Model: expected a loss, got none; pass loss=..., for example SoftmaxCrossEntropy()")
        return self.loss

    def _need_optimizer(self) -> Optimizer:
        if self.optimizer is None:
            raise ValueError("Model: expected an optimizer, got none; pass optimizer=..., for example Adam()")
        return self.optimizer

    # -- data ---------------------------------------------------------------------------------------------------------

    @property
    def index_dtype(self) -> Any:
        """The backend's dtype for indices."""
        return self.backend.xp.__array_namespace_info__().default_dtypes()["indexing"]

    @np.errstate(over="ignore")  # `check_finite` says more than a warning of NumPy's
    def _inputs(self, where: str, x: Any) -> Any:
        return as_inputs(self.backend, where, x, self.input_shape, self._dtype, integers=self.layer.integer_input)

    @np.errstate(over="ignore")
    def _data(self, where: str, x: Any, y: Any, sample_weight: Any = None) -> Data:
        """Return checked shapes and kinds on the backend; `_check` looks at the values too.

        Arrays of a kind and shape that were once found to need nothing done go straight through: this is on the way of
        every `train_step`.
        """
        kind = None
        if sample_weight is None and hasattr(x, "dtype") and hasattr(y, "dtype"):
            place = self.backend.place
            kind = (type(x), x.dtype, x.shape[1:], place(x), type(y), y.dtype, y.shape[1:], place(y))
            if kind in self._fitting and x.shape[0] == y.shape[0] > 0:
                return Data(x, y)
        loss = self._need_loss()
        inputs = self._inputs(where, x)
        targets = loss.targets(as_targets(self.backend, where, y, self.output_shape), self.output_shape, self._dtype)
        weight = as_weights(self.backend, where, sample_weight, self._dtype)
        same_length(where, inputs, y=targets, sample_weight=weight)
        if inputs is x and targets is y:
            self._fitting.add(kind)
        return Data(inputs, targets, weight)

    def _check(self, where: str, data: Data) -> Data:
        self.layer.check_input(where, data.x)
        self._need_loss().check_values(data.y, self.output_shape)
        return data

    # -- training -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
    ) -> History:
        """Train on arrays, and return what was recorded. A model that is trained already goes on from where it is.

        Parameters
        ----------
        x : array of any library, or nested list, of shape ``(N, *input_shape)``
            uint8 stays so until its batch is cast; everything else is cast to the model's dtype at once.
        y : array or list
            Integer classes (N,) or one-hot rows (N, C) for losses of classes, else numbers of the output's shape. A tuple of
            such for a network with several outputs.
        epochs : int >= 1
            How many times to go through the data.
        batch_size : int >= 1, or None
            Examples in a step: 1 is stochastic gradient descent, None the whole batch. The last may be smaller.
        shuffle : bool
            Whether each epoch takes the examples in another order.
        sample_weight : array (N,), optional
            Weight of each example, at least 0: losses and metrics become weighted means.
        class_weight : dict from class to weight, or "balanced", optional
            Multiplies the weight of each example by that of its class.
        validation_data : (x, y) or (x, y, sample_weight), optional
            What to evaluate after each epoch.
        validation_split : float in [0, 1)
            Or the part of the data to hold out for that, drawn at random, from each class alike.
        callbacks : sequence of Callback
            Who is told.
        progress : bool, optional
            Whether to print a line for each epoch and, at a terminal, a bar; by default if both outputs are one.

        Returns
        -------
        History
            ``history["loss"]``, ``history["val_loss"]`` and so on: a value for each epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, before anything is changed.
        """
        where = "fit"
        check_sizes(where, epochs, batch_size)
        if self._need_optimizer().full_batch and batch_size is not None:
            raise ValueError(
                f"fit: expected batch_size=None for {type(self.optimizer).__name__}, whose steps need the loss of all "
                f"examples, got {batch_size!r}"
            )
        if y is None:
            raise ValueError("fit: expected y, the targets, got None")
        check_number(where, "validation_split", validation_split, low=0.0, high=1.0, open_high=True)
        if not isinstance(callbacks, Sequence):
            raise TypeError(f"fit: expected callbacks to be a list, got {callbacks!r}; write [...] around it")
        for callback in callbacks:
            check_kind(where, "every callback", callback, Callback, "ProgressBar()")
        if validation_data is not None and validation_split:
            raise ValueError(f"fit: expected validation_data or validation_split, got both, {validation_split!r}")
        data = self._check(where, self._data(where, x, y, sample_weight))
        weighted, validation = data, None  # a class's weight shapes training; validation measures as `evaluate` does
        if class_weight is not None:
            labels = class_labels(where, "class_weight", data.y, self.backend)
            weight = self.backend.asarray(class_weights(where, class_weight, labels), self._dtype)
            weighted = Data(data.x, data.y, weight if data.weight is None else weight * data.weight)
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise TypeError(
                    "fit: expected validation_data to be (x, y) or (x, y, sample_weight), got "
                    f"{type(validation_data).__name__}"
                )
            validation = self._check("fit: validation_data", self._data("fit: validation_data", *validation_data))
        elif validation_split:
            kept, held = self._split(data, validation_split)
            weighted, validation = weighted.take(kept), data.take(held)
        everyone = [*callbacks, ProgressBar()] if wanted(progress) else list(callbacks)
        return training.train(
            self,
            weighted,
            advance=self._advance,
            score=self._score,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            validation=validation,
            callbacks=everyone,
        )

    def _split(self, data: Data, fraction: float) -> list[Array]:
        """Return the indices of the examples to train on and of those to hold out."""
        classes = not isinstance(data.y, tuple) and (
            self.backend.xp.isdtype(data.y.dtype, "integral") or self._need_loss().threshold is not None
        )
        labels = class_labels("fit", "validation_split", data.y, self.backend) if classes else None
        parts = split("fit", fraction, len(data), labels, np.random.default_rng((self.seed, 2)))
        return [self.backend.asarray(part, self.index_dtype) for part in parts]

    def _advance(self, data: Data, order: Array | None, start: int, stop: int, size: int) -> list[Any]:
        self._own()
        self._carry, outs = self._function("loop")(self._carry, data, order, start, stop, size)
        return outs

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> Array:
        """Take one step of the optimiser on one batch, and return its loss before the step, a 0-d array.

        Checks shapes, not values: see `fit` for what x and y may be.
        """
        data = self._data("train_step", x, y, sample_weight)
        step = self._function("step")
        self._own()
        self._carry, (loss, *_) = step(self._carry, *data)
        return loss

    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Array, Any]:
        """Return the loss, a 0-d array, and ∂L/∂params, in the shape of `params`; no dropout, nothing is changed."""
        data = self._check("gradients", self._data("gradients", x, y, sample_weight))
        return self._function("gradients")(self._carry[0], *data)

    # -- using --------------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> Any:
        """Return the output for each example, as the same kind of array as x and on the same device; NumPy for lists."""
        inputs = self._inputs("predict", x)
        self.layer.check_input("predict", inputs)
        predict, params = self._function("predict"), self._carry[0]
        data = Data(inputs, None)
        parts = [predict(params, data.rows(i, i + PREDICT_ROWS).x) for i in range(0, len(data), PREDICT_ROWS)]
        y = parts[0] if len(parts) == 1 else tree.map(lambda *a: self.backend.xp.concat(a, axis=0), *parts)
        target = backends.of(tree.leaves(x)[0] if several(self.input_shape) else x)
        return y if target.name == self.backend.name else tree.map(target.asarray, y)

    def evaluate(self, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the loss and the metrics over the data, by name, as Python numbers."""
        return self._score(self._check("evaluate", self._data("evaluate", x, y, sample_weight)))

    def _score(self, data: Data) -> dict[str, Any]:
        evaluate, params = self._function("evaluate"), self._carry[0]
        sums = []
        for start in range(0, len(data), PREDICT_ROWS):
            sums.append(evaluate(params, *data.rows(start, start + PREDICT_ROWS)))
        scored = training.scored(self.loss, self.metrics)
        values = {
            name: training.total(self.backend, [s[i] for s in sums], metric)
            for i, (name, metric) in enumerate(scored.items())
        }
        if self.regularizer is not None:
            values["loss"] += float(self.regularizer.value(self.layer.trainable(params)))
        return values

    def summary(self) -> str:
        """Return a table of the layers with their output shapes and numbers of parameters."""
        return summary(self)

    # -- moving and keeping -------------------------------------------------------------------------------------------

    def to(self, backend: str | Backend, device: str | None = None) -> Model:
        """Return the same model, with parameters, optimiser state and randomness as they are, on another backend."""
        model = Model(self.layer, backend=backends.get(backend, device), **self._settings())
        model.epoch = self.epoch
        model._restore(*(tree.map(self.backend.to_numpy, part) for part in self._carry))
        return model

    def averaged(self) -> Model:
        """Return the model with the weights that an averaging optimiser keeps, such as `EMA` or `SWA`; else an equal one."""
        model = self.to(self.backend)
        params, state, _ = model._carry
        model.params = self._need_optimizer().averaged(params, state)
        return model

    def _settings(self) -> dict[str, Any]:
        return {
            "input_shape": self.input_shape,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "regularizer": self.regularizer,
            "metrics": self.metrics,
            "dtype": self.dtype,
            "compute_dtype": self.compute_dtype,
            "seed": self.seed,
        }

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file: architecture, parameters, optimiser state and randomness; no pickle.

        The file is written beside `path` and moved there when it is whole, so an earlier one is never lost.
        `anynet.load` reads it back, on any backend.
        """
        from anynet.checkpoint import save

        save(self, path)

    def __repr__(self) -> str:
        return f"Model({self.layer!r}, input_shape={self.input_shape}, backend={self.backend.name!r}, dtype={self.dtype!r})"


def _placed_like(old: Any, new: Any, backend: Backend, dtype: Any) -> Any:
    """Return `new` on the backend, or raise ValueError unless it has the places and shapes of `old`."""
    expected, given = dict(tree.places(old)), dict(tree.places(new))
    if expected.keys() != given.keys():
        odd = sorted(map(tree.name, expected.keys() ^ given.keys()))
        raise ValueError(
            f"params: expected {len(expected)} arrays as in Model.params, got {len(given)}; they differ in "
            + ", ".join(odd[:5])
        )
    placed = {}
    for path, array in given.items():
        placed[path] = backend.asarray(array, dtype, copy=True)
        if tuple(placed[path].shape) != tuple(expected[path].shape):
            raise ValueError(
                f"params: expected {tree.name(path)} of shape {tuple(expected[path].shape)}, "
                f"got {tuple(placed[path].shape)}"
            )
    return tree.replace(old, iter([placed[path] for path, _ in tree.places(old)]), like=old)

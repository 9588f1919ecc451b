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

import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anynet import backends, random, tree
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.callbacks import Callback, ProgressBar
from anynet.callbacks.base import Run
from anynet.callbacks.progress import should_show
from anynet.checks import check_int, check_kind, check_number, check_shapes, several
from anynet.data import adapter as fitting
from anynet.data.convert import Data, as_inputs, as_targets, as_weights, same_length
from anynet.data.sources import Call, Order, Source
from anynet.history import History
from anynet.layers import Layer, Sequential
from anynet.layers.summary import summary
from anynet.losses.base import Loss
from anynet.metrics import resolve
from anynet.optimizers import lr_factor
from anynet.optimizers.base import Optimizer
from anynet.pairing import warn_of_mismatch
from anynet.regularizers import Regularizer
from anynet.training import step as training
from anynet.training.compiled import Compiled
from anynet.training.freezing import parameters, set_frozen
from anynet.training.loop import check_callbacks, make_run, train
from anynet.training.running_metrics import Totals

SETTINGS = ("input_shape", "loss", "optimizer", "regularizer", "metrics", "dtype", "compute_dtype", "seed")
"""What, besides the layers, makes a model; each is an argument and an attribute."""

PREDICT_ROWS = 2048
"""Examples that `predict` and `evaluate` take at a time, fewer if they are large: memory stays bounded."""
PREDICT_NUMBERS = 2**24
"""Numbers in as many examples, at most."""


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
        self.history = History()
        """What the last `fit` recorded."""

        params, self.output_shape = self.layer.init(np.random.default_rng((self.seed, 0)), self.input_shape)
        if loss is not None:
            loss.check_outputs(self.output_shape)
        if optimizer is not None:
            optimizer.check_parameters(list(parameters(self.layer, params)))
        self._fitting: Any = None
        self._compile()
        self._lent = False
        self._run: weakref.ref[Run] | None = None
        self._restore(params, None, random.make_key(self.seed))

    def _compile(self) -> None:
        self._compiled = Compiled(
            self.layer,
            self.loss,
            self.optimizer,
            self.regularizer,
            self.metrics,
            self.backend,
            self._dtype,
            self._compute_dtype,
        )

    def _restore(self, params: Any, state: Any, key: Any) -> None:
        """Take copies of host arrays as parameters, optimiser state (None: the first) and key."""
        place = self.backend.asarray
        params = tree.map(lambda a: place(a, self._dtype, copy=True), params)
        if state is None:
            state = self.backend.compile(self.optimizer.init)(self.layer.trainable(params)) if self.optimizer else {}
            # or JAX takes arrays that it may move for another kind than those it may not, and compiles again
            state = tree.map(lambda a: place(a, copy=True), state)
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

    @property
    def learning_rate_factor(self) -> float:
        """What the optimiser's learning rate is multiplied by: 1 until it is set, by `ReduceLROnPlateau` say."""
        state = self._carry[1]
        return float(state[lr_factor.KEY]) if lr_factor.KEY in state else 1.0

    @learning_rate_factor.setter
    def learning_rate_factor(self, value: float) -> None:
        check_number("Model", "learning_rate_factor", value, "[0, inf)")
        lr_factor.check("Model", self._compiled.optimizer)
        params, state, key = self._carry
        placed = self.backend.asarray(np.full((), value, dtype=self.dtype), copy=True)
        self._carry = (params, {**state, lr_factor.KEY: placed}, key)

    # -- data ---------------------------------------------------------------------------------------------------------

    @property
    def index_dtype(self) -> Any:
        """The backend's dtype for indices."""
        return self.backend.xp.__array_namespace_info__().default_dtypes()["indexing"]

    @np.errstate(over="ignore")  # `check_finite` says more than a warning of NumPy's
    def _inputs(self, where: str, x: Any) -> Any:
        return as_inputs(self.backend, where, x, self.input_shape, self._dtype, integers=self.layer.integer_input)

    def _data(self, where: str, x: Any, y: Any, sample_weight: Any = None) -> Data:
        """Return checked shapes and kinds on the backend; `fitting.checked` looks at the values too.

        Arrays of the kind and shape that last needed nothing done go straight through: this is on the way of every
        `train_step`.
        """
        kind: Any = None
        if sample_weight is None and hasattr(x, "dtype") and hasattr(y, "dtype"):
            place = self.backend.place
            kind = (type(x), x.dtype, x.shape[1:], place(x), type(y), y.dtype, y.shape[1:], place(y))
            if kind == self._fitting and x.shape[0] == y.shape[0] > 0:
                return Data(x, y)
        data = self._placed(where, x, y, sample_weight)
        if kind is not None and data.x is x and data.y is y:
            self._fitting = kind
        return data

    @np.errstate(over="ignore")  # `check_finite` says more than a warning of NumPy's
    def _placed(self, where: str, x: Any, y: Any, sample_weight: Any) -> Data:
        loss = self._compiled.loss
        inputs = self._inputs(where, x)
        targets = loss.targets(as_targets(self.backend, where, y, self.output_shape), self.output_shape, self._dtype)
        weight = as_weights(self.backend, where, sample_weight, self._dtype)
        same_length(where, inputs, y=targets, sample_weight=weight)
        return Data(inputs, targets, weight)

    # -- training -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool | Order = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
        resume: str | Path | None = None,
    ) -> History:
        """Train, and return what was recorded. A model that is trained already goes on from where it is.

        Parameters
        ----------
        x : array of any library, or nested list, of shape ``(N, *input_shape)``; or an iterable of batches
            uint8 stays so until its batch is cast (`Rescale` scales it); everything else is cast to the model's dtype. An
            array in a memory-mapped file, or one too large for the device, is copied batch by batch, each in the
            background while the one before is used. An iterable yields ``(x, y)`` or ``(x, y, sample_weight)``, and
            is gone through once for each epoch.
        y : array or list
            Integer classes (N,) or one-hot rows (N, C) for losses of classes, else numbers of the output's shape. A tuple of
            such for a network with several outputs. None for an iterable of batches.
        epochs : int >= 1
            How many times to go through the data.
        batch_size : int >= 1, or None
            Examples in a step: 1 is stochastic gradient descent, None the whole batch. The last may be smaller.
            Batches of an iterable are taken as they come.
        shuffle : bool, or a function
            Whether each epoch takes the examples in another order; or ``shuffle(epoch, count)``, which returns it. An iterable
            has its own order.
        sample_weight : array (N,), optional
            Weight of each example, at least 0: losses and metrics become weighted means.
        class_weight : dict from class to weight, or "balanced", optional
            Multiplies the weight of each example by that of its class.
        validation_data : (x, y), (x, y, sample_weight) or an iterable of batches, optional
            What to evaluate after each epoch.
        validation_split : float in [0, 1)
            Or the part of the data to hold out for that, drawn at random, from each class alike.
        callbacks : sequence of Callback
            Who is told.
        progress : bool, optional
            Whether to print a line for each epoch and, at a terminal, a bar; by default if both outputs are one.
        resume : path, optional
            A file that `Checkpoint` wrote: the model, the history and the callbacks become what they were then, and
            training goes on from the batch where it was, as though nothing had happened. All other arguments must be those
            of the run that wrote it; `epochs` may be more.

        Returns
        -------
        History
            ``history["loss"]``, ``history["val_loss"]`` and so on: a value for each epoch. Also in `Model.history`.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, before anything is changed; if a batch of an iterable does not, when it comes.

        Notes
        -----
        Ctrl-C ends training after the present batch, and `fit` returns; a second one breaks off at once.
        """
        everyone = check_callbacks(callbacks)
        source, validation, plan = fitting.prepare(
            self, x, y, epochs, batch_size, shuffle, sample_weight, class_weight, validation_data, validation_split
        )
        run = make_run(
            self, source, validation, plan, [*everyone, ProgressBar()] if should_show(progress) else everyone
        )
        if resume is not None:
            from anynet.checkpoint.snapshot import resume_run

            resume_run(run, Path(resume))
        self.history = run.history
        train(run, source, validation, plan, self._advance, self._score)
        return run.history

    def _advance(self, call: Call) -> list[Any]:
        loop = self._compiled.loop
        self._own()
        self._carry, outs = loop(self._carry, *call)
        return outs

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> Array:
        """Take one step of the optimiser on one batch, and return its loss before the step, a 0-d array.

        Checks shapes, not values: see `fit` for what x and y may be.
        """
        x, y, weight = self._data("train_step", x, y, sample_weight)
        step = self._compiled.step
        self._own()
        self._carry, out = step(self._carry, x, y, weight)
        return out[0]

    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Array, Any]:
        """Return the loss, a 0-d array, and ∂L/∂params, in the shape of `params`; no dropout, nothing is changed."""
        data = fitting.checked(self, "gradients", self._data("gradients", x, y, sample_weight))
        return self._compiled.gradients(self._carry[0], *data)

    # -- using --------------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> Any:
        """Return the output for each example, as the same kind of array as x and on the same device; NumPy for lists."""
        predict, params = self._compiled.predict, self._carry[0]
        parts = [predict(params, piece) for piece in fitting.input_pieces(self, x, self._rows)]
        y = parts[0] if len(parts) == 1 else tree.map(lambda *a: self.backend.xp.concat(a, axis=0), *parts)
        target = backends.of(tree.leaves(x)[0] if several(self.input_shape) else x)
        return y if target.name == self.backend.name else tree.map(target.asarray, y)

    def evaluate(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """Return the loss and the metrics over arrays or an iterable of batches, by name, as Python numbers."""
        return self._score(fitting.make_source(self, "evaluate", x, y, sample_weight))

    @property
    def _rows(self) -> int:
        shapes = self.input_shape if several(self.input_shape) else (self.input_shape,)
        return max(1, min(PREDICT_ROWS, PREDICT_NUMBERS // max(1, sum(map(math.prod, shapes)))))

    def _score(self, source: Source) -> dict[str, Any]:
        evaluate, params = self._compiled.evaluate, self._carry[0]
        totals, examples = Totals(self.backend, training.scored(self.loss, self.metrics)), 0.0
        for data in source.pieces(self._rows):
            totals.add(evaluate(params, *data))
            if self.regularizer is not None:
                examples += len(data) if data.weight is None else float(self.backend.xp.sum(data.weight))
        values = totals.values()
        if self.regularizer is not None:
            values["loss"] += float(self.regularizer.value(self.layer.trainable(params), examples))
        return values

    def freeze(self, *layers: int) -> None:
        """Keep layers as they are from now on: each, named by its number in the list, becomes `Frozen`.

        The optimiser goes on with what it knows of the others.
        """
        set_frozen(self, layers, True)

    def unfreeze(self, *layers: int) -> None:
        """Train frozen layers again, all without an argument; the optimiser begins with them anew."""
        set_frozen(self, layers or range(len(tuple(self.layer.children()))), False)

    def summary(self) -> str:
        """Return a table of the layers with their output shapes and numbers of parameters."""
        table = summary(self.layer, self.input_shape, self._carry[0])
        return f"{table} as {self.dtype} on {self.backend.name}"

    # -- moving and keeping -------------------------------------------------------------------------------------------

    def to(self, backend: str | Backend, device: str | None = None) -> Model:
        """Return the same model, with parameters, optimiser state and randomness as they are, on another backend."""
        model = Model(
            self.layer, backend=backends.get(backend, device), **{name: getattr(self, name) for name in SETTINGS}
        )
        model.epoch, model.history = self.epoch, History(self.history)
        model._restore(*(tree.map(self.backend.to_numpy, part) for part in self._carry))
        return model

    def averaged(self) -> Model:
        """Return the model with the weights that an averaging optimiser keeps, such as `EMA` or `SWA`; else an equal one."""
        model = self.to(self.backend)
        params, state, _ = model._carry
        model.params = self._compiled.optimizer.averaged(params, state)
        return model

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file: architecture, parameters, optimiser state, randomness and history.

        During a `fit`, from a callback, also where it is, for ``fit(..., resume=path)``. There is no pickle in it. The file
        takes the place of an earlier one only when it is whole and on the disk. `anynet.load` reads it, on any backend.
        """
        from anynet.checkpoint.snapshot import save

        save(self, Path(path))

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps, with arrays of the host: what has been compiled, and a fit in progress, stay behind."""
        carry = tuple(tree.map(lambda a: np.array(self.backend.to_numpy(a)), part) for part in self._carry)
        settings = {name: getattr(self, name) for name in SETTINGS}
        own = {"layer": self.layer, "backend": self.backend, "epoch": self.epoch, "history": self.history}
        return {**own, "settings": settings, "carry": carry}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["layer"], backend=state["backend"], **state["settings"])  # type: ignore[misc]
        self._restore(*state["carry"])
        self.epoch, self.history = state["epoch"], state["history"]

    def __repr__(self) -> str:
        return f"Model({self.layer!r}, input_shape={self.input_shape}, backend={self.backend.name!r}, dtype={self.dtype!r})"


def _placed_like(old: Any, new: Any, backend: Backend, dtype: Any) -> Any:
    """Return `new` on the backend, or raise ValueError unless it has the places and shapes of `old`."""
    expected, given = dict(tree.leaves_with_paths(old)), dict(tree.leaves_with_paths(new))
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
    return tree.set_leaves(old, iter([placed[path] for path, _ in tree.leaves_with_paths(old)]), like=old)

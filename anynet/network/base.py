"""A network with its state on a backend, without data."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anynet import tree
from anynet.arrays.placeholder import PlaceholderGenerator
from anynet.backends.base import Backend
from anynet.checkpoint import snapshot
from anynet.checks import check_number
from anynet.config import ModelConfig, Setting
from anynet.data.adapter import DataAdapter
from anynet.distributed import Communicator
from anynet.history import History
from anynet.layers import Layer
from anynet.layers.summary import Summary, summary
from anynet.losses.base import Loss
from anynet.metrics import Metric
from anynet.names.constructors import Constructed, explained
from anynet.names.text import advice
from anynet.optimizers import lr_factor
from anynet.optimizers.base import Optimizer
from anynet.regularizers import Regularizer
from anynet.training.compiled import Compiled
from anynet.training.freezing import parameters, set_frozen
from anynet.training.processes import Alone, Team, place_of
from anynet.training.state import (
    StateOwner,
    TrainState,
    fit_state,
    initial_state,
    place_like,
    place_state,
    placeholder_state,
)

if TYPE_CHECKING:
    from anynet.callbacks.base import Run


class Network(metaclass=Constructed):
    """The part of `Model` that holds its settings and its state, without data."""

    layer = Setting[Layer]("The network as one layer, a `Sequential` if it was given as a list")
    input_shape = Setting[Any]("Shape of one example")
    loss = Setting[Loss | None]("Loss that `fit` minimizes")
    optimizer = Setting[Optimizer | None]("Update rule of `fit` and `train_step`")
    regularizer = Setting[Regularizer | None]("Penalty on the parameters")
    metrics = Setting[tuple[Metric, ...]]("Metrics that `fit` and `evaluate` report")
    dtype = Setting[str]("Data type of the parameters")
    compute_dtype = Setting[str | None]("Data type of the forward and backward passes, or None for `dtype`")
    seed = Setting[int]("Seed of initial weights, shuffles and dropout masks")

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        backend: str | Backend = "numpy",
        device: str | None = None,
        distributed: str | Communicator | None = None,
    ) -> Self:
        """Return a model with the given settings and its initial parameters.

        Examples
        --------
        >>> from dataclasses import replace
        >>> from anynet import SGD, Adam, Dense, Model
        >>> model = Model([Dense(1)], input_shape=3, optimizer=Adam())
        >>> other = Model.from_config(replace(model.config, optimizer=SGD(0.1)))
        >>> other.params = model.params
        """
        model = cls.__new__(cls)
        model._initialize(config, *place_of(backend, device, distributed))
        return model

    @classmethod
    def from_snapshot(
        cls,
        where: str,
        saved: snapshot.Snapshot,
        backend: str | Backend,
        device: str | None = None,
        custom: Iterable[Any] = (),
        distributed: str | Communicator | None = None,
    ) -> Self:
        """Return the model of a file that was read; `where` begins the messages of errors."""
        place, model = place_of(backend, device, distributed), cls.__new__(cls)
        with saved.wrong_content_is_value_error(where):
            model._initialize(saved.config(custom), *place, find=partial(saved.state, where))
        model.epoch, model.history = saved.epoch, saved.history
        return model

    def _initialize(
        self,
        config: ModelConfig,
        backend: Backend,
        communicator: Communicator | None = None,
        *,
        find: Callable[[TrainState], TrainState] | None = None,
    ) -> None:
        """Set up a model with initial parameters, or with the state that `find` returns for placeholders of its arrays."""
        self.backend, self.distributed, self.epoch, self.history = backend, communicator, 0, History()
        self._processes = Alone() if communicator is None or communicator.size == 1 else Team(communicator)
        self._on_device = backend.activate()
        self._run: weakref.ref[Run] | None = None
        rng = np.random.default_rng((config.seed, 0)) if find is None else PlaceholderGenerator()
        params, self.output_shape = config.layer.init(rng, config.input_shape)
        if config.loss is not None:
            config.loss.check_outputs(self.output_shape)
        if config.optimizer is not None:
            config.optimizer.check_parameters(list(parameters(config.layer, params)))
        if find is None:
            state = initial_state(config, backend, params)
        else:
            expected = placeholder_state(config, params)
            state = fit_state(expected, find(expected), backend, backend.dtype(config.dtype))
        self._configure(config)
        self._owner = StateOwner(state, self.backend)

    def _configure(self, config: ModelConfig, compiled: Compiled | None = None) -> None:
        """Take a configuration and its functions; the state must fit it."""
        self.config = config
        self._compiled = self._processes.compiled(config, self.backend) if compiled is None else compiled
        self._data = DataAdapter(config, self.backend, self.output_shape)

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> TrainState:
        """Parameters, optimizer state and random key.

        Training never changes arrays read from here, in any thread. Assign a state with arrays of the same shapes, of
        any library, to set it.
        """
        return self._owner.shared

    @state.setter
    def state(self, new: TrainState) -> None:
        dtype = self.backend.dtype(self.dtype)
        with self._owner.read() as old:
            fitted = fit_state(old, new, self.backend, dtype)
        self._owner.replace(fitted)

    @property
    def params(self) -> Any:
        """The parameters, for a list of layers a list with one dict per layer.

        Training never changes arrays read from here, in any thread. To set them, assign the whole tree, with arrays of the
        same shapes: entries that are replaced inside it are not checked.
        """
        return self._owner.shared.params

    @params.setter
    def params(self, new: Any) -> None:
        place, dtype = self.backend.asarray, self.backend.dtype(self.dtype)

        def assign(state: TrainState) -> tuple[TrainState, None]:
            params = place_like("params", state.params, new, lambda a: place(a, dtype, copy=True))
            return state._replace(params=params), None

        self._owner.change(assign)

    def copy_params(self) -> Any:
        """Return a copy of `params`.

        Reading `params` makes the next training step copy the whole state, which includes the averages of the optimizer. A
        callback that keeps parameters of some epochs should therefore copy them.

        Examples
        --------
        >>> from anynet import Dense, Model
        >>> best = Model([Dense(1)], input_shape=2).copy_params()
        >>> best[0]["bias"]
        array([0.], dtype=float32)
        """
        with self._on_device, self._owner.read() as state:
            return tree.map(lambda a: self.backend.asarray(a, copy=True), state.params)

    @property
    def learning_rate_factor(self) -> float:
        """Factor of the optimizer's learning rate, initially 1; `ReduceLROnPlateau` sets it."""
        with self._owner.read() as state:
            return float(state.opt_state.get(lr_factor.KEY, 1.0))

    @learning_rate_factor.setter
    def learning_rate_factor(self, value: float) -> None:
        check_number("Model", "learning_rate_factor", value, "[0, inf)")
        lr_factor.check("Model", self.config.required_optimizer)
        factor = self.backend.asarray(np.full((), value, dtype=self.dtype), copy=True)
        self._owner.change(lambda s: (s._replace(opt_state={**s.opt_state, lr_factor.KEY: factor}), None))

    # -- structure ----------------------------------------------------------------------------------------------------

    def freeze(self, *layers: int) -> None:
        """Exclude layers from training: each layer, given by its number in the list, becomes `Frozen`.

        The optimizer state of the other layers is kept.
        """
        self._set_frozen(layers, True)

    def unfreeze(self, *layers: int) -> None:
        """Train frozen layers again, all of them without an argument.

        Their optimizer state is the initial one, averages of the parameters and momenta of zero, so that the first steps of
        `Adam` are larger than its learning rate.
        """
        self._set_frozen(layers or range(len(tuple(self.layer.children()))), False)

    def _set_frozen(self, numbers: Sequence[int], frozen: bool) -> None:
        with self._on_device:
            config, state = self._owner.change(lambda state: (state, set_frozen(self.config, state, numbers, frozen)))
            self._configure(config)
            self._owner = StateOwner(place_state(state, self.backend), self.backend)

    @explained
    def summary(self) -> Summary:
        """Return a table of the layers with their output shapes and numbers of parameters.

        It is text, which a notebook shows as an HTML table."""
        with self._owner.read() as state:
            return summary(self.layer, self.input_shape, state.params, f" as {self.dtype} on {self.backend.name}")

    # -- copies -------------------------------------------------------------------------------------------------------

    @explained
    def to(
        self, backend: str | Backend, device: str | None = None, distributed: str | Communicator | None = None
    ) -> Self:
        """Return a copy of the model, including its training state, on another backend.

        The copy trains on this process alone, unless `distributed` is given.
        """
        model = self.__new__(type(self))
        with self._owner.read() as state:
            model._initialize(self.config, *place_of(backend, device, distributed), find=lambda expected: state)
        model.epoch, model.history = self.epoch, History(self.history)
        return model

    def averaged(self) -> Self:
        """Return a copy with the averaged parameters of an optimizer such as `EMA` or `SWA`."""
        with self._on_device:
            model = self.to(self.backend)
            params, opt_state, _ = model.state
            model.params = self.config.required_optimizer.averaged(params, opt_state)
            return model

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle stores: settings and host arrays, no compiled functions and no communicator."""
        with self._owner.read() as shared:
            state = tree.map(lambda a: np.array(self.backend.to_numpy(a)), shared)
        return {
            "config": self.config,
            "backend": self.backend,
            "state": state,
            "epoch": self.epoch,
            "history": self.history,
        }

    def __setstate__(self, content: dict[str, Any]) -> None:
        self._initialize(content["config"], content["backend"], find=lambda expected: content["state"])
        self.epoch, self.history = content["epoch"], content["history"]

    if not TYPE_CHECKING:  # a type checker reports unknown attributes itself

        def __getattr__(self, name):
            if any(name in vars(cls) for cls in type(self).__mro__):  # a property raised AttributeError
                return object.__getattribute__(self, name)
            known = [one for one in dir(type(self)) if one[0] != "_"] if name[:1] != "_" else []
            hint = advice(("Model",), name, known) if known else ""
            if "config" not in vars(self) and name[:2] != "__":
                hint = "; a class of its own calls super().__init__(layers, input_shape=..., loss=..., optimizer=...)"
            raise AttributeError(f"Model: expected one of its attributes, got {name!r}{hint}")

    def __repr__(self) -> str:
        settings = f"input_shape={self.input_shape}, backend={self.backend.name!r}, dtype={self.dtype!r}"
        return f"{type(self).__name__}({self.layer!r}, {settings})"

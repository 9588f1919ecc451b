"""Base class of callbacks.

The order of hooks in a `fit`::

    on_fit_begin
        on_epoch_begin
            on_batch_end        after each call of the backend: one batch, or up to 32 batches on JAX and CuPy
        on_epoch_end            after validation; `run.logs` and `run.history` contain the epoch's values
    on_fit_end                  always, even after an error

In every hook the model is consistent and can be used, saved or changed. Hooks run in the given order, except `Checkpoint`,
which runs last so that its file includes the other callbacks' changes. After Ctrl-C, `on_epoch_end` is skipped and
`on_fit_end` runs. A resumed fit runs `on_fit_begin` and `on_epoch_begin` again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

from anynet.history import History
from anynet.names.constructors import Constructed
from anynet.names.text import advice

if TYPE_CHECKING:
    from anynet.data.batch import Batch, Chunk
    from anynet.layers.hooks import Hook
    from anynet.metrics import Metric
    from anynet.model import Model
    from anynet.training.compiled import Compiled
    from anynet.training.running_metrics import RunningMetrics
    from anynet.training.state import TrainState


@dataclass(repr=False)
class Run:
    """State of a `fit` that callbacks receive; setting `stop` ends training."""

    model: Model
    """The model that trains."""
    epochs: int
    """Total number of epochs."""
    batches: int | None
    """Number of batches per epoch; None during the first pass over an iterable."""
    history: History
    """Values of the completed epochs, as `fit` will return them."""
    metrics: RunningMetrics
    """Running sums of the epoch."""
    repeat_steps: Callable[[Hook, TrainState, Iterable[Batch]], Iterator[TrainState]]
    """Function that repeats training steps from a state, with a hook on each layer, and yields the new states."""
    writes: bool = True
    """Whether this process writes files and output; of several, only that of rank 0 does."""
    validated: bool = False
    """Whether each epoch ends with validation."""
    callbacks: tuple[Callback, ...] = ()
    """Callbacks in the order in which their hooks run."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that determine the batches; resuming requires the same settings."""
    epoch: int = 0
    """Number of the current epoch, from 1."""
    batch: int = 0
    """Number of batches completed in this epoch."""
    loss: Any = None
    """Loss of the last batch, an array on the device; ``float`` waits for the computation."""
    chunk: Chunk | None = None
    """Examples of the last batches."""
    logs: dict[str, Any] = field(default_factory=dict)
    """Values of the epoch, by name."""
    thread: int = field(default_factory=get_ident)
    """Identifier of the thread that trains, in which callbacks run."""
    stop: bool = False
    """Set to True to end training after this batch or epoch."""
    interrupted: bool = False
    """Whether Ctrl-C ended training."""
    _validating: tuple[Compiled, Compiled] | None = None

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.logs.items() if isinstance(value, float))
        place = f"epoch {self.epoch} of {self.epochs}, batch {self.batch} of {self.batches or 'an unknown number'}"
        return f"<Run: {place}{': ' + values if values else ''}>"

    @property
    def names(self) -> list[str]:
        """Names of the values recorded per epoch."""
        names = list(self.metrics.metrics)
        if not self.validated:
            return names
        return names + [f"val_{name}" for name in [*names, *(metric.name for metric in self.validation_metrics)]]

    @property
    def validation_metrics(self) -> list[Metric]:
        """Metrics that the callbacks add to those of validation."""
        return [metric for callback in self.callbacks for metric in callback.validation_metrics]

    def validating(self, compiled: Compiled) -> Compiled:
        """Return functions of the model with the `validation_metrics`, the same for the same functions.

        Raise ValueError if two metrics have the same name.
        """
        if self._validating is None or self._validating[0] is not compiled:
            self._validating = compiled, compiled.with_metrics(self.validation_metrics)
        return self._validating[1]

    def running(self) -> dict[str, Any]:
        """Wait for the device and return the epoch's values so far, except `Metric.keeps_examples`."""
        return self.metrics.values(quick=True)


HOOKS = ("on_fit_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_fit_end")


def check_hook(where: str, name: str, function: Any, *, method: bool) -> None:
    """Raise TypeError unless a function can be the hook of a name."""
    if name not in HOOKS:
        raise TypeError(
            f"{where}: expected hooks among {', '.join(HOOKS)}, got {name}{advice(('Callback',), name, HOOKS)}"
        )
    if not callable(function):
        raise TypeError(f"{where}: expected {name} to be a function of the run, got {function!r}")
    signature, arguments = inspect.signature(function), ("self", "run") if method else ("run",)
    try:
        signature.bind(*arguments)
        fits = "logs" not in signature.parameters
    except TypeError:
        fits = False
    if not fits:
        raise TypeError(
            f"{where}: expected {name}({', '.join(arguments)}), got {name}{signature}; the run has epoch, logs, history and model"
        )


class Callback(metaclass=Constructed):
    """Base class of callbacks; subclasses override the hooks they need.

    A method whose name begins with ``on_`` must be one of the hooks below.
    """

    last: ClassVar[bool] = False
    """Whether the hooks run after those of callbacks with ``last = False``."""

    saves: ClassVar[bool] = False
    """Whether the callback saves the model, so that `fit` checks first whether it can be saved."""

    validation_metrics: Sequence[Metric] = ()
    """Metrics to compute of the validation data only, in the pass that computes its loss; they are reported as ``val_...``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, function in vars(cls).items():
            if name.startswith("on_"):
                check_hook(cls.__name__, name, getattr(cls, name), method=not isinstance(function, staticmethod))

    def on_fit_begin(self, run: Run) -> None:
        """Run before the first epoch."""

    def on_epoch_begin(self, run: Run) -> None:
        """Run before the first batch of an epoch."""

    def on_batch_end(self, run: Run) -> None:
        """Run after each call of the backend, which processes one or more batches."""

    def on_epoch_end(self, run: Run) -> None:
        """Run after the last batch of an epoch and its validation."""

    def on_fit_end(self, run: Run) -> None:
        """Run after the last epoch, or when an error ends training."""

    def state(self) -> dict[str, Any]:
        """Return the state to save for resuming: plain data and trees of NumPy arrays."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a saved `state`; called before `on_fit_begin`."""

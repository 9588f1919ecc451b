"""The contract that every callback keeps.

The order of hooks in a `fit`::

    on_fit_begin
        on_epoch_begin
            on_batch_end        after each call of the backend: one batch; on JAX up to 32 at once
        on_epoch_end            after validation; `run.logs` has the epoch's values and `run.history` holds them
    on_fit_end                  always, after an error too

At each of them the model is whole, and may be used, saved or changed. At each hook callbacks are told in the order in which
they were given, but for `Checkpoint`, which comes last, so that a file has what all others decided. After Ctrl-C the epoch's
end is not told, only the fit's. A fit that is resumed tells `on_fit_begin` and `on_epoch_begin` again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from anynet.history import History

if TYPE_CHECKING:
    from anynet.data.sources import Call
    from anynet.training.running_metrics import Totals


@dataclass
class Run:
    """What a callback sees of a `fit`, and the switch that ends it."""

    model: Any
    epochs: int
    """Number of epochs that the fit is to have."""
    batches: int | None
    """Number of batches in an epoch; None where an iterable has not been gone through yet."""
    history: History
    totals: Totals
    """Running sums of the epoch."""
    validated: bool = False
    """Whether each epoch ends with a validation."""
    callbacks: tuple[Callback, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    """What the batches depend on; a fit is resumed only with the same."""
    epoch: int = 0
    """Number of the current epoch, from 1."""
    batch: int = 0
    """Number of batches done in this epoch."""
    loss: Any = None
    """Loss of the last batch: an array on the device, which ``float`` would have to wait for."""
    call: Call | None = None
    """The examples of the last batches."""
    logs: dict[str, Any] = field(default_factory=dict)
    """Values of the epoch, by name."""
    stop: bool = False
    """Set it to end training after this batch or epoch."""
    interrupted: bool = False
    """Whether Ctrl-C ended training."""

    @property
    def names(self) -> list[str]:
        """Names of the values that each epoch has."""
        names = list(self.totals.metrics)
        return names + [f"val_{name}" for name in names] if self.validated else names

    def running(self) -> dict[str, Any]:
        """Return the values of the epoch so far, but for metrics that need all examples at once; waits for the device."""
        return self.totals.values(quick=True)


class Callback:
    """Something that is told how training goes; override the hooks you need."""

    last: ClassVar[bool] = False
    """Whether to be told after those that are not."""

    def on_fit_begin(self, run: Run) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first batch of an epoch."""

    def on_batch_end(self, run: Run) -> None:
        """After one batch, or after as many as the backend takes in one call."""

    def on_epoch_end(self, run: Run) -> None:
        """After the last batch of an epoch and its validation."""

    def on_fit_end(self, run: Run) -> None:
        """After the last epoch, or when an error ends training."""

    def state(self) -> dict[str, Any]:
        """Return what must be remembered when training is resumed: plain data, and trees of NumPy arrays."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take a `state` back; called before `on_fit_begin`."""

"""The contract that every callback keeps.

The order of hooks in a `fit`::

    on_fit_begin
        on_epoch_begin
            on_batch_end        after each call of the backend: one batch; on JAX up to 32 at once
        on_epoch_end            after validation; `run.logs` has the epoch's values and `run.history` holds them
    on_fit_end                  always, after an error too

At each of them the model is whole, and may be used, saved or changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from anynet.history import History


@dataclass
class Run:
    """What a callback sees of a `fit`, and the switch that ends it."""

    model: Any
    epochs: int
    batches: int
    history: History
    epoch: int = 0
    """Number of the current epoch, from 1."""
    batch: int = 0
    """Number of batches done in this epoch."""
    loss: Any = None
    """Loss of the last batch or batches: an array on the device, which ``float`` would have to wait for."""
    logs: dict[str, float] = field(default_factory=dict)
    """Values of the epoch, by name."""
    stop: bool = False
    """Set it to end training after this batch or epoch."""


class Callback:
    """Something that is told how training goes; override the hooks you need."""

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

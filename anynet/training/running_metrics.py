"""Running sums of the loss and the metrics over the batches of an epoch.

The sums of each batch stay on the device until they are read, or until `MAX_PENDING_BATCHES` are pending; then each quantity
is copied to the host in one transfer. Batches are added in float64 one by one, so the number of transfers does not change a
bit: an epoch that was interrupted and resumed has the same values as one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.convert import to_numpy
from anynet.backends.base import Backend
from anynet.metrics import Metric

MAX_PENDING_BATCHES = 1024
"""Upper bound of the batches whose sums are pending on the device."""


@dataclass(frozen=True)
class StepLoss(Metric):
    """Mean loss of training steps, weighted by the total weight of their batches."""

    keeps_examples = True
    greater_is_better = False

    def value(self, sums: tuple[np.ndarray, ...]) -> float:
        losses, shares = (part.astype(np.float64) for part in sums)
        return float(losses @ shares / max(float(shares.sum()), np.finfo(np.float64).tiny))


class RunningMetrics:
    """Sums of metrics over the batches of one backend.

    Parameters
    ----------
    backend : Backend
    metrics : mapping from name to Metric
    """

    def __init__(self, backend: Backend, metrics: Mapping[str, Metric]) -> None:
        self.metrics = dict(metrics)
        self.batches = 0
        """Number of batches summed."""
        self._backend = backend
        self._pending: list[Sequence[tuple[Any, ...]]] = []
        self._sums: list[list[list[np.ndarray]]] = []

    def add(self, sums: Sequence[tuple[Any, ...]]) -> None:
        """Add the sums of a batch, one tuple per metric."""
        self._pending.append(sums)
        self.batches += 1
        if len(self._pending) >= MAX_PENDING_BATCHES:
            self._fetched()

    def values(self, *, quick: bool = False) -> dict[str, Any]:
        """Return the metrics so far; `quick` leaves out those that keep all examples."""
        return {
            name: metric.value(tuple(_joined(parts)))
            for (name, metric), parts in zip(self.metrics.items(), self._fetched(), strict=bool(self.batches))
            if not (quick and metric.keeps_examples and not isinstance(metric, StepLoss))
        }

    def state(self) -> dict[str, Any]:
        """Return the state to save for resuming: plain data and NumPy arrays."""
        return {"batches": self.batches, "sums": [_joined(parts) for parts in self._fetched()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a saved `state`."""
        self.batches = int(state["batches"])
        self._sums = [[[np.asarray(part)] for part in parts] for parts in state["sums"]]

    def _fetched(self) -> list[list[list[np.ndarray]]]:
        """Return the parts of each sum of each metric on the host: one total, or arrays to concatenate."""
        if self._pending:
            columns = list(zip(*self._pending, strict=True))  # one per metric
            if not self._sums:
                self._sums = [[[] for _ in column[0]] for column in columns]
            for metric, column, pieces in zip(self.metrics.values(), columns, self._sums, strict=True):
                for values, piece in zip(zip(*column, strict=True), pieces, strict=True):
                    part = self._gather(values, metric.keeps_examples)
                    if metric.keeps_examples:
                        piece.append(part)
                    else:
                        piece[:] = [_accumulated(piece, part)]
            self._pending = []
        return self._sums

    def _gather(self, values: Sequence[Any], keeps_examples: bool) -> np.ndarray:
        """Return the values of batches as one host array, concatenated or with one entry per batch."""
        if isinstance(values[0], (int, float)):
            return np.asarray(values, dtype=np.float64)
        # a traced function that joins arrays would be compiled for each number of them
        if self._backend.is_traced or any(isinstance(v, (np.ndarray, np.generic)) for v in values):
            parts = [np.asarray(to_numpy(v)) for v in values]
            return np.concatenate([np.atleast_1d(part) for part in parts]) if keeps_examples else np.stack(parts)
        xp = self._backend.xp
        if not keeps_examples:
            return self._backend.to_numpy(values[0][None, ...] if len(values) == 1 else xp.stack(values))
        lined = [xp.reshape(v, (1,)) if v.ndim == 0 else v for v in values]
        return self._backend.to_numpy(lined[0] if len(lined) == 1 else xp.concat(lined))


def _joined(parts: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [piece[0] if len(piece) == 1 else np.concatenate(piece) for piece in parts]


def _accumulated(before: list[np.ndarray], part: np.ndarray) -> np.ndarray:
    total = before[0].copy() if before else np.zeros(part.shape[1:])
    for each in part.astype(np.float64):
        total += each
    return total

"""Running sums over the batches of an epoch: what the loss and the metrics are made of.

What steps leave on the device stays there until somebody asks, or until there is much of it; then it comes to the host in
one transfer for each quantity. Sums are taken in float64, strictly one batch after the other, so they are bit for bit the
same however often they were brought over: an epoch that was interrupted and resumed has the values of one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.backends.base import Backend
from anynet.metrics import Metric

WAITING = 1024
"""Batches whose sums may wait on the device."""


@dataclass(frozen=True)
class StepLoss(Metric):
    """The mean of what training steps returned as their loss, each weighted with its batch's total weight or size."""

    keeps_examples = True
    greater_is_better = False

    def value(self, sums: tuple[np.ndarray, ...]) -> float:
        losses, shares = (part.astype(np.float64) for part in sums)
        return float(losses @ shares / max(float(shares.sum()), np.finfo(np.float64).tiny))


class Totals:
    """Sums of metrics over batches, on one backend.

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
        self._waiting: list[Sequence[tuple[Any, ...]]] = []
        self._sums: list[list[list[np.ndarray]]] = []

    def add(self, sums: Sequence[tuple[Any, ...]]) -> None:
        """Add a batch: for each metric what its `sums` returned."""
        self._waiting.append(sums)
        self.batches += 1
        if len(self._waiting) >= WAITING:
            self._fetched()

    def values(self, *, quick: bool = False) -> dict[str, Any]:
        """Return each metric of all batches so far; `quick` leaves out those that keep a row for each example."""
        return {
            name: metric.value(tuple(_joined(parts)))
            for (name, metric), parts in zip(self.metrics.items(), self._fetched(), strict=bool(self.batches))
            if not (quick and metric.keeps_examples and not isinstance(metric, StepLoss))
        }

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on summing, as plain data and NumPy arrays."""
        return {"batches": self.batches, "sums": [_joined(parts) for parts in self._fetched()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.batches = int(state["batches"])
        self._sums = [[[np.asarray(part)] for part in parts] for parts in state["sums"]]

    def _fetched(self) -> list[list[list[np.ndarray]]]:
        """Return, for each metric and each of its sums, pieces on the host: one total, or rows to be joined."""
        if self._waiting:
            columns = list(zip(*self._waiting, strict=True))  # one for each metric
            if not self._sums:
                self._sums = [[[] for _ in column[0]] for column in columns]
            for metric, column, pieces in zip(self.metrics.values(), columns, self._sums, strict=True):
                for values, piece in zip(zip(*column, strict=True), pieces, strict=True):
                    part = self._gather(values, metric.keeps_examples)
                    if metric.keeps_examples:
                        piece.append(part)
                    else:
                        piece[:] = [_accumulated(piece, part)]
            self._waiting = []
        return self._sums

    def _gather(self, values: Sequence[Any], rows: bool) -> np.ndarray:
        """Return values of batches as one host array: their rows below each other, or one entry for each batch."""
        if isinstance(values[0], (int, float)):
            return np.asarray(values, dtype=np.float64)
        if any(isinstance(v, (np.ndarray, np.generic)) for v in values):  # brought over already
            parts = [np.asarray(self._backend.to_numpy(v)) for v in values]
            return np.concatenate([np.atleast_1d(part) for part in parts]) if rows else np.stack(parts)
        xp = self._backend.xp
        if not rows:
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

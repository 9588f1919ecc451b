"""Time, launches and synchronizations per training step."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from anynet.backends.base import Backend
from anynet.layers import Dense, ReLU
from anynet.losses import SoftmaxCrossEntropy
from anynet.model import Model
from anynet.optimizers import Adam
from anynet.selfcheck.libraries import first_wait, graph, launches, reports_waiting

BATCH, STEPS, ROUNDS = 64, 64, 3


def measure(backend: Backend) -> dict[str, Any]:
    """Return `CheckReport.speed` for the fastest of a few rounds of `fit`."""
    rng = np.random.default_rng(0)
    x = backend.asarray(rng.standard_normal((BATCH * STEPS, 784)).astype(np.float32))
    y = backend.asarray(rng.integers(0, 10, BATCH * STEPS))
    model = Model(
        [Dense(128), ReLU(), Dense(10)],
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(1e-4),
        backend=backend,
    )
    seconds = []
    for _ in range(1 + ROUNDS):
        backend.synchronize()
        start = perf_counter()
        model.fit(x, y, batch_size=BATCH, progress=False)
        backend.synchronize()
        seconds.append(perf_counter() - start)

    def step() -> Any:
        return model.train_step(x[:BATCH], y[:BATCH])

    synchronizations: int | str | None = None
    if reports_waiting(backend):
        synchronizations = "at least 1" if first_wait(backend, step) else 0
    return {
        "microseconds": min(seconds[1:]) / STEPS * 1e6,  # the first round compiles
        "launches": launches(backend),
        "synchronizations": synchronizations,
        "graph": graph(backend),
    }

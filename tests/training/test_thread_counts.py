"""The number of threads changes no bit of training."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anynet import (
    L2,
    LBFGS,
    Adam,
    Conv2D,
    Dense,
    Flatten,
    MeanSquaredError,
    Model,
    Muon,
    Orthogonal,
    ReLU,
    Reshape,
    tree,
)
from anynet.arrays.blas import openblas
from anynet.backends.numpy import NumpyBackend

pytestmark = pytest.mark.skipif(openblas() is None, reason="needs NumPy with OpenBLAS's own threads")

ROOT = Path(__file__).parents[2]


def digest(threads=None):
    """Return a hash of what models trained on NumPy compute."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(480, 576)).astype("float32"), rng.normal(size=(480, 3)).astype("float32")
    dense = [Dense(512, weight=Orthogonal()), ReLU(), Dense(384), ReLU(), Dense(3)]
    convolution = [Reshape((24, 24, 1)), Conv2D(8, 3), ReLU(), Conv2D(16, 3, stride=2), Flatten(), Dense(3)]
    backend = NumpyBackend(threads=threads)
    backend.warmup_steps = 1  # so that the last steps are replayed
    found = hashlib.sha256()
    for layers, optimizer, batch_size in (
        (dense, Adam(0.001), 96),
        (dense, Muon(0.01), 240),
        (convolution, Adam(0.001), 96),
        (dense, LBFGS(iterations=2), None),
    ):
        model = Model(
            layers,
            input_shape=576,
            loss=MeanSquaredError(),
            optimizer=optimizer,
            regularizer=L2(0.01),
            backend=backend,
        )
        history = model.fit(x, y, batch_size=batch_size, epochs=1)
        for values in (
            *tree.leaves(model.state),
            model.predict(x),
            list(model.evaluate(x, y).values()),
            history["loss"],
        ):
            found.update(np.asarray(values).tobytes())
    return found.hexdigest()


def test_the_number_of_threads_changes_no_bit():
    assert len({digest(threads) for threads in (1, 2, 3)}) == 1


def test_the_environment_changes_no_bit():
    """As on machines with other numbers of cores."""
    found = set()
    for threads in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import digest; print(digest())"],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1

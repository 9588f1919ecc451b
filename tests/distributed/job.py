"""A job of several processes, which tests start with `mpiexec` or `torchrun`.

job.py ENGINE equal                 train all cases, and compare with one process
job.py ENGINE fail KIND             fail on rank 1
job.py ENGINE train FOLDER [RANK BATCH]   train from the checkpoint in FOLDER if there is one; RANK kills itself at BATCH
"""

import itertools
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anynet import Adam, BatchNorm, Dense, Dropout, Layer, Model, ReLU, SoftmaxCrossEntropy, distributed, load_digits
from anynet.callbacks import Checkpoint, LambdaCallback
from tests.distributed.cases import CASES, difference, outcome, train


def equal(communicator):
    """Train every case; print the differences from one process."""
    for name in CASES:
        found = outcome(*train(name, epochs=1, rows=77, distributed=communicator))
        limit = 1e-9 if name == "L-BFGS" else 1e-12
        gap = difference(found, outcome(*train(name, epochs=1, rows=77)))
        same = all(all(np.array_equal(found[key], each[key]) for key in found) for each in communicator.gather(found))
        assert gap <= limit and same, (name, gap, same)
        if communicator.rank == 0:
            print(f"{name}: {gap:.1e}", flush=True)


@dataclass(frozen=True)
class FailingLayer(Layer):
    """A layer that raises on rank 1 after some passes."""

    uses_key = False
    passes = itertools.count(1)

    def forward(self, params, x, *, key=None):
        if next(self.passes) == 5 * RANK:
            announce()
            raise ValueError("a layer that fails")
        return x, None

    def backward(self, params, cache, dy, *, need_dx=True):
        return dy, {}


def announce():
    """Print the time of a failure."""
    print(f"failed at {time.time()}", flush=True)


def fail(communicator, kind):
    """Fail on rank 1."""
    rank, (x, y) = communicator.rank, load_digits()[0]
    x, y, seed, callbacks = x[:300] / 16, y[:300], 0, []
    layers = [Dense(8), ReLU(), Dense(10)]

    def act(run):
        if rank == 1 and run.batch == 4:
            announce()
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("a callback that fails")

    def batches():
        for start in range(0, 300, 30):
            if rank == 1 and start == 120:
                announce()
                raise ValueError("data that fail")
            yield x[start : start + 30], y[start : start + 30]

    if kind in ("layer", "layer with batch statistics"):
        layers.insert(1, FailingLayer())
    if kind == "layer with batch statistics":
        layers.insert(1, BatchNorm())
    if kind in ("callback", "killed"):
        callbacks = [LambdaCallback(on_batch_end=act)]
    if kind == "seed":
        seed = rank
    if rank == 1 and kind in ("values", "rows", "seed", "script"):
        announce()
    if rank == 1 and kind == "values":
        x = np.where(x == x.max(), np.nan, x)
    if rank == 1 and kind == "rows":
        x, y = x[:-1], y[:-1]
    model = Model(
        layers, input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=Adam(), seed=seed, distributed=communicator
    )
    if rank == 1 and kind == "script":
        raise ValueError("a script that fails")
    data = (batches(),) if kind == "iterable" else (x, y)
    model.fit(*data, batch_size=30, epochs=20, callbacks=callbacks)


def long(communicator, folder, rank=None, batch=None):
    """Train from a checkpoint if there is one; a rank may kill itself."""
    path = Path(folder) / "run.safetensors"
    (x, y), _ = load_digits()  # two processes may share a core, so the job is short
    model = Model(
        [Dense(16, use_bias=False), BatchNorm(), ReLU(), Dropout(0.3), Dense(10)],
        input_shape=64,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.01),
        metrics=["accuracy"],
        dtype="float64",
        seed=5,
        distributed=communicator,
    )
    done = []

    def kill(run):
        done.append(run.batch)
        if communicator.rank == int(rank) and len(done) == int(batch):
            os.kill(os.getpid(), signal.SIGKILL)

    history = model.fit(
        x[:201] / 16,
        y[:201],
        epochs=3,
        batch_size=32,
        validation_split=0.1,
        callbacks=[LambdaCallback(on_batch_end=kill)] * (rank is not None) + [Checkpoint(path, every_n_seconds=0.001)],
        resume=path if path.exists() else None,
    )
    if communicator.rank == 0:
        np.savez(Path(folder) / "end.npz", **outcome(model, history))


def wait(communicator, how):
    """Train until Ctrl-C, and report where training has stopped; with "one", rank 1 interrupts itself."""
    (x, y), _ = load_digits()
    model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=Adam(), distributed=communicator)
    batches = []

    def see(run):
        batches.append((run.epoch, run.batch))
        if len(batches) == 20 and communicator.rank == 0:
            print("running", flush=True)
        if len(batches) == 25 and communicator.rank == 1 and how == "one":
            signal.raise_signal(signal.SIGINT)

    model.fit(x, y, epochs=100_000, callbacks=[LambdaCallback(on_batch_end=see)])
    print(f"rank {communicator.rank} of {communicator.size} stopped at {batches[-1]}", flush=True)


if __name__ == "__main__":
    engine, action, *arguments = sys.argv[1:]
    communicator = distributed.get(engine)
    RANK = communicator.rank
    {"equal": equal, "fail": fail, "train": long, "wait": wait}[action](communicator, *arguments)

"""Time of a training step on one and on two processes.

It needs mpi4py and an idle machine.

python -m tests.benchmarks.distributed
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
from anynet.distributed import Communicator
from tests.distributed.tools import mpiexec

ROUNDS = 5


class Echo(Communicator):
    """The first of two processes, which waits for no other."""

    size = 2

    def sum(self, array):
        return array

    def gather(self, value):
        return [value] * 2


def make(sizes, communicator):
    """Return a network and a function that times its steps in milliseconds."""
    hidden = [layer for size in sizes[1:-1] for layer in (Dense(size), ReLU())]
    return Model(
        [*hidden, Dense(sizes[-1])],
        input_shape=sizes[0],
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(),
        distributed=communicator,
    )


def best(sizes, batch, steps, communicator):
    """Return the least mean of a round's steps, in milliseconds."""
    model, rng = make(sizes, communicator), np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch)
    times = []
    for _ in range(ROUNDS + 1):
        start = perf_counter()
        for _ in range(steps):
            model.train_step(x, y)
        times.append((perf_counter() - start) / steps)
    return 1e3 * min(times[1:])


def processes(size):
    """Return the time of a step of 784-512-512-10 with a batch of 512 on `size` processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = mpiexec(size, "-m", "tests.benchmarks.distributed", "worker")
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main():
    if sys.argv[1:] == ["worker"]:
        from anynet.distributed import MPI

        communicator = MPI()
        milliseconds = best((784, 512, 512, 10), 512, 40, communicator)
        if communicator.rank == 0:
            print(json.dumps(milliseconds))
        return
    one, two = processes(1), processes(2)
    print(f"784-512-512-10, batch 512: {one:.2f} ms on 1 process, {two:.2f} ms on 2: {two / one:.2f} (target 0.60)")
    small = (64, 32, 10)
    half, alone = best(small, 32, 400, Echo()), best(small, 16, 400, None)
    print(
        f"64-32-10: {1e3 * half:.0f} µs for 16 of 32 rows with a sum, {1e3 * alone:.0f} µs for 16 rows alone (replayed)"
    )


if __name__ == "__main__":
    main()

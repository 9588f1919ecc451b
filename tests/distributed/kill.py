"""Kill a process of a job at random batches, resume each time, and compare.

    python -m tests.distributed.kill --kills 10

On the same number of processes, parameters, optimizer state, key and history must be bit-identical; on others, equal to 1e-6.
"""

import argparse
import random
import tempfile
from pathlib import Path

import numpy as np

from tests.distributed.tools import JOB, mpiexec, run

BATCHES = 18
"""Number of batches of the job."""


def train(size, folder, *kill):
    """Run a job, which a rank may kill, and return whether it ended normally."""
    job = run(mpiexec(size, JOB, "mpi", "train", folder, *kill))
    assert job.returncode == 0 or kill, job.stderr
    return job.returncode == 0


def killed_and_resumed(kills, seed=0):
    """Kill jobs; return the largest differences after resuming on other numbers of processes."""
    rng, gaps, done = random.Random(seed), {}, 0
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        train(2, one)
        expected = dict(np.load(Path(one) / "end.npz"))
        while done < kills:
            left = BATCHES
            while done < kills and left > 1:  # the next job begins from nothing
                at = rng.randint(1, left - 1)
                assert not train(2, other, rng.randrange(2), at)
                done, left = done + 1, left - at
            checkpoint = Path(other) / "run.safetensors"
            for size in (3, 1):
                with tempfile.TemporaryDirectory() as copy:
                    (Path(copy) / checkpoint.name).write_bytes(checkpoint.read_bytes())
                    train(size, copy)
                    found = dict(np.load(Path(copy) / "end.npz"))
                gaps[size] = max(
                    gaps.get(size, 0.0), *(float(np.max(np.abs(found[k] * 1.0 - expected[k]))) for k in expected)
                )
                assert gaps[size] <= 1e-6, gaps
            train(2, other)
            found = dict(np.load(Path(other) / "end.npz"))
            assert found.keys() == expected.keys()
            for name, array in expected.items():
                assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes(), name
            for file in Path(other).iterdir():
                file.unlink()
    return gaps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    kills = parser.parse_args().kills
    gaps = killed_and_resumed(kills)
    print(f"{kills} kills: bit-identical on 2 processes; " + ", ".join(f"{gap:.0e} on {n}" for n, gap in gaps.items()))

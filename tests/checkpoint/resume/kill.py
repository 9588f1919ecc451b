"""Kill a run with SIGKILL at random moments, resume it each time, and compare with the run that was never killed.

    python tests/checkpoint/resume/kill.py numpy torch jax --kills 25
    python tests/checkpoint/resume/kill.py cupy --kills 5 --life 4

A life ends at a random moment, at most `--life` seconds after its first checkpoint. Weights, optimizer state, key and history
must be bit-identical; on JAX equal to 1e-6. On CuPy, the run that is never killed must have used CUDA graphs.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("run.py")
TOLERANCE = {"jax": 1e-6}


def run(backend, folder, killed_after=None):
    """Start a run; return whether it came to its end. A killed one dies `killed_after` seconds after its first batch."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), backend, str(folder)])
    if killed_after is None:
        assert process.wait() == 0
        return True
    path = Path(folder) / "run.safetensors"
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None and (path.stat().st_mtime_ns if path.exists() else None) == before:
        time.sleep(0.001)
    try:
        process.wait(killed_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == 0


def compare(backend, expected, got):
    """Raise unless two runs left the same."""
    assert set(expected) == set(got)
    for name, array in expected.items():
        if backend in TOLERANCE:
            np.testing.assert_allclose(got[name], array, rtol=0, atol=TOLERANCE[backend], err_msg=name)
        else:
            assert got[name].dtype == array.dtype and got[name].tobytes() == array.tobytes(), name


def check(backend, kills, life=0.1, seed=0):
    """Kill a run so many times, and return the number of kills that hit it before its end."""
    rng, done = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        began = time.perf_counter()
        run(backend, one)
        lasts = time.perf_counter() - began
        expected = dict(np.load(Path(one) / "end.npz"))
        graph = (Path(one) / "graph.txt").read_text()
        assert not graph.startswith("no"), graph
        while done < kills:
            # short lives, so that the run survives many of them; when it ends, the next begins from nothing
            ended = run(backend, other, killed_after=rng.uniform(0.0, life))
            done += not ended
            if ended or done == kills:
                run(backend, other)
                compare(backend, expected, dict(np.load(Path(other) / "end.npz")))
                for file in Path(other).iterdir():
                    file.unlink()
    print(f"{backend}: {done} kills, results as those of the run of {lasts:.1f} s that was never killed")
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backends", nargs="+")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--life", type=float, default=0.1)
    arguments = parser.parse_args()
    for name in arguments.backends:
        check(name, arguments.kills, arguments.life)

"""JAX with ``device="all"``: batches are split over the devices of one process, or of several."""

import importlib.util
import os
import socket
import subprocess
import sys

import pytest

from tests.distributed.cases import CASES, X, Y, difference, outcome, train
from tests.distributed.tools import environment

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
NAMES = ["dense", "dropout", "weighted loss", "wrappers", "keeps examples", "L-BFGS", "convolution"]


def start(*arguments, devices):
    """Start this file as a script with a number of CPU devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        env=environment()
        | {"XLA_FLAGS": flags, "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)
def test_two_devices_equal_one():
    job = start(devices=2)
    out, _ = job.communicate(timeout=580)
    assert job.returncode == 0, out


@pytest.mark.timeout(600)
def test_two_processes_equal_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    jobs = [start(port, rank, devices=1) for rank in range(2)]
    outs = [job.communicate(timeout=580)[0] for job in jobs]
    assert not any(job.returncode for job in jobs), "\n".join(outs)


def main():
    import jax

    if len(sys.argv) > 1:
        port, rank = sys.argv[1:]
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(rank))
    assert len(jax.devices()) == 2
    for name in NAMES if len(sys.argv) == 1 else NAMES[:2]:
        model, history = train(name, epochs=1, rows=73, backend="jax", device="all")
        other = {"backend": "jax", "device": "cpu:0"} if len(sys.argv) == 1 else {}  # device 0 is of another process
        expected, losses = train(name, epochs=1, rows=73, **other)
        gap = difference(outcome(model, history), outcome(expected, losses))
        assert gap <= (1e-9 if name == "L-BFGS" else 1e-12), (name, gap)
        print(name, gap, flush=True)
    assert model.backend.name == "jax:all" and "convolution" in CASES
    assert model.predict(X[:5]).shape == (5, 10) and model.train_step(X[:7], Y[:7]).shape == ()


if __name__ == "__main__":
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    main()

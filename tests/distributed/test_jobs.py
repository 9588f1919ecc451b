"""Jobs of several processes: results, failures, and runs that are killed and resumed."""

import importlib.util
import re
import signal
import subprocess
import time

import pytest

from tests.distributed.kill import killed_and_resumed
from tests.distributed.tools import JOB, environment, mpiexec, run, torchrun

needs_mpi = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="mpi4py is not installed")
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


@needs_mpi
@pytest.mark.parametrize("size", [2, 3])
def test_mpi_equals_one_process(size):
    job = run(mpiexec(size, JOB, "mpi", "equal"))
    assert job.returncode == 0, job.stderr


@needs_torch
def test_gloo_equals_one_process():
    job = run(torchrun(2, JOB, "torch", "equal"))
    assert job.returncode == 0, job.stderr


FAILURES = {
    "layer": "got an error on rank 1: ValueError: layer 1: a layer that fails",
    "layer with batch statistics": "a layer that fails",
    "iterable": "got an error on rank 1: ValueError: data that fail",
    "values": "got an error on rank 1: ValueError: fit: expected finite values in x",
    "callback": "ValueError: a callback that fails",
    "script": "ValueError: a script that fails",
    "seed": "expected the same seed on every process, got 0 on rank 0 and 1 on rank 1",
    "rows": "expected the same examples on every process, got 300 on rank 0 and 299 on rank 1",
    "killed": "",
}


@needs_mpi
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_on_one_rank_ends_the_job(kind):
    job = run(mpiexec(2, JOB, "mpi", "fail", kind), timeout=60)
    ended = time.time()
    assert job.returncode != 0
    text = job.stdout + job.stderr
    assert ended - float(re.search(r"failed at ([\d.]+)", text).group(1)) <= 5.0
    assert FAILURES[kind] in text
    assert kind == "killed" or "rank 1" in text


@needs_torch
@pytest.mark.parametrize("kind", ["layer", "callback"])
def test_a_failure_on_one_rank_ends_a_job_of_torchrun(kind):
    job = run(torchrun(2, JOB, "torch", "fail", kind), timeout=60)
    ended = time.time()
    assert job.returncode != 0 and FAILURES[kind] in job.stdout + job.stderr
    # its agent, which ends the other processes and reports, takes seconds of its own
    assert ended - float(re.search(r"failed at ([\d.]+)", job.stdout).group(1)) <= 15.0


@needs_mpi
@pytest.mark.timeout(600)
def test_killed_and_resumed():
    killed_and_resumed(2)


@needs_mpi
@pytest.mark.parametrize("how", ["all", "one"])
def test_interrupt_stops_all_at_the_same_batch(how):
    """Ctrl-C reaches all processes through `mpiexec`, or one process alone."""
    command = mpiexec(2, JOB, "mpi", "wait", how)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment(), start_new_session=True
    ) as job:
        if how == "all":
            assert job.stdout.readline() == "running\n"
            job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
    stopped = dict(re.findall(r"rank (\d) of 2 stopped at (\(\d+, \d+\))", out))
    assert len(stopped) == 2 and stopped["0"] == stopped["1"], out + err
    assert err.count("interrupted in epoch") == 1

"""Processes for tests: threads with a communicator, and jobs of `mpiexec` and `torchrun`."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from anynet.distributed import Communicator

ROOT = Path(__file__).parents[2]
JOB = ROOT / "tests" / "distributed" / "job.py"


class Group:
    """Threads that communicate, and the calls that each of them made."""

    def __init__(self, size):
        self.size, self.slots, self.barrier = size, [None] * size, threading.Barrier(size, timeout=60)
        self.calls = [[] for _ in range(size)]


class Threads(Communicator):
    """One of several threads in this process."""

    def __init__(self, group, rank):
        self.group, self.rank, self.size, self.local_rank = group, rank, group.size, rank

    def _exchange(self, call, value):
        self.group.calls[self.rank].append(call)
        self.group.slots[self.rank] = (call, value)
        self.group.barrier.wait()
        found = list(self.group.slots)
        self.group.barrier.wait()
        assert len({call for call, _ in found}) == 1, found
        return [value for _, value in found]

    def sum(self, array):
        values = self._exchange(("sum", array.shape, str(array.dtype)), np.array(array))
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total.copy()

    def gather(self, value):
        return [pickle.loads(each) for each in self._exchange(("gather",), pickle.dumps(value))]

    def abort(self):
        self.group.barrier.abort()


def together(size, work):
    """Run ``work(communicator)`` in threads; return the group and what each thread returned or raised."""
    group, results = Group(size), [None] * size

    def run(rank):
        try:
            results[rank] = work(Threads(group, rank))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return group, results


def environment():
    """Return the environment of a job."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def mpiexec(size, *command):
    """Return the command of a job on `size` processes of this Python."""
    launcher = Path(sys.executable).with_name("mpiexec")
    return [str(launcher) if launcher.exists() else "mpiexec", "-n", str(size), sys.executable, *map(str, command)]


def torchrun(size, *command):
    """Return the command of a job of torch.distributed."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    return [sys.executable, *launch, *map(str, command)]


def run(command, timeout=280):
    """Run a job to its end."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment())

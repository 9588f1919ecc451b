"""Check that no other process computes and that two threads are faster than one.

``python -m tests.benchmarks.fitness`` prints the findings. A virtual machine may run two cores far apart, or share them with
another machine: then everything that uses two threads is slower, for minutes, while no process of this machine shows it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

MAX_OTHERS = 0.1
"""Cores that other processes may use."""
MIN_SPEEDUP = 1.6
"""Lower bound of the factor by which two threads are faster than one on a matrix product."""
PRODUCTS = """
import json, time
import numpy, threadpoolctl
a = numpy.ones((768, 768), numpy.float32)
def seconds():
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start
times = {1: [], 2: []}
for _ in range(25):
    for threads, found in times.items():
        with threadpoolctl.threadpool_limits(threads, user_api="blas"):
            a @ a
            found.append(seconds())
print(json.dumps(sorted(times[1])[12] / sorted(times[2])[12]))
"""
"""Program that prints the ratio of the median times of a product on one and on two threads."""


def check(seconds=0.5):
    """Return the reasons to doubt what is measured now."""
    found, others = [], others_cores(seconds)
    if others is not None and others > MAX_OTHERS:
        found.append(f"other processes used {others:.1f} cores")
    if cores() > 1 and (speedup := two_threads()) is not None and speedup < MIN_SPEEDUP:
        found.append(f"two threads were {speedup:.1f} times as fast as one: cores far apart, or shared")
    return found


def cores():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def others_cores(seconds, stat=Path("/proc/stat")):
    """Return the number of cores that other processes use, or None except on Linux."""
    before = _busy(stat)
    time.sleep(seconds)
    after = _busy(stat)
    return None if before is None or after is None else (after - before) / seconds


def _busy(stat):
    """Return the seconds for which all cores together have been busy or taken by another machine."""
    try:
        fields = stat.read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def two_threads():
    """Return the factor by which two threads speed up a matrix product, or None."""
    try:
        done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return json.loads(done.stdout)


if __name__ == "__main__":
    print("\n".join(check()) or "fit to measure")

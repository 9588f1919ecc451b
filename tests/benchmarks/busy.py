"""Measure a training step on an idle machine and next to two busy processes.

    python -m tests.benchmarks.busy [--contenders anynet/numpy,torch/eager] [--rounds 9] [--seconds 0.5]

64-32-10, 784-128-10 and 784-512-512-10 with Adam. Contenders run in separate processes and take turns, first on the idle
machine, then while two other processes run an endless loop. In a round, a contender takes steps for some time; the median and
the mean of µs per step over all rounds are printed. The ratio is that of the medians, and must be at most 3 for anynet on
NumPy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

from . import data
from .cases import CASES, LARGE, MEDIUM, SMALL
from .contenders import CONTENDERS

LIMIT = 3.0
SETTLE = 1.0  # seconds until the scheduler has spread the busy processes over the cores
WARM = 2.0  # seconds of training before the first round


@contextmanager
def contender(name, case):
    """Start the process of a contender, and yield ``take_round(seconds)``, which returns µs per step."""
    command = [sys.executable, "-m", __spec__.name, "--serve", name, case.name]
    environment = {**os.environ, **CONTENDERS[name].environment}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def take_round(seconds):
        print(seconds, file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    try:
        take_round(WARM)
        yield take_round
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def serve(name, case_name):
    """Read numbers of seconds, take steps for that time, and print µs per step."""
    contender, case = CONTENDERS[name], CASES[f"cpu {case_name}"]
    trainer = contender.load()(case.network, contender.variant, "cpu", data.weights(case.network))
    trainer.hold(*data.rows(case.network, case.rows))
    clock = time.perf_counter
    for line in sys.stdin:
        times, end = [], clock() + float(line)
        while not times or clock() < end:
            start = clock()
            trainer.step()
            times.append(1e6 * (clock() - start))
        print(json.dumps(times), flush=True)


@contextmanager
def busy(count):
    """Keep this number of processes busy."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # it must not outlive this process
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        time.sleep(SETTLE)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(case, names, rounds, seconds):
    """Return µs per step of each contender, on the idle machine and on the busy one."""
    times = {name: ([], []) for name in names}
    with ExitStack() as stack:
        running = {name: stack.enter_context(contender(name, case)) for name in names}
        for phase, count in enumerate((0, 2)):
            with busy(count):
                for _ in range(rounds):
                    for name, take_round in running.items():
                        times[name][phase].extend(take_round(seconds))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", default="anynet/numpy,anynet/numpy+fast,torch/eager,torch/fused")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(*arguments.serve)
    missed = []
    print(f"{os.cpu_count()} cores; µs per step: median (mean)")
    for network in (SMALL, MEDIUM, LARGE):
        names = [name for name in arguments.contenders.split(",") if not CONTENDERS[name].missing()]
        times = measure(CASES[f"cpu step {network}"], names, arguments.rounds, arguments.seconds)
        for name, phases in times.items():
            idle, loaded = map(statistics.median, phases)
            shown = [f"{statistics.median(steps):9.1f} ({statistics.fmean(steps):9.1f})" for steps in phases]
            print(f"{network!s:32} {name:18}  idle {shown[0]}  busy {shown[1]}  ratio {loaded / idle:6.2f}", flush=True)
            if name.startswith("anynet/numpy") and loaded > LIMIT * idle:
                missed.append(f"{name} on {network}")
    return f"expected a ratio of at most {LIMIT:.0f}, missed by {', '.join(missed)}" if missed else None


if __name__ == "__main__":
    sys.exit(main())

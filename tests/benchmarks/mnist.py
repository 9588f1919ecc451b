"""A whole process: read MNIST, train, and report the test accuracy, with the same steps for every contender.

``python -m tests.benchmarks.mnist CONTENDER SEED ROWS EPOCHS`` prints one JSON object: seconds of ``fit``, test
accuracy, and the peak memory of the process in MB.
"""

import json
import sys
import time
from pathlib import Path

from . import data
from .cases import MNIST
from .contenders import CONTENDERS


def main(name, seed, rows, epochs):
    """Train and test the contender `name`."""
    contender = CONTENDERS[name]
    trainer_of = contender.load()
    x, y, x_test, y_test = data.read_mnist(int(rows))
    trainer = trainer_of(MNIST, contender.variant, contender.device, seed=int(seed))
    start = time.perf_counter()
    trainer.fit(x, y, int(epochs))
    trainer.wait()
    fit = time.perf_counter() - start
    accuracy = float((trainer.predict(x_test).argmax(axis=1) == y_test).mean())
    print(json.dumps({"fit": fit, "accuracy": accuracy, "memory": peak_memory() / 1e6}))


def peak_memory():
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux, its peak includes the parent's memory at the time of the fork.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])

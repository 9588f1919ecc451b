"""Train from a memory-mapped file of 4 GB, and report the peak resident memory.

    python -m tests.benchmarks.memory_memmap [--gigabytes 4] [--backend numpy]

It must stay below 600 MB. The file, of random bytes, is written to a temporary folder and removed.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from anynet import SGD, Dense, Model, ReLU, Rescale, SoftmaxCrossEntropy

LIMIT = 600_000_000
FEATURES = 3072  # an image of 32×32 pixels in three colors
PAGE = 4096


def resident():
    """Return the resident memory of this process in bytes, including mapped files (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Peak(threading.Thread):
    """Sample the resident memory every few milliseconds."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.over = 0, threading.Event()

    def run(self):
        while not self.over.wait(0.005):
            self.most = max(self.most, resident())


def write(path, rows):
    """Write an array of bytes in chunks."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, FEATURES))
    header = array.offset
    del array
    rng, block = np.random.default_rng(0), 2**14
    with open(path, "r+b") as file:
        file.seek(header)
        for start in range(0, rows, block):
            file.write(rng.integers(0, 256, (min(block, rows - start), FEATURES), dtype=np.uint8).data)


def measure(gigabytes=4.0, backend="numpy", batch_size=256):
    """Return the peak of resident memory and the seconds of one shuffled epoch with a validation part."""
    rows = round(gigabytes * 1e9) // FEATURES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        write(path, rows)
        x, y = np.load(path, mmap_mode="r"), np.random.default_rng(1).integers(0, 10, rows)
        model = Model(
            [Rescale(1 / 255), Dense(64), ReLU(), Dense(10)],
            input_shape=FEATURES,
            loss=SoftmaxCrossEntropy(),
            optimizer=SGD(0.01),
            metrics=["accuracy"],
            backend=backend,
        )
        peak = Peak()
        peak.start()
        began = time.perf_counter()
        model.fit(x, y, epochs=1, batch_size=batch_size, validation_split=0.05)
        seconds = time.perf_counter() - began
        peak.over.set()
        peak.join()
        return peak.most, seconds, path.stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--backend", default="numpy")
    arguments = parser.parse_args()
    most, seconds, size = measure(arguments.gigabytes, arguments.backend)
    print(f"{arguments.backend}: file {size / 1e6:.0f} MB, peak {most / 1e6:.0f} MB resident, epoch {seconds:.1f} s")
    if most >= LIMIT:
        raise SystemExit(f"expected less than {LIMIT / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

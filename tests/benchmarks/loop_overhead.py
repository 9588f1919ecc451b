"""Overhead of `fit` over a bare loop of `train_step` on the same batches: at most a factor of 1.10.

    python -m tests.benchmarks.loop_overhead [--backend numpy] [--rounds 15]

784-128-10 with ReLU, batch 128, Adam, float32. `fit` shows its bar (on a hidden terminal) and computes the accuracy; the
bare loop does neither. Both run five epochs in turn: `fit` checks the data for NaN once per call, which would be a tenth of the
time of a single epoch. The median of the ratios is reported.
"""

import argparse
import io
import statistics
import sys
import time

import numpy as np

from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy

LIMIT = 1.10
BATCH = 128
EPOCHS = 5


class Terminal(io.StringIO):
    """A terminal without a screen."""

    def isatty(self):
        return True


def make(backend):
    return Model(
        [Dense(128), ReLU(), Dense(10)],
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(1e-3),
        metrics=["accuracy"],
        backend=backend,
    )


def measure(backend="numpy", rounds=15, examples=128 * 400):
    """Return the ratio of the epoch times of `fit` and the bare loop per round."""
    rng = np.random.default_rng(0)
    x, y = rng.random((examples, 784), dtype=np.float32), rng.integers(0, 10, examples)
    fitted, bare = make(backend), make(backend)
    data, labels = fitted.backend.asarray(x), fitted.backend.asarray(y)
    batches = [(data[i : i + BATCH, ...], labels[i : i + BATCH]) for i in range(0, examples, BATCH)]

    def fit():
        fitted.fit(data, labels, epochs=EPOCHS, batch_size=BATCH, shuffle=False, progress=True)
        fitted.backend.synchronize()

    def loop():
        for _ in range(EPOCHS):
            for batch in batches:
                bare.train_step(*batch)
        bare.backend.synchronize()

    out, err, ratios = sys.stdout, sys.stderr, []
    for number in range(rounds + 2):
        seconds = []
        for run in (fit, loop):
            sys.stdout = sys.stderr = Terminal()
            try:
                began = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - began)
            finally:
                sys.stdout, sys.stderr = out, err
        if number >= 2:  # compiled and warm by now
            ratios.append(seconds[0] / seconds[1])
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    ratios = measure(arguments.backend, arguments.rounds)
    middle = statistics.median(ratios)
    print(f"{arguments.backend}: fit / loop of train_step = {middle:.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
    if middle > LIMIT:
        raise SystemExit(f"expected at most {LIMIT:.2f}")


if __name__ == "__main__":
    main()

"""Time of the host per step in CUDA graphs, on an emulated GPU.

    python -m tests.benchmarks.graph_overhead

The emulated GPU, the module `fakegpu`, counts operations here and computes nothing. The exit status is 1 if a step of 784-128-10
with Adam is not run in a graph, or takes more than two calls of the driver; its time should be at most 40 µs.
"""

import sys
import time
import warnings
from importlib import import_module

import numpy as np

from anynet import Adam, Callback, Dense, Model, ReLU, SoftmaxCrossEntropy
from anynet.backends.base import Backend
from anynet.backends.cupy import CupyBackend

fakegpu = import_module("fakegpu")
MAX_CALLS = 2.0
BATCH, STEPS, EPOCHS, VERIFIED = 64, 64, 40, 4


class Watch(Callback):
    """Keep the shortest time of an epoch, after the first few have verified the graph."""

    microseconds = float("inf")

    def on_epoch_begin(self, run):
        fakegpu.noexec(run.epoch > VERIFIED)
        self.before, self.start = fakegpu.counters(), time.perf_counter()

    def on_epoch_end(self, run):
        microseconds = 1e6 * (time.perf_counter() - self.start) / run.batches
        if run.epoch > VERIFIED and microseconds < self.microseconds:
            spent = {name: value - self.before[name] for name, value in fakegpu.counters().items()}
            calls = sum(spent[name] for name in ("launches", "gemm", "graphs", "h2d", "d2h", "d2d", "memset"))
            self.microseconds, self.calls = microseconds, calls / run.batches

    def on_fit_end(self, run):
        fakegpu.noexec(False)


class Plain(CupyBackend):
    """CuPy without graphs."""

    replayable = True
    loop = Backend.loop


def measure(backend):
    """Return the time of the host per step, in µs, and its calls of the driver."""
    rng = np.random.default_rng(0)
    x = backend.asarray(rng.normal(size=(BATCH * STEPS, 784)).astype(np.float32))
    y = backend.asarray(rng.integers(0, 10, BATCH * STEPS))
    layers = [Dense(128), ReLU(), Dense(10)]
    model = Model(layers, input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam(1e-4), backend=backend)
    watch = Watch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without computation, the loss is what was in memory
        model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, callbacks=[watch], progress=False)
    return watch.microseconds, watch.calls


if __name__ == "__main__":
    graphs = CupyBackend()
    microseconds, calls = measure(graphs)
    print(f"graphs: {microseconds:.1f} µs and {calls:.2f} calls per step; {graphs.graph}")
    print("plain:  {:.1f} µs and {:.2f} calls per step".format(*measure(Plain())))
    sys.exit(not (graphs.graph.startswith("yes") and calls <= MAX_CALLS))

"""Compare the paths and times of batch, mini-batch and stochastic gradient descent.

Two weights are fitted to 1 000 000 noisy examples, so the cost can be drawn as a contour plot. A batch step follows the exact
gradient but reads all examples; a stochastic step reads one example and follows a noisy gradient.

    python examples/gradient_descent.py
    python examples/gradient_descent.py --output gradient_descent.png

Needs matplotlib (extra `plots`).
"""

import argparse
import time
from typing import Any

import numpy as np

from anynet import SGD, Dense, HalfSquaredError, Model
from anynet.callbacks import Callback
from anynet.plots import check_output, save_or_show

KINDS = {"batch": (None, 0.5), "mini-batch of 32": (32, 0.2), "stochastic": (1, 0.02)}
TRUE = np.array([1.5, -1.0])


def make_data(count: int = 1_000_000) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated inputs, which make the contours elongated, and noisy outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 2)) @ np.array([[1.0, 0.6], [0.0, 0.6]])
    return x.astype("float32"), (x @ TRUE + 0.5 * rng.normal(size=count)).astype("float32")


class Recorder(Callback):
    """Record weights and time per step; stop after `seconds`, but not before step 30."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.times, self.weights = seconds, [], []

    def record(self, model: Model) -> None:
        self.times.append(time.perf_counter())
        self.weights.append(model.params[0]["weight"][:, 0].copy())

    def on_fit_begin(self, run: Any) -> None:
        self.record(run.model)

    def on_batch_end(self, run: Any) -> None:
        self.record(run.model)
        run.stop = self.times[-1] - self.times[0] > self.seconds and len(self.times) > 30


def main(seconds: float = 0.5, output: str | None = None) -> dict[str, float]:
    """Run each method for `seconds`, draw paths and costs, and return the final costs."""
    import matplotlib.pyplot as plt

    if not seconds > 0:
        raise ValueError(f"seconds: expected a positive number, got {seconds}")
    check_output(output)
    x, y = make_data()
    moment, cross, square = x.T @ x / len(x), x.T @ y / len(x), float(y @ y) / len(x)

    def cost(w: np.ndarray) -> np.ndarray:
        """Return ½ mean (y − x·w)² for an array of w."""
        return 0.5 * (np.einsum("...i,ij,...j->...", w, moment, w) - 2 * w @ cross + square)

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    grid = np.stack(np.meshgrid(np.linspace(-1.2, 2.4, 120), np.linspace(-1.8, 1.4, 120)), axis=-1)
    best = np.linalg.solve(moment, cross)
    left.contour(grid[..., 0], grid[..., 1], cost(grid), levels=np.geomspace(0.13, 4, 14), colors="lightgray")
    last = {}
    for name, (batch_size, rate) in KINDS.items():
        start = [[-0.8], [1.0]]
        model = Model(
            [Dense(1, use_bias=False, weight=start)], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(rate)
        )
        model.train_step(x[:1], y[:1])  # warm up
        model.params = [{"weight": np.array(start)}]
        recorder = Recorder(seconds)
        settings = {"batch_size": batch_size, "shuffle": False}  # the examples are in random order already
        model.fit(x, y, epochs=1_000_000, callbacks=[recorder], progress=False, **settings)
        path = np.array(recorder.weights)
        costs, step = cost(path), float(np.median(np.diff(recorder.times)))  # the median ignores one-off costs
        left.plot(*path[:400].T, ".-", markersize=3, linewidth=1, label=name)
        some = np.unique(np.geomspace(1, len(path) - 1, 120).astype(int))
        right.plot(some * step * 1e3, costs[some] - cost(best), ".-", markersize=4, linewidth=1, label=name)
        last[name] = float(costs[-1])
        print(f"{name:16}  {len(path) - 1:6} steps of {step * 1e6:5.0f} µs  cost {costs[0]:.3f} → {costs[-1]:.4f}")
    left.plot(*start, "ko", markersize=8, fillstyle="none", label="start")
    left.plot(*best, "k*", markersize=10, linestyle="none", label="minimum")
    left.set(xlabel="$w_1$", ylabel="$w_2$", title="paths of the first 400 steps")
    right.set(xscale="log", yscale="log", ylim=(1e-6, 3), title="cost over time")
    right.set(xlabel="time in ms (steps × median time per step)", ylabel="cost minus its minimum")
    left.legend()
    right.legend()
    save_or_show(figure, output)
    return last


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare batch, mini-batch and stochastic gradient descent.")
    parser.add_argument("--seconds", type=float, default=0.5, help="time per method (default 0.5)")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

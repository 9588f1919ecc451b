"""Why backpropagation? Compare its time with that of finite differences.

Finite differences need one forward pass per weight, backpropagation one forward and one backward pass. This script times
both on networks of increasing size. The ratio of the times grows linearly with the number of weights: a line of slope 1 on
logarithmic axes.

    python examples/why_backprop.py
    python examples/why_backprop.py --output why_backprop.png

Needs matplotlib (extra `plots`).
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from anynet import Dense, HalfSquaredError, Sequential, Tanh, tree
from anynet.plots import check_output, save_or_show

WIDTHS = (1, 3, 8, 16, 32, 64)
H = 1e-6


def backprop(network: Sequential, params: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Return the gradients by one forward and one backward pass."""
    loss = HalfSquaredError()
    y_pred, cache = network.forward(params, x)
    _, loss_cache = loss.forward(y, y_pred)
    _, grads = network.backward(params, cache, loss.backward(loss_cache), need_dx=False)
    return tree.leaves(grads, like=params)


def finite_differences(network: Sequential, params: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Return the gradients by one forward pass, and one more per increased weight."""
    loss = HalfSquaredError()

    def cost() -> float:
        return loss.forward(y, network.forward(params, x)[0])[0]

    start, grads = cost(), []
    for weights in tree.leaves(params):
        slopes = np.empty_like(weights)
        for index in np.ndindex(weights.shape):
            weight = weights[index]
            weights[index] = weight + H
            slopes[index] = (cost() - start) / H
            weights[index] = weight
        grads.append(slopes)
    return grads


def seconds(f: Callable[[], Any], repeats: int) -> float:
    """Return the CPU time of the fastest run, which other processes affect least."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        f()
        times.append(time.process_time() - start)
    return min(times)


def main(repeats: int = 3, output: str | None = None) -> float:
    """Time both methods, draw the times, and return the log-log slope of their ratio."""
    import matplotlib.pyplot as plt

    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1, got {repeats}")
    check_output(output)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 8)), rng.normal(size=(32, 1))
    counts, slow, fast = [], [], []
    for width in WIDTHS:
        network = Sequential([Dense(width), Tanh(), Dense(width), Tanh(), Dense(1)])
        params = network.init(np.random.default_rng(0), (8,))[0]
        for a, b in zip(finite_differences(network, params, x, y), backprop(network, params, x, y), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        counts.append(sum(a.size for a in tree.leaves(params)))
        slow.append(seconds(lambda n=network, p=params: finite_differences(n, p, x, y), repeats))
        fast.append(seconds(lambda n=network, p=params: backprop(n, p, x, y), 50 * repeats))
        print(
            f"{counts[-1]:6,} weights: {slow[-1] * 1e3:9.2f} ms and {fast[-1] * 1e3:6.3f} ms, {slow[-1] / fast[-1]:8.0f} : 1"
        )
    ratio = np.array(slow) / np.array(fast)
    slope, offset = np.polyfit(np.log(counts), np.log(ratio), 1)
    print(f"the ratio grows as the number of weights to the power {slope:.2f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.loglog(counts, np.array(slow) * 1e3, "o-", label="finite differences")
    left.loglog(counts, np.array(fast) * 1e3, "o-", label="backpropagation")
    left.set(title="time per gradient", xlabel="number of weights", ylabel="milliseconds of CPU time, fastest run")
    left.legend()
    right.loglog(counts, ratio, "o", label="measured")
    right.loglog(counts, np.exp(offset) * np.array(counts) ** slope, "k--", label=f"slope {slope:.2f}")
    right.set(title="finite differences / backpropagation", xlabel="number of weights", ylabel="ratio of the times")
    right.legend()
    save_or_show(figure, output)
    return float(slope)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time backpropagation against finite differences.")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs per measurement, of which the fastest counts (default 3)"
    )
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

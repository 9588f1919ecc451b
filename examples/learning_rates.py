"""Compare three learning rates on one weight: too low, right and too high.

A linear neuron with one weight has the cost ½ c (w − w*)². A step of gradient descent multiplies w − w* by 1 − αc, so it
converges slowly for small α, in one step for α = 1/c, and diverges for α > 2/c.

    python examples/learning_rates.py
    python examples/learning_rates.py --output learning_rates.png

Needs matplotlib (extra `plots`).
"""

import argparse

import numpy as np

from anynet import SGD, Dense, HalfSquaredError, Model
from anynet.plots import check_output, save_or_show

X, Y = np.array([[0.5], [1.0], [1.5]]), np.array([1.0, 2.0, 3.0])  # y = 2x
CURVATURE = float(np.mean(X**2))  # c
RATES = {"too low": 0.1 / CURVATURE, "right": 0.7 / CURVATURE, "too high": 2.1 / CURVATURE}


def descend(rate: float, steps: int) -> tuple[list[float], list[float]]:
    """Return the weight and the cost before each step and after the last."""
    model = Model(
        [Dense(1, use_bias=False, weight=[[0.0]])], input_shape=1, loss=HalfSquaredError(), optimizer=SGD(rate)
    )
    weights, costs = [], []
    for step in range(steps + 1):
        weights.append(float(model.params[0]["weight"][0, 0]))
        costs.append(model.evaluate(X, Y)["loss"])
        if step < steps:
            model.train_step(X, Y)
    return weights, costs


def main(steps: int = 12, output: str | None = None) -> dict[str, list[float]]:
    """Descend with each learning rate, draw the paths, and return the costs."""
    import matplotlib.pyplot as plt

    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    check_output(output)
    paths = {name: descend(rate, steps) for name, rate in RATES.items()}
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    for i, (name, (weights, costs)) in enumerate(paths.items()):
        ax = axes[i]
        reach = max(2.2, max(abs(w - 2) for w in weights) * 1.05)
        w = np.linspace(2 - reach, 2 + reach, 200)
        ax.plot(w, 0.5 * CURVATURE * (w - 2) ** 2, color="lightgray", linewidth=3, label="cost(w)")
        ax.plot(weights, costs, ".-", color=f"C{i}", label="steps")
        ax.plot(weights[0], costs[0], "ko", markersize=8, fillstyle="none", linestyle="none", label="start")
        ax.set(title=f"{name}: α = {RATES[name]:.2f}", xlabel="w", ylabel="cost")
        axes[-1].plot(costs, ".-", label=name)
        print(f"{name:8}  α = {RATES[name]:.3f}  cost {costs[0]:.3f} → {costs[-1]:.2g} after {steps} steps")
    axes[-1].set(title="cost per step", yscale="log", xlabel="step", ylabel="cost", ylim=(1e-9, 1e2))
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend()
    axes[-1].legend()
    save_or_show(figure, output)
    return {name: costs for name, (_, costs) in paths.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare three learning rates on a cost of one weight.")
    parser.add_argument("--steps", type=int, default=12, help="gradient descent steps (default 12)")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

"""Draw a parabola, the sigmoid and ReLU with their slopes.

    python examples/slopes.py
    python examples/slopes.py --output slopes.png

Needs matplotlib (extra `plots`).
"""

import argparse

import numpy as np

from anynet import Dense, MeanSquaredError, Model, ReLU, Sigmoid
from anynet.plots import check_output, save_or_show


def slope_of_error(weight: float) -> float:
    """Return the slope of error = weight², as the gradient of a neuron with input 1 and target 0."""
    layer = Dense(1, use_bias=False, weight=[[weight]])
    model = Model(layer, input_shape=1, loss=MeanSquaredError(), dtype="float64")
    _, grads = model.gradients([[1.0]], [0.0])
    return float(grads["weight"][0, 0])


def main(output: str | None = None) -> dict[str, float]:
    """Draw the functions and their slopes, and return some of the slopes."""
    import matplotlib.pyplot as plt

    check_output(output)
    slopes = {"error at -1": slope_of_error(-1.0)}
    figure, (left, *others) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    w = np.linspace(-2.2, 2.2, 200)
    left.plot(w, w**2, label="error = weight²")
    tangent = np.array([-2.0, 0.0])
    left.plot(
        tangent, 1 + slopes["error at -1"] * (tangent + 1), "--", label=f"slope {slopes['error at -1']:.0f} at -1"
    )
    left.plot(-1, 1, "o", color="C1")
    left.set(xlabel="weight", ylabel="error", title="Gradient descent: move against the slope")
    left.legend()

    for layer, name, at, ax in zip((Sigmoid(), ReLU()), ("σ", "ReLU"), (0.0, 1.0), others, strict=True):
        z = np.linspace(-6.0, 6.0, 241)
        y, cache = layer.forward({}, z)
        slope, _ = layer.backward({}, cache, np.ones_like(z))
        slopes[f"{name} at {at:g}"] = float(slope[np.argmin(np.abs(z - at))])
        ax.plot(z, y, label=f"{name}(z)")
        ax.plot(z, slope, "--", label=f"{name}′(z)")
        ax.set(
            xlabel="z",
            title=f"{name}, slope {slopes[f'{name} at {at:g}']:g} at z = {at:g}",
            ylim=(-0.1, min(y.max(), 3) + 0.1),
        )
        ax.legend()
    for name, slope in slopes.items():
        print(f"slope of {name}: {slope:g}")
    save_or_show(figure, output)
    return slopes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw three functions of the lecture notes with their slopes.")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

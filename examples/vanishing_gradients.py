"""Why "sigmoid is bad": how much of the gradient is left in the first layers of a deep network.

σ′(z) is at most ¼, so every layer of sigmoids divides the error that comes back by four or more; ReLU passes it on whole
where it passes anything on. The gradients are those of networks that have not been trained yet, which is when it matters.

    python examples/vanishing_gradients.py
    python examples/vanishing_gradients.py --depth 20 --output vanishing_gradients.png
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from anynet import Dense, GlorotUniform, HeNormal, Model, ReLU, Sigmoid, SoftmaxCrossEntropy, Tanh, load_digits
from anynet.plots import save_or_show

KINDS = {"sigmoid": (Sigmoid(), GlorotUniform()), "tanh": (Tanh(), GlorotUniform()), "ReLU": (ReLU(), HeNormal())}


def main(depth: int = 10, width: int = 64, output: str | None = None) -> dict[str, list[float]]:
    """Draw the size of ∂L/∂W in each layer, and return it."""
    (x, y), _ = load_digits()
    norms = {}
    for name, (activation, weight) in KINDS.items():
        hidden = [layer for _ in range(depth) for layer in (Dense(width, weight=weight), activation)]
        model = Model([*hidden, Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), dtype="float64")
        _, grads = model.gradients(x / 16, y)
        norms[name] = [float(np.linalg.norm(part["weight"])) for part in grads if part]
        first, last = norms[name][0], norms[name][-2]
        print(f"{name:8}  |∂L/∂W| in layer 1: {first:.1e}, in layer {depth}: {last:.1e}, ratio {first / last:.1e}")

    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, values in norms.items():
        ax.semilogy(range(1, len(values) + 1), values, "o-", label=name)
    ax.set(
        xlabel=f"layer, {depth + 1} is the output", ylabel="norm of ∂L/∂W", title="What of the gradient reaches a layer"
    )
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    save_or_show(figure, output)
    return norms


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="See gradients vanish in a deep network of sigmoids.")
    parser.add_argument("--depth", type=int, default=10, help="hidden layers")
    parser.add_argument("--width", type=int, default=64, help="neurons in each")
    parser.add_argument("--output", help="write the picture to this file instead of showing it")
    main(**vars(parser.parse_args()))

"""Why "sigmoid is bad": compare the gradient per layer for three activations.

σ′(z) is at most ¼, so every sigmoid divides the backpropagated error by at least four; the derivative of ReLU is 0 or 1.
The gradients are those of untrained networks, because that is where training starts.

    python examples/vanishing_gradients.py
    python examples/vanishing_gradients.py --depth 20 --output vanishing_gradients.png

Needs matplotlib (extra `plots`).
"""

import argparse

import numpy as np

from anynet import Dense, GlorotUniform, HeNormal, Model, ReLU, Sigmoid, SoftmaxCrossEntropy, Tanh, load_digits
from anynet.plots import check_output, save_or_show

KINDS = {"sigmoid": (Sigmoid(), GlorotUniform()), "tanh": (Tanh(), GlorotUniform()), "ReLU": (ReLU(), HeNormal())}


def main(depth: int = 10, width: int = 64, output: str | None = None) -> dict[str, list[float]]:
    """Draw the norm of ∂L/∂W in each layer, and return it."""
    import matplotlib.pyplot as plt

    if depth < 1:
        raise ValueError(f"depth: expected at least 1 hidden layer, got {depth}")
    check_output(output)
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
    ax.set(xlabel=f"layer ({depth + 1} is the output)", ylabel="norm of ∂L/∂W", title="gradient norm per layer")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    save_or_show(figure, output)
    return norms


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare the gradients in the layers of a deep network.")
    parser.add_argument("--depth", type=int, default=10, help="number of hidden layers (default 10)")
    parser.add_argument("--width", type=int, default=64, help="neurons per hidden layer (default 64)")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

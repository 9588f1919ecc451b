"""Train one sigmoid neuron on the OR gate and plot its cost and decision boundary.

The numbers are those of lecture note 002.

    python examples/or_gate.py
    python examples/or_gate.py --output or_gate.png

Needs matplotlib (extra `plots`).
"""

import argparse

from anynet import SGD, Dense, HalfSquaredError, Model, Sigmoid
from anynet.plots import check_output, plot_decision_boundary, plot_history, save_or_show

X = [[0, 0], [0, 1], [1, 0], [1, 1]]
Y = [0, 1, 1, 1]


def main(epochs: int = 5000, backend: str = "numpy", output: str | None = None) -> Model:
    """Train the neuron, draw its cost and decision boundary, and return the model."""
    import matplotlib.pyplot as plt

    check_output(output)
    model = Model(
        [Dense(1, weight=[[0.1], [0.6]], bias=[0.0]), Sigmoid()],
        input_shape=2,
        loss=HalfSquaredError(),
        optimizer=SGD(learning_rate=1.0),
        backend=backend,
    )
    history = model.fit(X, Y, epochs=epochs, batch_size=None)
    print("cost", *(f"{cost:.3f}" for cost in history["loss"][:2]), f"… {model.evaluate(X, Y)['loss']:.5f}")
    for x, y in zip(X, model.predict(X), strict=True):
        print(f"{x[0]} or {x[1]}: {float(y[0]):.3f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    plot_history(history, ax=left).set_ylabel("cost")
    left.set_title(f"{epochs:,} epochs of batch gradient descent, α = 1")
    plot_decision_boundary(model, X, Y, ax=right).set_title("ŷ: blue 0, red 1; the line is ŷ = 0.5")
    save_or_show(figure, output)
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train one sigmoid neuron on the OR gate.")
    parser.add_argument("--epochs", type=int, default=5000)
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

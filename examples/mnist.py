"""Train a classifier of MNIST's handwritten digits on any array library: 97.8 % of the test images after 10 epochs.

    python examples/mnist.py
    python examples/mnist.py --backend torch --device cuda
    python examples/mnist.py --output mnist.png

The picture (with matplotlib) shows what the network gets wrong, and what its first neurons look for.
Without a folder of your own in ANYNET_DATA, the first run downloads 11 MB into your cache.
"""

import argparse

import numpy as np

from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy, load_mnist


def main(
    backend: str = "numpy", device: str | None = None, epochs: int = 10, seed: int = 0, output: str | None = None
) -> float:
    """Train, draw a picture if a file for it is given, and return the accuracy on the test images."""
    (x_train, y_train), (x_test, y_test) = load_mnist()
    x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255
    model = Model(
        [Dense(128), ReLU(), Dense(10)],
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(1e-3),
        metrics=["accuracy"],
        backend=backend,
        device=device,
        seed=seed,
    )
    print(model.summary(), end="\n\n")
    model.fit(x_train, y_train, epochs=epochs, batch_size=128, progress=True)
    accuracy = model.evaluate(x_test, y_test)["accuracy"]
    print(f"\ntest accuracy {accuracy:.4f}")
    if output is not None:
        draw(model, x_test, y_test, output)
    return accuracy


def draw(model: Model, x: np.ndarray, y: np.ndarray, output: str) -> None:
    """Draw the images that are misread with the greatest certainty, and the weights of the first layer."""
    import matplotlib.pyplot as plt

    from anynet.plots import plot_predictions, plot_weights, save_or_show

    logits = model.predict(x)
    certainty = logits.max(axis=1) - np.take_along_axis(logits, y[:, None], axis=1)[:, 0]  # 0 where it is right
    worst = np.argsort(-certainty)[: min(30, int((certainty > 0).sum()))]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6.2), layout="constrained")
    plot_predictions(x[worst].reshape(-1, 28, 28), y[worst], logits[worst], count=30, columns=6, ax=left)
    left.set_title("misread with the greatest certainty")
    plot_weights(model, shape=(28, 28), count=64, ax=right)
    save_or_show(figure, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a classifier of MNIST's handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--device", help="such as cuda for torch, 1 for cupy, cpu for jax")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="write a picture to this file; needs matplotlib")
    main(**vars(parser.parse_args()))

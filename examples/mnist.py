"""Train a classifier of MNIST's handwritten digits on any array library: 97.8 % of the test images after 10 epochs.

    python examples/mnist.py
    python examples/mnist.py --backend torch --device cuda

Without a folder of your own in ANYNET_DATA, the first run downloads 11 MB into your cache.
"""

import argparse

from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy, load_mnist


def main(backend: str = "numpy", device: str | None = None, epochs: int = 10, seed: int = 0) -> float:
    """Train, and return the accuracy on the test images."""
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
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a classifier of MNIST's handwritten digits.")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--device", help="such as cuda for torch, 1 for cupy, cpu for jax")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))

"""Train a classifier of the MNIST handwritten digits on any array library.

    python examples/mnist.py
    python examples/mnist.py --model conv
    python examples/mnist.py --backend torch --device cuda
    python examples/mnist.py --output mnist.png

===========  =======================================  ======  =============  =========  =======
model        network                                  epochs  test accuracy  time       memory
===========  =======================================  ======  =============  =========  =======
mlp          784-128-10                               10      97.8 %         5 s        460 MiB
mlp-dropout  784-800-800-10, dropout                  20      98.6 %         2 min      460 MiB
conv         two convolutions with pooling and batch  5       99.2 %         2 - 5 min  620 MiB
             normalization, dropout
===========  =======================================  ======  =============  =========  =======

Time and memory were measured on one core with NumPy. The figure (needs matplotlib) shows misread images and the weights of
the first layer. The first run downloads 11 MB into your cache unless ANYNET_DATA names a folder with the data.
"""

import argparse
import math

import numpy as np

from anynet import (
    Adam,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    HeNormal,
    MaxPool2D,
    Model,
    OneCycle,
    ReLU,
    Reshape,
    SoftmaxCrossEntropy,
    load_mnist,
)
from anynet.plots import check_output

BATCH = 128
EPOCHS = {"mlp": 10, "mlp-dropout": 20, "conv": 5}


def build(name: str, steps: int, **options: object) -> Model:
    """Return the model with this name; its learning rate schedule lasts `steps` steps."""
    he = HeNormal()
    if name == "mlp":
        layers, optimizer = [Dense(128), ReLU(), Dense(10)], Adam(1e-3)
    elif name == "mlp-dropout":  # the network of Srivastava et al. (2014), section 6.1.1, with a faster optimizer
        hidden = [Dense(800, weight=he), ReLU(), Dropout(0.5)]
        layers, optimizer = [Dropout(0.2), *hidden, *hidden, Dense(10)], Adam(OneCycle(2e-3, steps=steps))
    else:  # pool first: normalization and activation then process a quarter of the numbers

        def block(filters: int) -> list:
            return [Conv2D(filters, 3, padding="same", weight=he), MaxPool2D(2), BatchNorm(), ReLU()]

        head = [Flatten(), Dropout(0.3), Dense(128, weight=he), ReLU(), Dropout(0.3), Dense(10)]
        layers, optimizer = [Reshape((28, 28, 1)), *block(16), *block(32), *head], Adam(OneCycle(3e-3, steps=steps))
    return Model(
        layers, input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=optimizer, metrics=["accuracy"], **options
    )


def main(
    model: str = "mlp",
    backend: str = "numpy",
    device: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    output: str | None = None,
) -> float:
    """Train the network, draw a figure if requested, and return the test accuracy."""
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs: expected at least 1, got {epochs}")
    if output is not None:
        check_output(output)
    (x_train, y_train), (x_test, y_test) = load_mnist()
    x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255
    epochs = EPOCHS[model] if epochs is None else epochs
    steps = epochs * math.ceil(len(x_train) / BATCH)
    network = build(model, steps, backend=backend, device=device, seed=seed)
    print(network.summary(), end="\n\n")
    network.fit(x_train, y_train, epochs=epochs, batch_size=BATCH, progress=True)
    accuracy = network.evaluate(x_test, y_test)["accuracy"]
    print(f"\ntest accuracy {accuracy:.4f}")
    if output is not None:
        draw(network, x_test, y_test, output)
    return accuracy


def draw(model: Model, x: np.ndarray, y: np.ndarray, output: str) -> None:
    """Draw the images misread with the largest margin, and the first layer's weights."""
    import matplotlib.pyplot as plt

    from anynet.backends import to_numpy
    from anynet.plots import plot_predictions, plot_weights, save_or_show

    logits = model.predict(x)
    margin = logits.max(axis=1) - np.take_along_axis(logits, y[:, None], axis=1)[:, 0]  # 0 if the prediction is correct
    worst = np.argsort(-margin)[: min(30, int((margin > 0).sum()))]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6.2), layout="constrained")
    plot_predictions(x[worst].reshape(-1, 28, 28), y[worst], logits[worst], count=30, columns=6, ax=left)
    left.set_title("misread with the largest margin: the digit, not the prediction")
    weight = to_numpy(next(part for part in model.params if part)["weight"])
    shape = (28, 28) if weight.ndim == 2 else weight.shape[:2]
    plot_weights(weight.reshape(-1, weight.shape[-1]), shape=shape, count=64, ax=right)
    count, kind = weight.shape[-1], "neurons" if weight.ndim == 2 else "filters"
    right.set_title(f"weights of {min(64, count)} of {count} {kind} in the first layer: red positive, blue negative")
    save_or_show(figure, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a classifier of the MNIST handwritten digits.")
    parser.add_argument("--model", default="mlp", choices=EPOCHS, help="network to train (default mlp)")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--device", help="for example cuda for torch, 1 for cupy, cpu for jax")
    parser.add_argument("--epochs", type=int, help="passes over the training images (default 10, 20 or 5, by model)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, image order and dropout (default 0)")
    parser.add_argument("--output", help="write a figure to this file; needs matplotlib")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

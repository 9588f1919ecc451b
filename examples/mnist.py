"""Train a classifier of MNIST's handwritten digits on any array library: 97.8 % of the test images after 10 epochs.

    python examples/mnist.py
    python examples/mnist.py --model conv
    python examples/mnist.py --backend torch --device cuda
    python examples/mnist.py --output mnist.png

===========  =======================================  ======  =============  =======  =======
model        network                                  epochs  right of test  time     memory
===========  =======================================  ======  =============  =======  =======
mlp          784-128-10                               10      97.8 %         5 s      460 MiB
mlp-dropout  784-800-800-10, dropout                  20      98.6 %         2 min    460 MiB
conv         two convolutions with pooling and batch  5       99.2 %         2 min    620 MiB
             normalisation, dropout
===========  =======================================  ======  =============  =======  =======

Time and memory are those of one core with NumPy. The picture (with matplotlib) shows what the network gets wrong, and what
its first neurons, or windows, look for.
Without a folder of your own in ANYNET_DATA, the first run downloads 11 MB into your cache.
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

BATCH = 128
EPOCHS = {"mlp": 10, "mlp-dropout": 20, "conv": 5}


def build(name: str, steps: int, **options: object) -> Model:
    """Return the model of a name, whose schedule takes `steps` steps."""
    he = HeNormal()
    if name == "mlp":
        layers, optimizer = [Dense(128), ReLU(), Dense(10)], Adam(1e-3)
    elif name == "mlp-dropout":  # the network of Srivastava et al. (2014), section 6.1.1, with a faster optimiser
        hidden = [Dense(800, weight=he), ReLU(), Dropout(0.5)]
        layers, optimizer = [Dropout(0.2), *hidden, *hidden, Dense(10)], Adam(OneCycle(2e-3, steps=steps))
    else:  # pooling comes first, so that the rest works on a quarter of the numbers

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
    """Train, draw a picture if a file for it is given, and return the accuracy on the test images."""
    (x_train, y_train), (x_test, y_test) = load_mnist()
    x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255
    epochs = epochs or EPOCHS[model]
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
    """Draw the images that are misread with the greatest certainty, and the weights of the first layer that has some."""
    import matplotlib.pyplot as plt

    from anynet.backends import to_numpy
    from anynet.plots import plot_predictions, plot_weights, save_or_show

    logits = model.predict(x)
    certainty = logits.max(axis=1) - np.take_along_axis(logits, y[:, None], axis=1)[:, 0]  # 0 where it is right
    worst = np.argsort(-certainty)[: min(30, int((certainty > 0).sum()))]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6.2), layout="constrained")
    plot_predictions(x[worst].reshape(-1, 28, 28), y[worst], logits[worst], count=30, columns=6, ax=left)
    left.set_title("misread with the greatest certainty")
    weight = to_numpy(next(part for part in model.params if part)["weight"])
    shape = (28, 28) if weight.ndim == 2 else weight.shape[:2]
    plot_weights(weight.reshape(-1, weight.shape[-1]), shape=shape, count=64, ax=right)
    save_or_show(figure, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a classifier of MNIST's handwritten digits.")
    parser.add_argument("--model", default="mlp", choices=EPOCHS)
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--device", help="such as cuda for torch, 1 for cupy, cpu for jax")
    parser.add_argument("--epochs", type=int, help="by default what the table says")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="write a picture to this file; needs matplotlib")
    main(**vars(parser.parse_args()))

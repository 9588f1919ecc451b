"""Training data of the contenders: synthetic batches, initial weights and MNIST. N rows, I inputs, O outputs."""

import gzip
import os
from pathlib import Path

import numpy as np

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def rows(network, count, seed=0):
    """Return x (N, I) and y for `network`: rows that cannot be fitted.

    Each input vector occurs twice with different targets, and with its negative. The loss stays positive and every
    hidden unit of the first layer stays active, however long a benchmark runs, so no gradient decays to denormal
    numbers.
    """
    rng = np.random.default_rng(seed)
    quarter = rng.standard_normal((count // 4, network.sizes[0]), dtype=np.float32)
    x = np.concatenate([quarter, -quarter, quarter, -quarter])
    if network.loss == "mse":
        y = rng.standard_normal((count, 1), dtype=np.float32)
    else:
        classes = network.sizes[-1]
        half = rng.permutation(np.arange(count // 2) % classes)
        y = np.concatenate([half, (half + 1) % classes])
    return x, y


def weights(network, seed=0):
    """Return a list of (weight (I, O), bias (O,)) per layer, Glorot-uniform and zero, float32."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False):
        limit = (6.0 / (inputs + outputs)) ** 0.5
        weight = rng.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
        layers.append((weight, np.zeros(outputs, np.float32)))
    return layers


def mnist_folder():
    """Return the folder with MNIST's four files, or None."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("ANYNET_DATA") or beside) / "mnist"
    return folder if all((folder / f"{name}-ubyte.gz").is_file() for name in FILES) else None


def read_mnist(count):
    """Return x, y of the first `count` training rows and of the test rows: float32 in [0, 1], int64 classes."""
    arrays = []
    for name in FILES:
        with gzip.open(mnist_folder() / f"{name}-ubyte.gz") as file:
            magic = file.read(4)
            shape = [int.from_bytes(file.read(4)) for _ in range(magic[3])]
            arrays.append(np.frombuffer(file.read(), np.uint8).reshape(shape))
    x, y, x_test, y_test = arrays
    return _pixels(x[:count]), y[:count].astype(np.int64), _pixels(x_test), y_test.astype(np.int64)


def _pixels(images):
    x = images.reshape(len(images), -1).astype(np.float32)
    x /= 255.0
    return x

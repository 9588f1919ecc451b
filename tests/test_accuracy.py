"""Real data: what a network must reach, in little time. The full figures are measured by the benchmarks."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, Dropout, Flatten, Model, ReLU, SoftmaxCrossEntropy, load_digits, load_mnist

pytestmark = pytest.mark.without("jax", "numpy-readonly", "strict:device1")


def test_digits(backend):
    """The embedded digits, tested on other writers: scikit-learn's network of the kind has 0.90 to 0.91."""
    if backend.name.startswith("strict"):
        pytest.skip("array-api-strict is right but slow")
    (x, y), (x_test, y_test) = load_digits()
    model = Model(
        [Dense(64), ReLU(), Dropout(0.1), Dense(10)],
        input_shape=64,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.005),
        metrics=["accuracy"],
        backend=backend,
    )
    history = model.fit(x / 16, y, epochs=20, batch_size=32)
    assert history["accuracy"][-1] > 0.98
    assert model.evaluate(x_test / 16, y_test)["accuracy"] > 0.9


def test_digits_by_plain_gradient_descent():
    (x, y), (x_test, y_test) = load_digits()
    model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.5), metrics=["accuracy"])
    losses = model.fit(x / 16, y, epochs=60, batch_size=None)["loss"]
    assert all(b < a for a, b in itertools.pairwise(losses)), "a convex loss must fall with every step"
    assert model.evaluate(x_test / 16, y_test)["accuracy"] > 0.85


@pytest.fixture(scope="module")
def mnist():
    data = Path(os.environ.get("ANYNET_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not (data / "mnist").is_dir():
        pytest.skip(f"needs MNIST: set ANYNET_DATA to a folder with mnist/*.gz; there is none in {data}")
    return load_mnist(data / "mnist", flatten=False)


def test_mnist(mnist):
    """784-128-10, Adam 1e-3, batch 128: after one epoch 93 % and more, after two 95 %."""
    (x, y), (x_test, y_test) = mnist
    model = Model(
        [Flatten(), Dense(128), ReLU(), Dense(10)],
        input_shape=(28, 28),
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(1e-3),
        metrics=["accuracy"],
    )
    x, x_test = (a.astype(np.float32) / 255 for a in (x, x_test))
    model.fit(x, y, batch_size=128)
    assert model.evaluate(x_test, y_test)["accuracy"] > 0.93
    model.fit(x, y, batch_size=128)
    assert model.evaluate(x_test, y_test)["accuracy"] > 0.95

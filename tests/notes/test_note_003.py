"""Note 003: MNIST with 784-10-10, ReLU, then softmax; dZ₂ = A₂ − Y.

The note writes an image as a column; with images in rows, dW₂ = 1/m A₁ᵀ dZ₂ and dZ₁ = dZ₂ W₂ᵀ ⊙ g′(Z₁). Slips: W₁ is labeled
784×10, but its product W₁ A₀ needs 10×784; b is labeled 10×m and is 10×1; g′(dZ₂) should be g′(Z₁); and db is called an average
*absolute* error, but is the average of signed errors. The note divides dW by m, not dZ₂. anynet's loss takes the mean, so its dZ₂
contains the 1/m and dW does not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anynet import SGD, Dense, Model, ReLU, Softmax, SoftmaxCrossEntropy, backends, load_mnist
from anynet.losses import CategoricalCrossEntropy

RNG = np.random.default_rng(3)


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(10)[labels]


def test_an_image_has_784_pixels() -> None:
    assert 28 * 28 == 784


def test_dz2_is_prediction_minus_label(array: Any, close: Any) -> None:
    """(A₂ − Y)/m from the fused loss, and from Softmax followed by CategoricalCrossEntropy."""
    m = 6
    z, labels = RNG.normal(size=(m, 10)), RNG.integers(0, 10, m)
    a2 = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = (a2 - one_hot(labels)) / m

    loss = SoftmaxCrossEntropy()
    _, cache = loss.forward(array(one_hot(labels)), array(z))
    close(loss.backward(cache), expected)

    probabilities, softmax_cache = Softmax().forward({}, array(z))
    _, cache = CategoricalCrossEntropy().forward(array(one_hot(labels)), probabilities)
    dz, _ = Softmax().backward({}, softmax_cache, CategoricalCrossEntropy().backward(cache))
    close(probabilities, a2)
    close(dz, expected)


def test_a_label_and_its_one_hot_row_are_equivalent(make: Any, close: Any) -> None:
    x, row = RNG.normal(size=(1, 3)), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert one_hot(np.array([4])).tolist() == [row]
    model = make(Dense(10), input_shape=3, loss=SoftmaxCrossEntropy())
    (loss, grads), (from_label, grads_from_label) = (model.gradients(x, y) for y in ([row], [4]))
    close(from_label, loss)
    close(grads_from_label["weight"], grads["weight"])


def test_gradients_of_the_784_10_10_network(make: Any, close: Any) -> None:
    """The note's equations, with an example in a column."""
    m = 7
    x, labels = RNG.random((m, 784)), RNG.integers(0, 10, m)
    model = make([Dense(10), ReLU(), Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy())
    w1, w2 = (backends.to_numpy(model.params[i]["weight"]).T for i in (0, 2))  # (10, 784), (10, 10)
    a0 = x.T  # (784, m)
    z1 = w1 @ a0
    a1 = np.maximum(z1, 0)
    z2 = w2 @ a1
    a2 = np.exp(z2) / np.exp(z2).sum(axis=0)

    dz2 = a2 - one_hot(labels).T  # (10, m)
    dw2, db2 = dz2 @ a1.T / m, dz2.sum(axis=1) / m
    dz1 = w2.T @ dz2 * (z1 > 0)
    dw1, db1 = dz1 @ a0.T / m, dz1.sum(axis=1) / m

    _, (hidden, _, output) = model.gradients(x, labels)
    close(output["weight"], dw2.T)
    close(output["bias"], db2)
    close(hidden["weight"], dw1.T)
    close(hidden["bias"], db1)


def test_update(make: Any, close: Any) -> None:
    x, labels = RNG.random((4, 784)), RNG.integers(0, 10, 4)
    settings = {"input_shape": 784, "loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.01)}
    model = make([Dense(10), ReLU(), Dense(10)], **settings)
    before = [np.array(backends.to_numpy(a)) for a in (model.params[0]["weight"], model.params[2]["bias"])]
    _, grads = model.gradients(x, labels)
    model.train_step(x, labels)
    close(model.params[0]["weight"], before[0] - 0.01 * backends.to_numpy(grads[0]["weight"]))
    close(model.params[2]["bias"], before[1] - 0.01 * backends.to_numpy(grads[2]["bias"]))


def test_training_on_mnist() -> None:
    """The note's network on the 60 000 images: the loss falls, and accuracy exceeds 90 % after two epochs."""
    if "ANYNET_DATA" not in os.environ and not (shared := Path(__file__).parents[3] / "shared/data/mnist").is_dir():
        pytest.skip("MNIST is not available: set ANYNET_DATA to a folder with mnist/*.gz")
    folder = None if "ANYNET_DATA" in os.environ else shared
    (x, y), (x_test, y_test) = load_mnist(folder)
    assert x.shape == (60000, 784)
    assert (x.min(), x.max()) == (0, 255)
    model = Model(
        [Dense(10), ReLU(), Dense(10)],
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=SGD(0.1),
        metrics=["accuracy"],
    )
    history = model.fit(x / np.float32(255), y, epochs=2, batch_size=32, progress=False)
    assert history["loss"][1] < history["loss"][0]
    assert model.evaluate(x_test / np.float32(255), y_test)["accuracy"] > 0.9

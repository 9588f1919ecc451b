"""The example from scratch learns, stands on NumPy alone, and computes what anynet's own layers compute."""

import ast

import numpy as np
import pytest

from anynet import Dense, ReLU, Sequential, SoftmaxCrossEntropy, load_digits
from tests.examples.test_examples import FOLDER, load

PATH = FOLDER / "from_scratch.py"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the examples are not beside the tests")


def test_learns():
    example = load(PATH)
    layers, params = example.main()
    _, (x, y) = load_digits()
    assert np.mean(example.forward(layers, params, x / 16)[0].argmax(axis=1) == y) > 0.9


def test_imports_only_the_data():
    imports = [
        node for node in ast.walk(ast.parse(PATH.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    assert [(node.module, [name.name for name in node.names]) for node in imports if node.module != "dataclasses"] == [
        ("anynet", ["load_digits"])
    ]


def test_step_is_that_of_anynet():
    """A step at learning rate 1 subtracts the gradients that anynet's layers return for the same parameters."""
    example, network, loss = load(PATH), Sequential([Dense(5), ReLU(), Dense(3)]), SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    params, _ = network.init(rng, (4,))
    x, labels = rng.normal(size=(6, 4)), np.arange(6) % 3

    layers = [example.Dense(5), example.ReLU(), example.Dense(3)]
    value, updated = example.train_step(layers, params, x, labels, learning_rate=1.0)

    y_pred, cache = network.forward(params, x)
    expected, loss_cache = loss.forward(labels, y_pred)
    _, grads = network.backward(params, cache, loss.backward(loss_cache))
    assert value == pytest.approx(float(expected), rel=1e-12)
    for before, after, grad in zip(params, updated, grads, strict=True):
        assert before.keys() == after.keys() == grad.keys()
        for name in before:
            np.testing.assert_allclose(before[name] - after[name], grad[name], rtol=1e-9, atol=1e-12)

"""Each network of examples/mnist.py takes steps, away from the data."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "examples" / "mnist.py"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the examples are not beside the tests")


@pytest.mark.parametrize("name", ["mlp", "mlp-dropout", "conv"])
def test_learns_a_batch(name):
    spec = importlib.util.spec_from_file_location("example_mnist", PATH)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model = example.build(name, 50, seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.random((32, 784), dtype=np.float32), np.arange(32) % 10
    losses = [float(model.train_step(x, y)) for _ in range(40)]
    assert losses[-1] < 0.6 * losses[0]

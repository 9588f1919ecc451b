"""The sums of examples/addition.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "examples" / "addition.py"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="there is no folder with the examples")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_addition", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_targets_are_the_digits_of_the_sums(example):
    x, y = example.additions(np.random.default_rng(0), 50, 20)
    assert x.shape == y.shape == (50, 42) and (y[:, ::2] == example.NO_TARGET).all()
    for digits, target in zip(x, y, strict=True):
        a, b, total = (example.number(part) for part in (digits[::2], digits[1::2], target[1::2]))
        assert a + b == total and max(a, b) < 10**20
    assert (y[:, -1] == 1).any()  # a carry into the highest digit


def test_it_learns_the_carry(example, capsys):
    """Half of the additions of 100 digits have a carry at each position, so a network without a carry is never correct."""
    assert example.main(epochs=20) > 0.9
    assert "87508430 + 69252295 = 156760725\n" in capsys.readouterr().out

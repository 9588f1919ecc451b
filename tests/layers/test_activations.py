"""Activations far from zero: finite, without warnings (which are errors here), and as their limits say."""

import numpy as np
import pytest

from anynet import ELU, GELU, SELU, LeakyReLU, Mish, PReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from tests.tools import fetch, place

FAR = np.array([-1e4, -100.0, 100.0, 1e4])
ONE, ZERO = np.array([1.0] * 4), np.array([0.0] * 4)
RIGHT = np.array([0.0, 0.0, 1.0, 1.0])
LIMITS = [
    (ReLU(), RIGHT * FAR, RIGHT),
    (LeakyReLU(0.1), (0.1 + 0.9 * RIGHT) * FAR, 0.1 + 0.9 * RIGHT),
    (PReLU(), (0.25 + 0.75 * RIGHT) * FAR, 0.25 + 0.75 * RIGHT),
    (ELU(), np.where(RIGHT, FAR, -1.0), RIGHT),
    (SELU(), np.where(RIGHT, 1.0507009873554805 * FAR, -1.7580993408473766), 1.0507009873554805 * RIGHT),
    (GELU(), RIGHT * FAR, RIGHT),
    (GELU("tanh"), RIGHT * FAR, RIGHT),
    (SiLU(), RIGHT * FAR, RIGHT),
    (Softplus(), RIGHT * FAR, RIGHT),
    (Mish(), RIGHT * FAR, RIGHT),
    (Sigmoid(), RIGHT, ZERO),
    (Tanh(), 2 * RIGHT - 1, ZERO),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("layer", "y", "slope"), LIMITS, ids=lambda v: repr(v) if not isinstance(v, np.ndarray) else ""
)
def test_far_from_zero(layer, y, slope, dtype, backend):
    params = place(backend, layer.init(np.random.default_rng(0), (4,))[0], dtype)
    found, cache = layer.forward(params, place(backend, FAR[None], dtype))
    dx, _ = layer.backward(params, cache, place(backend, ONE[None], dtype))
    np.testing.assert_allclose(fetch(backend, found)[0], y, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(fetch(backend, dx)[0], slope, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("make", [lambda: LeakyReLU(-0.1), lambda: ELU(-1.0), lambda: GELU("exact")])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="expected"):
        make()

"""Activations in every dtype: without warnings, which are errors here, like PyTorch's near zero and their limits far away."""

import numpy as np
import pytest

from anynet import ELU, GELU, SELU, LeakyReLU, Mish, PReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from tests.reference import reference
from tests.tools import PUBLIC, fetch

FAR = {"float16": [100.0, 6e4], "float32": [100.0, 1e4, 1e20, 1e38], "float64": [100.0, 1e4, 1e20, 1e300]}
ONE, RAMP, ZERO, BELOW = (lambda x: np.ones_like(x)), (lambda x: x), (lambda x: 0.0 * x), (lambda x: 0.0 * x - 1.0)
LIMITS = [
    (ReLU(), (ZERO, RAMP), (0.0, 1.0)),
    (LeakyReLU(0.1), (lambda x: 0.1 * x, RAMP), (0.1, 1.0)),
    (PReLU(), (lambda x: 0.25 * x, RAMP), (0.25, 1.0)),
    (ELU(), (BELOW, RAMP), (0.0, 1.0)),
    (SELU(), (lambda x: 0.0 * x - 1.7580993408473766, lambda x: 1.0507009873554805 * x), (0.0, 1.0507009873554805)),
    (GELU(), (ZERO, RAMP), (0.0, 1.0)),
    (GELU("tanh"), (ZERO, RAMP), (0.0, 1.0)),
    (SiLU(), (ZERO, RAMP), (0.0, 1.0)),
    (Softplus(), (ZERO, RAMP), (0.0, 1.0)),
    (Mish(), (ZERO, RAMP), (0.0, 1.0)),
    (Sigmoid(), (ZERO, ONE), (0.0, 0.0)),
    (Tanh(), (BELOW, ONE), (0.0, 0.0)),
]
"""A layer, its output far to the left and far to the right, and its slopes there."""


def value_and_slope(backend, layer, x, dtype):
    """Return g(x) and g′(x), computed in a dtype, in float64 on the host."""
    if dtype == "float16" and not hasattr(backend.xp, "float16"):
        pytest.skip("the standard has no float16")
    kind = backend.half(dtype) if dtype == "float16" else backend.dtype(dtype)
    params = {name: backend.asarray(a, kind) for name, a in layer.init(np.random.default_rng(0), (1,))[0].items()}
    y, cache = layer.forward(params, backend.asarray(np.array(x)[:, None], kind))
    dx, _ = layer.backward(params, cache, backend.asarray(np.ones((len(x), 1)), kind))
    assert y.dtype == dx.dtype == kind
    return (fetch(backend, a)[:, 0].astype("float64") for a in (y, dx))


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize(("layer", "y", "slope"), LIMITS, ids=lambda v: repr(v) if not isinstance(v, tuple) else "")
def test_far_from_zero(layer, y, slope, dtype, backend):
    for side, sign in enumerate((-1.0, 1.0)):
        x = sign * np.array(FAR[dtype])
        found = value_and_slope(backend, layer, x, dtype)
        tolerance = {"rtol": 4 * np.finfo(dtype).eps, "atol": 1e-30}
        for actual, expected in zip(found, (y[side](x), slope[side] + 0.0 * x), strict=True):
            np.testing.assert_allclose(actual, expected, **tolerance)


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize("entry", reference("activations"), ids=lambda entry: entry["layer"])
def test_near_zero(entry, dtype, backend):
    """Within a few roundings of the output, or of x where a gate close to 1 is rounded."""
    found = value_and_slope(backend, eval(entry["layer"], PUBLIC), np.array(entry["x"]), dtype)
    for actual, expected in zip(found, (entry["y"], entry["slope"]), strict=True):
        scale = 1.0 + np.abs(entry["x"])
        np.testing.assert_array_less(np.abs(actual - expected) / scale, 6 * np.finfo(dtype).eps)


@pytest.mark.parametrize("make", [lambda: LeakyReLU(-0.1), lambda: ELU(-1.0), lambda: GELU("exact")])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="expected"):
        make()

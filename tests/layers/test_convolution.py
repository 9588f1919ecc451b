"""Convolution and pooling: peak memory, and images of unsuitable shapes."""

import tracemalloc

import numpy as np
import pytest

from anynet import AvgPool2D, Conv1D, Conv2D, Dense, Flatten, MaxPool2D, Model, Residual
from anynet.layers import correlation

MIB = 2**20


def peak_of(function, *args):
    """Return the peak memory of a call in bytes, without its arguments, and its result."""
    tracemalloc.start()
    try:
        result = function(*args)
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(32, 32, 32, 16), (1, 256, 256, 8), (8, 300, 4, 64)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_needs_less_than_ten_times_its_input(shape, stride):
    layer = Conv2D(shape[3], 3, padding="same", stride=stride)
    params = {k: v.astype("float32") for k, v in layer.init(np.random.default_rng(0), shape[1:])[0].items()}
    x = np.ones(shape, "float32")
    up, (y, cache) = peak_of(layer.forward, params, x)
    down, _ = peak_of(layer.backward, params, cache, np.ones_like(y))
    assert x.nbytes >= MIB
    assert up < 7 * x.nbytes, up / x.nbytes  # including the output
    assert down < 7 * x.nbytes, down / x.nbytes  # including ∂L/∂x
    assert cache is x


@pytest.mark.parametrize("budget", [1, 200, 10**6])
@pytest.mark.parametrize(
    "layer", [Conv2D(4, (3, 2), stride=(2, 1), padding=1, groups=2), Conv2D(3, 3, dilation=2)], ids=repr
)
def test_is_the_same_in_pieces(layer, budget, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 7, 6, 4))
    params, shape = layer.init(rng, x.shape[1:])
    dy = rng.normal(size=(5, *shape))

    def run():
        y, cache = layer.forward(params, x)
        return y, *layer.backward(params, cache, dy)

    whole = run()
    monkeypatch.setattr(correlation, "budget", lambda x: budget)
    parts = run()
    for a, b in zip(whole[:2], parts[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole[2]["weight"], parts[2]["weight"], rtol=1e-12, atol=1e-12)


def build(*layers, shape):
    return Model([*layers], input_shape=shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: build(Dense(3), Conv2D(4, 3), shape=(5,)),
            r"layer 1: Conv2D\(4\): expected input of shape .*got \(3,\)",
        ),
        (lambda: build(Conv2D(4, 3), shape=(28, 28)), r"layer 0: .*got \(28, 28\); put Reshape"),
        (
            lambda: build(Conv2D(4, 3), Conv2D(4, (3, 5)), shape=(6, 6, 1)),
            r"layer 1: .*window 3 x 5.*got input \(4, 4, 4\)",
        ),
        (lambda: build(Conv2D(4, 3, dilation=4), shape=(8, 8, 1)), r"layer 0: .*window 9 x 9.*got input \(8, 8, 1\)"),
        (lambda: build(Conv2D(4, 3, groups=2), shape=(8, 8, 3)), "input channels divisible by groups=2, got 3"),
        (lambda: Conv2D(3, 3, groups=2), "filters divisible by groups=2, got 3"),
        (lambda: Conv1D(3, 3, groups=2), "filters divisible by groups=2, got 3"),
        (lambda: build(Conv1D(2, 5), shape=(4, 1)), r"window 5.*got input \(4, 1\)"),
        (
            lambda: build(Conv1D(2, 5), shape=(4, 4, 1)),
            r"expected input of shape \(length, channels\), got \(4, 4, 1\)",
        ),
        (lambda: build(MaxPool2D(5), shape=(4, 8, 1)), r"window \(5, 5\), got \(4, 8, 1\)"),
        (lambda: build(AvgPool2D(2), Flatten(), MaxPool2D(2), shape=(4, 8, 1)), r"layer 2: MaxPool2D: .*got \(8,\)"),
        (lambda: MaxPool2D(2, padding=2), "padding less than the window's 2, got"),
        (lambda: Conv2D(2, (3, 3, 3)), "kernel_size to be an int or two"),
        (lambda: Conv2D(2, 3, padding="full"), "'valid', 'same' or numbers, got 'full'"),
        (lambda: Conv2D(2, 3, stride=0), "stride >= 1, got 0"),
        (
            lambda: build(Residual([Conv2D(4, 3)]), shape=(8, 8, 4)),
            r"layer 0: Residual: .*got \(6, 6, 4\) and \(8, 8, 4\)",
        ),
        (lambda: build(Residual([Dense(3), Conv2D(4, 3)]), shape=(8,)), r"layer 0\.body\.1: Conv2D"),
    ],
)
def test_unsuitable_shapes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_channels_at_run_time():
    layer = Conv2D(2, 3)
    params, _ = layer.init(np.random.default_rng(0), (5, 5, 3))
    with pytest.raises(ValueError, match=r"expected x of shape \(N, H, W, 3\), got \(2, 5, 5, 4\)"):
        layer.forward(params, np.zeros((2, 5, 5, 4)))

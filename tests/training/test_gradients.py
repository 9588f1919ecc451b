"""Gradients that layers return: their dtypes and shapes, and numbers of NumPy in settings."""

from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    L2,
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Huber,
    Layer,
    LeakyReLU,
    Model,
    Rescale,
    SoftmaxCrossEntropy,
)
from anynet.arrays.namespace import namespace
from tests.tools import assert_same, fetch

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


@dataclass(frozen=True)
class Gain(Layer):
    """y = w x, with a gradient in the dtype and shape of the test."""

    wide: bool = False
    short: bool = False

    def init(self, rng, input_shape):
        return {"gain": np.ones(input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        return x * params["gain"], (x,)

    def backward(self, params, cache, dy, *, need_dx=True):
        xp = namespace(dy)
        gradient = xp.sum(dy * cache[0], axis=0)
        if self.wide:
            gradient = xp.astype(gradient, xp.float64)
        return dy * params["gain"], {"gain": gradient[:1] if self.short else gradient}


def make(layers, backend, **settings):
    defaults = {"input_shape": 3, "loss": "mse", "optimizer": Adam(0.01), "backend": backend}
    return Model(layers, **{**defaults, **settings})


@pytest.mark.without("jax", "jax-jit")  # has no float64 by default
def test_a_gradient_of_another_dtype_is_converted(backend):
    found = []
    for wide in (False, True):
        model = make([Dense(4), Gain(wide), Dense(1)], backend)
        model.fit(X, Y, epochs=3, batch_size=16, progress=False)
        assert {str(a.dtype) for a in fetch(backend, model.params[1]).values()} == {"float32"}
        found.append(fetch(backend, model.params))
    assert_same(*found)


def test_a_gradient_of_another_shape_is_refused(backend):
    model = make([Dense(4), Gain(short=True), Dense(1)], backend)
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(4,\) for parameter 1.gain, got \(1,\)"):
        model.fit(X, Y, progress=False)


@pytest.mark.parametrize(
    ("layers", "settings"),
    [
        (lambda number: [Dense(4), Dense(1)], lambda number: {"regularizer": L2(number(0.01))}),
        (lambda number: [Dense(4), LeakyReLU(number(0.5)), Dense(1)], lambda number: {}),
        (lambda number: [Dense(4), BatchNorm(epsilon=number(0.5)), Dense(1)], lambda number: {}),
        (lambda number: [Rescale(number(0.5)), Dense(1)], lambda number: {"loss": Huber(number(0.5))}),
        (lambda number: [Dense(1)], lambda number: {"optimizer": SGD(number(0.25), momentum=number(0.5))}),
    ],
    ids=["regularizer", "activation", "normalization", "loss", "optimizer"],
)
def test_numbers_of_numpy_in_settings_are_numbers(layers, settings, backend):
    """A NumPy number would make float64 of float32 arrays."""
    found = []
    for number in (float, np.float64, np.float32):
        model = make(layers(number), backend, **settings(number))
        model.fit(X, Y, epochs=2, batch_size=16, progress=False)
        assert model.predict(X).dtype == "float32"
        found.append(fetch(backend, model.params))
    numbers, doubles, singles = found
    assert_same(numbers, doubles)
    if "0.01" not in repr(settings(float)):  # the nearest float32 is another number
        assert_same(numbers, singles)


def test_settings_hold_numbers_of_python():
    assert type(L2(np.float64(0.1)).strength) is float
    assert type(SGD(np.float32(0.5), momentum=np.float64(0.5)).learning_rate) is float
    weights = SoftmaxCrossEntropy(class_weight=np.array([1.0, 2.0])).class_weight
    assert weights == (1.0, 2.0) and all(type(weight) is float for weight in weights)


@pytest.mark.parametrize("rate", [1, np.int64(1), np.float32(1.0)])
def test_a_learning_rate_may_be_an_integer(rate, backend):
    expected, model = (make([Dense(1)], backend, optimizer=SGD(one)) for one in (1.0, rate))
    for one in (expected, model):
        one.train_step(X[:8] * 0.1, Y[:8])
    assert_same(fetch(backend, expected.params), fetch(backend, model.params))


@pytest.mark.without("strict", "strict:device1", "jax", "jax-jit", "cupy", "cupy:1")
def test_a_schedule_may_return_a_number_of_numpy(backend):
    expected, model = (make([Dense(1)], backend, optimizer=SGD(rate)) for rate in (0.01, lambda step: np.float64(0.01)))
    for one in (expected, model):
        one.fit(X, Y, epochs=2, batch_size=16, progress=False)
    assert_same(fetch(backend, expected.params), fetch(backend, model.params))

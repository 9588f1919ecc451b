"""One seed, one result: the same weights, masks and batches on every backend, and steps that agree to rounding."""

import numpy as np
import pytest

from anynet import (
    SGD,
    Adam,
    Dense,
    Dropout,
    HeNormal,
    Model,
    Orthogonal,
    ReLU,
    SoftmaxCrossEntropy,
    Tanh,
    backends,
)
from tests.tools import assert_close, assert_same, fetch

pytestmark = pytest.mark.without("jax")

X = np.random.default_rng(0).normal(size=(40, 12))
Y = np.arange(40) % 3
LAYERS = [Dense(16, weight=HeNormal()), ReLU(), Dropout(0.4), Dense(8, weight=Orthogonal()), Tanh(), Dense(3)]
OPTIMIZERS = [SGD(0.1), SGD(0.1, momentum=0.9, nesterov=True), Adam(0.01)]


def make(backend, dtype, optimizer=None, seed=3):
    return Model(
        LAYERS, input_shape=12, loss=SoftmaxCrossEntropy(), optimizer=optimizer, backend=backend, dtype=dtype, seed=seed
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_bit_for_bit(dtype, backend):
    ours, theirs = make(backend, dtype), make("numpy", dtype)
    assert_same(fetch(backend, ours.params), fetch(theirs.backend, theirs.params))
    other = make(backend, dtype, seed=4)
    assert not np.array_equal(fetch(backend, other.params[0]["weight"]), fetch(backend, ours.params[0]["weight"]))


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{type(o).__name__}{len(o.slots)}")
def test_one_step_agrees(optimizer, dtype, atol, backend):
    models = [make(which, dtype, optimizer) for which in (backend, "numpy")]
    losses = [float(model.train_step(X, Y)) for model in models]
    assert losses[0] == pytest.approx(losses[1], rel=atol)
    ours, theirs = (fetch(model.backend, model.params) for model in models)
    assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 2e-5), ("float64", 1e-11)])
def test_an_epoch_with_shuffles_and_dropout_agrees(dtype, atol, backend):
    """Ten steps in the order that the seed gives, with the masks that the seed gives."""
    models = [make(which, dtype, SGD(0.1, momentum=0.9)) for which in (backend, "numpy")]
    histories = [model.fit(X, Y, batch_size=9, epochs=2) for model in models]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=10 * atol)
    assert_close(*(fetch(model.backend, model.params) for model in models), rtol=0, atol=atol)


def test_the_same_again_bit_for_bit(backend):
    first, second = (make(backend, "float32", Adam()) for _ in range(2))
    for model in (first, second):
        model.fit(X, Y, batch_size=16, epochs=2)
    assert_same(fetch(backend, first.params), fetch(backend, second.params))


def test_training_in_two_parts_is_training_in_one(backend):
    whole, parts = (make(backend, "float32", Adam()) for _ in range(2))
    whole.fit(X, Y, batch_size=16, epochs=3)
    parts.fit(X, Y, batch_size=16, epochs=1)
    parts.fit(X, Y, batch_size=16, epochs=2)
    assert_same(fetch(backend, whole.params), fetch(backend, parts.params))


def test_fit_and_train_step_go_the_same_way(backend):
    """One batch without a shuffle is one step, key and all."""
    fitted, stepped = (make(backend, "float64", Adam()) for _ in range(2))
    history = fitted.fit(X, Y, batch_size=None, epochs=3)
    assert [float(stepped.train_step(X, Y)) for _ in range(3)] == pytest.approx(history["loss"], rel=1e-12)
    assert_close(fetch(backend, fitted.params), fetch(backend, stepped.params), rtol=1e-13)


def test_two_models_on_two_backends_at_once(backend):
    """Steps taken in turns disturb neither; nothing is global."""
    one, two = make(backend, "float64", Adam()), make("strict", "float32", Adam())
    alone = [make(backend, "float64", Adam()), make("strict", "float32", Adam())]
    for _ in range(3):
        one.train_step(X, Y)
        two.train_step(X, Y)
    for model in alone:
        for _ in range(3):
            model.train_step(X, Y)
    assert_same(fetch(backend, one.params), fetch(backend, alone[0].params))
    strict = backends.get("strict")
    assert_same(fetch(strict, two.params), fetch(strict, alone[1].params))


def test_global_random_state_is_left_alone(backend):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    make(backend, "float32", Adam()).fit(X, Y, epochs=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)

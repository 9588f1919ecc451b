"""The learning-rate range test."""

import numpy as np
import pytest

from anynet import SGD, Dense, HalfSquaredError, Model, learning_rate_test
from anynet.optimizers import Optimizer

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 5))
y = x @ rng.normal(size=(5, 1))


def make(optimizer: Optimizer | None = None, **changes):
    return Model([Dense(1)], input_shape=5, loss=HalfSquaredError(), optimizer=optimizer or SGD(0.3), **changes)


def test_suggests_a_rate_that_trains_and_leaves_the_model_alone(backend):
    model = make(backend=backend)
    before = model.backend.to_numpy(model.params[0]["weight"]).tobytes()
    found = learning_rate_test(model, x, y, steps=60)
    assert model.backend.to_numpy(model.params[0]["weight"]).tobytes() == before and model.learning_rate_factor == 1
    assert found.rates[0] == pytest.approx(1e-7) and len(found.rates) == len(found.losses) <= 60
    assert 1e-3 < found.suggestion < 2  # with Var x = 1, descent diverges from a rate of 2
    history = make(SGD(found.suggestion), backend=backend).fit(x, y, epochs=5)
    assert history["loss"][-1] < 0.2 * history["loss"][0]


def test_ends_when_the_loss_explodes():
    found = learning_rate_test(make(), x, y, high=1e6, steps=200)
    assert len(found.rates) < 200 and np.isfinite(found.losses).all()


def test_picture():
    pytest.importorskip("matplotlib").use("agg")
    axes = learning_rate_test(make(), x, y, steps=30).plot()
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "learning rate"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 0.0}, r"learning_rate_test: expected low in \(0, inf\), got 0.0"),
        ({"low": 1.0, "high": 0.5}, r"expected high in \(1, inf\), got 0.5"),
        ({"steps": 1}, "expected steps >= 2, got 1"),
        ({"smoothing": 1.0}, r"expected smoothing in \[0, 1\), got 1.0"),
    ],
)
def test_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        learning_rate_test(make(), x, y, **settings)


def test_rate_must_be_a_number():
    with pytest.raises(ValueError, match="expected an optimizer whose learning_rate is a number, got SGD"):
        learning_rate_test(make(SGD(lambda step: 0.1)), x, y)

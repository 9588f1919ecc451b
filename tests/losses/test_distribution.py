"""Losses with another number of outputs than targets: `GaussianNLL` and `Quantile`, and one of the user's own."""

from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    Adam,
    CosineDecay,
    Dense,
    GaussianNLL,
    Loss,
    Losses,
    MeanSquaredError,
    Model,
    Parallel,
    Quantile,
    ReLU,
    check_gradients,
)


def noisy(count=2000):
    """Return x (N, 1) and y (N,) with mean 2x and standard deviation 0.1 + 0.4 x."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 1.0, (count, 1))
    return x, 2.0 * x[:, 0] + (0.1 + 0.4 * x[:, 0]) * rng.normal(size=count)


def fitted(loss, outputs):
    x, y = noisy()
    model = Model(
        [Dense(16), ReLU(), Dense(outputs)], input_shape=1, loss=loss, optimizer=Adam(CosineDecay(0.02, steps=1500))
    )
    model.fit(x, y, epochs=30, batch_size=40, progress=False)
    return model.predict(np.array([[0.2], [0.8]]))


def test_gaussian_nll_finds_mean_and_deviation():
    mean, log_variance = fitted(GaussianNLL(), 2).T
    np.testing.assert_allclose(mean, [0.4, 1.6], atol=0.05)
    np.testing.assert_allclose(np.exp(0.5 * log_variance), [0.18, 0.42], rtol=0.15)


def test_quantile_covers_its_levels():
    low, middle, high = fitted(Quantile([0.1, 0.5, 0.9]), 3).T
    np.testing.assert_allclose(middle, [0.4, 1.6], atol=0.08)
    np.testing.assert_allclose(high - low, 2 * 1.2816 * np.array([0.18, 0.42]), rtol=0.2)


@pytest.mark.parametrize("s", [-1e4, -200.0, 200.0, 1e4])
@pytest.mark.parametrize("error", [0.0, 1.0, 1e4])
def test_no_log_variance_overflows(s, error):
    y_pred = np.array([[error, s]], dtype=np.float32)
    value, cache = GaussianNLL().forward(np.zeros((1, 1), np.float32), y_pred)
    assert np.isfinite(value) and np.isfinite(GaussianNLL().backward(cache)).all()


def test_a_variance_of_zero_is_finite():
    loss = GaussianNLL(log_variance=False)
    value, cache = loss.forward(np.ones((1, 1)), np.array([[0.0, 0.0]]))
    assert np.isfinite(value) and np.isfinite(loss.backward(cache)).all()


@pytest.mark.parametrize(("loss", "outputs"), [(GaussianNLL(), 6), (Quantile([0.2, 0.8]), 6), (Quantile(0.5), 3)])
def test_through_a_model(loss, outputs):
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))
    model = Model([Dense(outputs)], input_shape=3, loss=loss)
    check_gradients(model, x, y)
    with pytest.raises(ValueError, match=r"expected y of shape \(N, 3\), .*, got \(5, 2\)"):
        model.evaluate(x, y[:, :2])


@pytest.mark.parametrize(("loss", "outputs"), [(GaussianNLL(), 3), (Quantile(), 4), (Quantile(), 2)])
def test_another_number_of_outputs_is_refused(loss, outputs):
    with pytest.raises(ValueError, match=r"expected a multiple of \d outputs, \d per target, got output shape"):
        Model([Dense(outputs)], input_shape=1, loss=loss)


def test_among_several_losses():
    both = Parallel([Dense(2), Dense(1)], combine=None)
    model = Model(both, input_shape=3, loss=Losses([GaussianNLL(), MeanSquaredError()]))
    x = np.ones((4, 3))
    assert np.isfinite(model.evaluate(x, (np.ones(4), np.ones(4)))["loss"])


@dataclass(frozen=True)
class Distance(Loss):
    """Squared distance of two outputs to one target: many outputs, one array of targets."""

    def target_shape(self, output_shape):
        return output_shape[0]

    def check_outputs(self, output_shape):
        assert len(output_shape) == 2

    def per_example(self, y_true, y_pred):
        error = y_pred[0] - y_pred[1] - y_true
        return (error**2).sum(axis=1), error

    def derivative(self, cache):
        return 2.0 * cache, -2.0 * cache

    def backward(self, cache):
        return tuple(part / len(part) for part in self.derivative(cache[0]))


def test_a_loss_of_two_outputs_and_one_target():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))
    model = Model(Parallel([Dense(3), Dense(3)], combine=None), input_shape=3, loss=Distance(), optimizer=Adam())
    check_gradients(model, x, y)
    assert np.isfinite(model.fit(x, y, progress=False)["loss"][0])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: GaussianNLL(epsilon=0.0), ValueError, r"expected epsilon in \(0, inf\)"),
        (lambda: Quantile([]), ValueError, "one or more levels"),
        (lambda: Quantile([0.5, 1.0]), ValueError, r"expected levels in \(0, 1\)"),
        (lambda: Quantile("half"), TypeError, "expected levels to be a number"),
    ],
)
def test_bad_settings_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()

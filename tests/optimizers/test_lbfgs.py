"""Test L-BFGS against the BFGS formula and scikit-learn, alone and in a model."""

from collections import deque

import numpy as np
import pytest

from anynet import L2, LBFGS, SGD, Dense, MeanSquaredError, Model, ReLU, SoftmaxCrossEntropy, Tanh, load
from anynet.arrays.namespace import namespace
from anynet.optimizers.lbfgs import inverse_hessian_times
from anynet.optimizers.linesearch import Point, strong_wolfe
from tests.tools import fetch, place


def rosenbrock(params):
    """Return the value and gradient of Rosenbrock's function of a vector split into two parameters."""
    (x, scalars) = params
    head, tail = x[:-1], x[1:]
    a, b = tail - head * head, 1.0 - head
    xp = namespace(x)
    zero = xp.zeros_like(x[:1])
    g = xp.concat([-400.0 * a * head - 2.0 * b, zero]) + xp.concat([zero, 200.0 * a])
    return xp.sum(100.0 * a * a + b * b) + xp.sum(scalars * scalars), [g, 2.0 * scalars]


@pytest.mark.parametrize(
    "first", [np.full(20, -1.2), np.tile([-1.2, 1.0], 10), np.zeros(20)], ids=["far", "classic", "zero"]
)
def test_minimizes_rosenbrock_in_twenty_dimensions(first, backend):
    params = place(backend, [first, np.array([3.0])])
    found = LBFGS().minimize(backend.compile(rosenbrock), params, steps=10)
    assert float(backend.to_numpy(rosenbrock(found)[0])) < 1e-8
    np.testing.assert_allclose(fetch(backend, found)[0], np.ones(20), atol=1e-6)


def test_two_loops_give_the_dense_formula(backend):
    """Compare with H ← (I − ρsyᵀ) H (I − ρysᵀ) + ρssᵀ, starting with H = (sᵀy/yᵀy) I of the newest pair."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(6, 6))
    s = rng.normal(size=(4, 6))
    y = s @ (basis @ basis.T + np.eye(6))
    g = rng.normal(size=6)
    h = np.eye(6) * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for a, b in zip(s, y, strict=True):
        left = np.eye(6) - np.outer(a, b) / (a @ b)
        h = left @ h @ left.T + np.outer(a, a) / (a @ b)
    pairs = deque(place(backend, (a, b, np.asarray(1.0 / (a @ b)))) for a, b in zip(s, y, strict=True))
    np.testing.assert_allclose(backend.to_numpy(inverse_hessian_times(place(backend, g), pairs)), h @ g, rtol=1e-10)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda a: -a / (a * a + 2.0), lambda a: (a * a - 2.0) / (a * a + 2.0) ** 2),
        (
            lambda a: (a + 0.004) ** 5 - 2.0 * (a + 0.004) ** 4,
            lambda a: 5.0 * (a + 0.004) ** 4 - 8.0 * (a + 0.004) ** 3,
        ),
        (lambda a: np.cosh(a - 3.0), lambda a: np.sinh(a - 3.0)),
    ],
    ids=["Moré-Thuente 1", "Moré-Thuente 2", "cosh"],
)
def test_line_search_finds_a_strong_wolfe_point(value, slope, first):
    """The first two are functions 5.1 and 5.2 of Moré and Thuente (1994); the last overflows for large distances."""
    start = Point(0.0, float(value(0.0)), float(slope(0.0)), None)
    with np.errstate(over="ignore"):
        point = strong_wolfe(lambda a: (float(value(a)), float(slope(a)), None), start, first)
    assert point.distance > 0
    assert point.value <= start.value + 1e-4 * point.distance * start.slope
    assert abs(point.slope) <= 0.9 * abs(start.slope)


def test_line_search_returns_the_start_where_nothing_is_lower():
    start = Point(0.0, 0.0, -1.0, None)  # an inconsistent slope
    assert strong_wolfe(lambda a: (a, 1.0, None), start, 1.0) is start


def small(backend="numpy", dtype="float64", **fields):
    layers = [Dense(5), Tanh(), Dense(1)]
    settings = {
        "input_shape": 2,
        "loss": MeanSquaredError(),
        "backend": backend,
        "dtype": dtype,
        "optimizer": LBFGS(**fields),
    }
    return Model(layers, **settings)


X = np.random.default_rng(0).normal(size=(30, 2))
Y = np.sin(X[:, :1]) * X[:, 1:]


def test_fits_alike_on_every_backend(backend):
    history = small(backend, iterations=5).fit(X, Y, epochs=6, batch_size=None)["loss"]
    expected = small(iterations=5).fit(X, Y, epochs=6, batch_size=None)["loss"]
    np.testing.assert_allclose(history, expected, rtol=1e-5)
    assert all(np.diff(history) < 0) and history[-1] < 0.05 * history[0]


def test_fits_in_float32(backend):
    history = small(backend, "float32").fit(X, Y, epochs=5, batch_size=None)["loss"]
    assert history[-1] < 0.02 * history[0]


def test_goes_on_where_it_was(backend, tmp_path):
    whole, first = small(backend, iterations=4), small(backend, iterations=4)
    whole.fit(X, Y, epochs=4, batch_size=None)
    first.fit(X, Y, epochs=2, batch_size=None)
    first.save(tmp_path / "model")
    second = load(tmp_path / "model", backend=backend)
    second.fit(X, Y, epochs=2, batch_size=None)
    np.testing.assert_allclose(
        backend.to_numpy(second.params[0]["weight"]), backend.to_numpy(whole.params[0]["weight"]), rtol=1e-12
    )


def test_stays_where_it_has_converged():
    params = [np.array([1e-9, 0.0])]
    found = LBFGS().minimize(lambda p: (0.5 * np.sum(p[0] ** 2), [p[0]]), params, steps=2)
    np.testing.assert_array_equal(found[0], params[0])


def test_reaches_the_loss_of_scikit_learn():
    """With its digits, network, penalty and limit of 200 iterations, the loss is at most 1 % higher."""
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    theirs = MLPClassifier(solver="lbfgs", random_state=0).fit(x, y)
    model = Model(
        [Dense(100), ReLU(), Dense(10)],
        input_shape=64,
        loss=SoftmaxCrossEntropy(),
        optimizer=LBFGS(iterations=20),
        regularizer=L2(1e-4 / len(x)),
        dtype="float64",
    )
    model.fit(x, y, epochs=10, batch_size=None)
    assert model.evaluate(x, y)["loss"] <= 1.01 * theirs.loss_


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda: small().fit(X, Y), ValueError, "batch_size=None"),
        (lambda: LBFGS().update([np.zeros(1)], [np.zeros(1)], {}), TypeError, "call step or minimize"),
        (lambda: LBFGS(iterations=0), ValueError, "iterations"),
        (lambda: LBFGS(history=0), ValueError, "history"),
        (lambda: LBFGS(tolerance=-1.0), ValueError, "tolerance"),
        (lambda: LBFGS(evaluations=1), ValueError, "evaluations"),
    ],
)
def test_bad_use_is_refused(act, error, text):
    with pytest.raises(error, match=text):
        act()


def test_minimize_works_with_every_optimizer():
    found = SGD(0.1).minimize(lambda p: (np.sum(p[0] ** 2), [2.0 * p[0]]), [np.ones(2)], steps=100)
    np.testing.assert_allclose(found[0], 0.0, atol=1e-8)

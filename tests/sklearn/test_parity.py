"""The estimators give the same results as those of scikit-learn."""

import inspect
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as TheirClassifier, MLPRegressor as TheirRegressor

from anynet.sklearn import MLPClassifier, MLPRegressor

PAIRS = {"classifier": (MLPClassifier, TheirClassifier), "regressor": (MLPRegressor, TheirRegressor)}


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)


def problem(kind, dtype="float64", n=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5)).astype(dtype)
    z = x @ rng.normal(size=(5, 3)) + 0.3 * rng.normal(size=(n, 3))
    y = {
        "binary": z[:, 0] > 0,
        "multiclass": np.array(["ant", "bee", "cat"])[z.argmax(1)],
        "multilabel": (z > 0).astype(int),
        "number": z[:, 0],
        "numbers": z,
        "poisson": np.floor(np.exp(z[:, 0].clip(-2, 2))),
        "poissons": np.floor(np.exp(z.clip(-2, 2))),
    }[kind]
    return x, y


def both(kind, **params):
    ours, theirs = PAIRS["classifier" if kind in ("binary", "multiclass", "multilabel") else "regressor"]
    if kind.startswith("poisson"):
        params["loss"] = "poisson"
    return ours(**params), theirs(**params)


KINDS = ["binary", "multiclass", "multilabel", "number", "numbers", "poisson", "poissons"]


def outputs(estimator, x):
    return estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x)


def close(ours, theirs, tolerance):
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_weights_predict_the_same(kind, dtype, tolerance):
    x, y = problem(kind, dtype)
    ours, theirs = both(kind, hidden_layer_sizes=(7, 4), activation="tanh", max_iter=15, random_state=1)
    quietly(theirs.fit, x, y)
    quietly(ours.set_params(max_iter=1, random_state=2).fit, x, y)
    ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
    expected = outputs(theirs, x)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(outputs(ours, x), expected, rtol=0, atol=tolerance * scale)
    assert outputs(ours, x).dtype == dtype
    np.testing.assert_allclose(ours.score(x, y), theirs.score(x, y), rtol=tolerance)
    if kind in ("binary", "multiclass", "multilabel"):
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x), strict=True)
        np.testing.assert_allclose(ours.predict_log_proba(x), theirs.predict_log_proba(x), rtol=0, atol=20 * tolerance)


SOLVERS = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False},
    {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    {"solver": "sgd", "learning_rate_init": 0.05, "learning_rate": "invscaling", "power_t": 0.2},
]


@pytest.mark.parametrize("params", SOLVERS, ids=lambda p: "-".join(map(str, p.values())))
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_from_the_same_weights(kind, params):
    x, y = problem(kind)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(x))
    for sample_weight in (None, weight):
        ours, theirs = both(kind, hidden_layer_sizes=(6,), alpha=0.1, random_state=4, **params)
        classes = {"classes": np.unique(y)} if kind in ("binary", "multiclass") else {}
        if kind == "multilabel":
            classes = {"classes": np.arange(3)}
        for estimator in (ours, theirs):
            estimator.partial_fit(x, y, sample_weight=sample_weight, **classes)
        close(ours, theirs, 1e-9)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("params", SOLVERS, ids=lambda p: "-".join(map(str, p.values())))
def test_the_same_random_state_trains_the_same(params, activation):
    """The last batch is smaller; weights, curve and counts agree over many epochs."""
    for kind in ("binary", "multiclass", "numbers"):
        x, y = problem(kind)
        settings = {
            "hidden_layer_sizes": (6,),
            "activation": activation,
            "batch_size": 25,
            "shuffle": False,
            "max_iter": 12,
        }
        ours, theirs = both(kind, alpha=0.01, random_state=5, **settings, **params)
        for estimator in (ours, theirs):
            quietly(estimator.fit, x, y)
        close(ours, theirs, 1e-9)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-9)
        for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
            assert getattr(ours, name) == getattr(theirs, name), name


@pytest.mark.parametrize("kind", ["binary", "multiclass", "number"])
@pytest.mark.parametrize("rate", ["constant", "adaptive"])
def test_training_stops_at_the_same_epoch(kind, rate):
    x, y = problem(kind)
    settings = {"solver": "sgd", "learning_rate": rate, "learning_rate_init": 0.1, "tol": 1e-2, "n_iter_no_change": 3}
    ours, theirs = both(kind, max_iter=300, batch_size=25, random_state=6, **settings)
    for estimator in (ours, theirs):
        quietly(estimator.fit, x, y)
    assert ours.n_iter_ == theirs.n_iter_ < 300
    close(ours, theirs, 1e-8)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "number"])
def test_early_stopping_holds_out_the_same_examples_and_keeps_the_best_weights(kind):
    x, y = problem(kind, n=200)
    ours, theirs = both(
        kind, early_stopping=True, batch_size=30, learning_rate_init=0.05, n_iter_no_change=4, random_state=7
    )
    for estimator in (ours, theirs):
        estimator.fit(x, y)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-9)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert ours.best_loss_ is theirs.best_loss_ is None
    close(ours, theirs, 1e-8)
    assert len(ours.validation_loss_curve_) == ours.n_iter_


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "number", "poisson"])
def test_lbfgs_finds_the_same_minimum(kind):
    x, y = problem(kind)
    settings = {"solver": "lbfgs", "hidden_layer_sizes": (4,), "activation": "tanh", "alpha": 0.1}
    ours, theirs = both(kind, max_iter=1000, random_state=8, **settings)
    for estimator in (ours, theirs):
        estimator.fit(x, y)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-3)
    assert ours.n_iter_ == pytest.approx(theirs.n_iter_, rel=0.1)
    assert not hasattr(ours, "loss_curve_") and not hasattr(theirs, "loss_curve_")


def test_a_warm_start_continues_with_zero_velocity():
    x, y = problem("multiclass")
    ours, theirs = both("multiclass", warm_start=True, batch_size=25, max_iter=5, random_state=9, solver="sgd")
    for estimator in (ours, theirs):
        for rate in (0.05, 0.02):
            quietly(estimator.set_params(learning_rate_init=rate).fit, x, y)
    close(ours, theirs, 1e-9)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_) == (5, 600)


def test_partial_fits_continue():
    x, y = problem("multiclass")
    ours, theirs = both("multiclass", batch_size=20, random_state=10)
    for estimator in (ours, theirs):
        for start in (0, 30, 10):
            estimator.partial_fit(
                x[start : start + 30], y[start : start + 30], classes=np.unique(y) if start == 0 else None
            )
    close(ours, theirs, 1e-9)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_) == (1, 90)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("changed", [{"alpha": 100.0}, {"activation": "tanh"}, {"batch_size": 10}], ids=str)
def test_partial_fits_use_the_current_parameters(solver, changed):
    """The averages of the optimizer and the number of its steps are kept."""
    x, y = problem("multiclass")
    ours, theirs = both("multiclass", alpha=0.0, batch_size=20, solver=solver, learning_rate_init=0.01, random_state=10)
    for estimator in (ours, theirs):
        for call in range(20):
            estimator.partial_fit(x, y, classes=np.unique(y) if call == 0 else None)
            if call == 4:
                estimator.set_params(**changed)
    close(ours, theirs, 1e-9)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_)


@pytest.mark.parametrize("begin", ["partial_fit", "fit"])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("rate", ["constant", "adaptive", "invscaling"])
@pytest.mark.parametrize("kind", ["multiclass", "number"])
def test_the_learning_rate_continues_over_partial_fits(kind, rate, dtype, tolerance, begin):
    """Over 30 calls, "adaptive" reacts to the loss of all calls, and "invscaling" counts all examples."""
    x, y = problem(kind, dtype)
    settings = {"solver": "sgd", "learning_rate": rate, "learning_rate_init": 0.02, "tol": 0.02, "n_iter_no_change": 3}
    ours, theirs = both(kind, batch_size=25, max_iter=9, random_state=10, **settings)
    for estimator in (ours, theirs):
        if begin == "fit":
            quietly(estimator.fit, x, y)
        for call in range(30):
            first = {"classes": np.unique(y)} if kind == "multiclass" and call == 0 else {}
            estimator.partial_fit(x, y, **first)
    expected = theirs._optimizer.learning_rate
    assert ours.learning_rate_init * ours.model_.learning_rate_factor == pytest.approx(expected, rel=1e-6)
    assert rate == "constant" or expected < 0.02 / 5
    close(ours, theirs, tolerance)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)
    quietly(ours.set_params(warm_start=True).fit, x, y)
    quietly(theirs.set_params(warm_start=True).fit, x, y)
    close(ours, theirs, tolerance)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_warm_start_rejects_other_classes(kind, method):
    """A subset of the classes is rejected too."""
    x, y = problem(kind)
    estimators = both(kind, warm_start=True, max_iter=2, random_state=0)
    for estimator in estimators:
        quietly(estimator.fit, x, y)
        before = estimator.coefs_[0].copy()
        for other in (np.full(len(y), y[0]) if y.ndim == 1 else y[:, :2], np.arange(len(y)) % 4 + 7):
            with pytest.raises(ValueError):
                getattr(estimator, method)(x, other)
        np.testing.assert_array_equal(estimator.coefs_[0], before)
        quietly(getattr(estimator, method), x, y)


def test_a_subset_of_the_classes_is_enough_without_warm_start():
    x, y = problem("multiclass")
    for estimator in both("multiclass", max_iter=2, random_state=0):
        quietly(estimator.fit, x, y)
        estimator.partial_fit(x, np.full(len(y), y[0]))
        assert len(estimator.classes_) == 3


def test_the_parameters_include_those_of_scikit_learn():
    for ours, theirs in PAIRS.values():
        given, expected = ours().get_params(), theirs().get_params()
        assert {name: given[name] for name in expected} == expected
        names = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[: len(names)] == names
        public = {name for name in dir(theirs) if not name.startswith("_")}
        assert public <= set(dir(ours))

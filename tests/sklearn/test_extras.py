"""Parameters in addition to those of scikit-learn, and errors for wrong parameters and data."""

import logging
import os
import signal
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier as TheirClassifier, MLPRegressor as TheirRegressor

from anynet import (
    ELU,
    GELU,
    LBFGS,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Clip,
    CosineDecay,
    Dense,
    Dropout,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    Lion,
    MeanSquaredError,
    OneCycle,
    Poisson,
    Quantile,
    ReLU,
    Tanh,
    tree,
)
from anynet.callbacks import EarlyStopping, LambdaCallback
from anynet.sklearn import MLPClassifier, MLPRegressor
from tests.sklearn.test_parity import PAIRS, problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 4, "random_state": 0, "batch_size": 25}


def fit(kind="multiclass", data=None, **params):
    x, y = problem(kind)
    estimator = MLPRegressor if kind.startswith("number") or kind == "poisson" else MLPClassifier
    return estimator(**{**SMALL, **params}).fit(x, y, **(data or {}))


def test_the_parameters_define_the_network():
    model = fit(activation=("tanh", GELU()), dropout=(0.5, 0.0), batch_norm=True).model_
    assert model.layer.layers == (
        Dense(6), BatchNorm(), Tanh(), Dropout(0.5), Dense(5), BatchNorm(), GELU(), Dense(3),
    )  # fmt: skip
    assert fit(activation=ELU(), dropout=0.2).model_.layer.layers == (
        Dense(6), ELU(), Dropout(0.2), Dense(5), ELU(), Dropout(0.2), Dense(3),
    )  # fmt: skip
    linear = fit(hidden_layer_sizes=())
    assert linear.model_.layer.layers == (Dense(3),)
    assert linear.n_layers_ == 2
    assert fit(hidden_layer_sizes=4).model_.layer.layers == (Dense(4), ReLU(), Dense(3))
    assert [a.shape for a in fit(batch_norm=True).coefs_] == [(5, 6), (6, 5), (5, 3)]


@pytest.mark.parametrize(
    "solver", [AdamW(0.01), Lion(0.003), Clip(SGD(0.05, momentum=0.9), norm=1.0), LBFGS(iterations=5)], ids=repr
)
def test_every_optimizer_learns(solver):
    fitted = fit(solver=solver, max_iter=60)
    assert fitted.model_.optimizer == solver
    assert fitted.loss_ < 0.5
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    x, y = problem("multiclass")
    if isinstance(solver, LBFGS):
        assert not hasattr(fitted, "partial_fit")
    else:
        assert fitted.partial_fit(x, y).n_iter_ == 1


def test_schedules():
    schedule = OneCycle(0.05, steps=12)
    for solver in ("sgd", "adam"):
        assert fit(solver=solver, learning_rate=schedule).model_.optimizer.learning_rate == schedule


def test_partial_fits_with_another_optimizer_or_network():
    x, y = problem("multiclass")
    fitted = fit(dropout=0.2, solver=Adam(CosineDecay(0.01, epochs=9)))
    model = fitted.partial_fit(x, y).model_
    steps = model.state.opt_state["step"]
    assert fitted.partial_fit(x, y).model_ is model and model.state.opt_state["step"] == steps + 3

    before = model.state
    fitted.set_params(dropout=0.0, label_smoothing=0.1).partial_fit(x[:25], y[:25])
    assert fitted.model_.layer.layers == (Dense(6), ReLU(), Dense(5), ReLU(), Dense(3))
    assert fitted.model_.loss.label_smoothing == 0.1 and model.state is not None
    assert fitted.model_.state.opt_state["step"] == before.opt_state["step"] + 1
    assert 0 < np.abs(fitted.coefs_[0] - before.params[0]["weight"]).max() < 0.02
    again = fitted.partial_fit(x, y).model_
    assert fitted.partial_fit(x, y).model_ is again

    fitted.set_params(solver=SGD(1e-9)).partial_fit(x, y)
    assert fitted.model_.optimizer == SGD(1e-9) and fitted.model_.state.opt_state["step"] == 3
    np.testing.assert_allclose(fitted.coefs_[0], again.params[0]["weight"], atol=1e-7)
    for params in ({"hidden_layer_sizes": (6, 4)}, {"hidden_layer_sizes": 6}, {"batch_norm": True}):
        kept = fitted.get_params()
        for train in (fitted.partial_fit, fitted.fit):
            fitted.set_params(**params, warm_start=train == fitted.fit)
            with pytest.raises(
                ValueError,
                match=r"expected parameters of shapes .* as in the previous fit, got .*; restore hidden_layer_sizes",
            ):
                train(x, y)
        fitted.set_params(**kept)


def test_regression_losses():
    x, y = problem("number")
    assert fit("number", loss=Huber(0.5), max_iter=300, learning_rate_init=0.01).score(x, y) > 0.8
    x, y = problem("poisson")
    counts = fit("poisson", loss=Poisson(), max_iter=100)
    theirs = fit("poisson", loss="poisson", max_iter=100)
    np.testing.assert_allclose(counts.predict(x), theirs.predict(x), rtol=1e-6)


def test_reported_losses_are_those_of_the_loss():
    """ "squared_error" is averaged over the outputs, as in scikit-learn, and every other loss is as defined."""
    x, y = problem("numbers")
    formulas = {
        "squared_error": lambda e: 0.5 * (e**2).mean(),
        HalfSquaredError(): lambda e: 0.5 * (e**2).sum(axis=1).mean(),
        MeanSquaredError(): lambda e: (e**2).mean(),
        Huber(0.5): lambda e: np.where(np.abs(e) < 0.5, 0.5 * e**2, 0.5 * (np.abs(e) - 0.25)).mean(),
    }
    for loss, formula in formulas.items():
        for solver in ("lbfgs", "adam"):
            fitted = fit("numbers", loss=loss, solver=solver, data={"validation_data": (x, y)}, batch_size=60)
            penalty = 0.5 * fitted.alpha * sum((w**2).sum() for w in fitted.coefs_) / len(x)
            expected = formula(fitted.predict(x) - y) + penalty
            found = fitted.validation_loss_curve_
            assert found[-1] == pytest.approx(expected, rel=1e-9)
            if solver == "lbfgs":
                assert fitted.loss_ == pytest.approx(expected, rel=1e-9)
            else:  # the loss before a step is that after the one before it
                np.testing.assert_allclose(fitted.loss_curve_[1:], found[:-1], rtol=1e-9)


@pytest.mark.parametrize(("kind", "loss"), [("number", Quantile([0.1, 0.9])), ("numbers", GaussianNLL())], ids=repr)
def test_losses_with_several_outputs_per_target_are_refused(kind, loss):
    with pytest.raises(
        ValueError, match=f"loss: expected one output per target, got {type(loss).__name__}.*; use Model"
    ):
        fit(kind, loss=loss)
    x, y = problem("number")
    median = fit("number", loss=Quantile(0.5), max_iter=200, learning_rate_init=0.01)
    assert median.score(x, y) > 0.8


def test_class_weights_are_sample_weights():
    x, y = problem("multiclass")
    weight = {"ant": 1.0, "bee": 3.0, "cat": 0.5}
    each = np.array([weight[label] for label in y])
    by_class = fit(class_weight=weight).predict_proba(x)
    np.testing.assert_array_equal(by_class, fit(data={"sample_weight": each}).predict_proba(x))
    both = fit(class_weight=weight, data={"sample_weight": each}).predict_proba(x)
    np.testing.assert_allclose(both, fit(data={"sample_weight": each**2}).predict_proba(x), rtol=1e-12)
    counts = {label: (y == label).sum() for label in set(y)}
    balanced = np.array([len(y) / (3 * counts[label]) for label in y])
    np.testing.assert_allclose(
        fit(class_weight="balanced").predict_proba(x),
        fit(data={"sample_weight": balanced}).predict_proba(x),
        rtol=1e-12,
    )
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=np.unique(y))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_label_smoothing_lowers_the_largest_probability(kind):
    x, _ = problem(kind)
    long = {"max_iter": 400, "learning_rate_init": 0.03, "alpha": 0.0, "tol": 0.0}
    sure, smooth = (fit(kind, label_smoothing=s, **long).predict_proba(x) for s in (0.0, 0.3))
    assert np.median(sure.max(axis=1)) > 0.99
    assert 0.7 < np.median(smooth.max(axis=1)) < 0.95


def test_validation_data():
    x, y = problem("multiclass")
    held = (x[:20], y[:20], np.linspace(1, 2, 20))
    fitted = MLPClassifier(**SMALL).fit(x[20:], y[20:], validation_data=held)
    assert len(fitted.validation_loss_curve_) == len(fitted.loss_curve_) == 4
    p = fitted.predict_proba(held[0])[np.arange(20), np.searchsorted(fitted.classes_, held[1])]
    penalty = 0.5 * fitted.alpha * sum((w**2).sum() for w in fitted.coefs_) / held[2].sum()
    expected = np.average(-np.log(p), weights=held[2]) + penalty
    np.testing.assert_allclose(fitted.validation_loss_curve_[-1], expected, rtol=1e-9)
    plain = MLPClassifier(**SMALL).fit(x[20:], y[20:])
    assert plain.validation_loss_curve_ is None
    np.testing.assert_array_equal(plain.predict_proba(x), fitted.predict_proba(x))

    stopped = MLPClassifier(**{**SMALL, "max_iter": 200}, early_stopping=True, n_iter_no_change=3)
    stopped.fit(x[20:], y[20:], validation_data=held)
    assert stopped.n_iter_ == len(stopped.validation_scores_) < 200
    assert stopped.score(*held) == pytest.approx(stopped.best_validation_score_) == max(stopped.validation_scores_)

    regressor = MLPRegressor(**SMALL, solver="lbfgs").fit(x, x[:, :2], validation_data=(x[:20], x[:20, :2]))
    assert len(regressor.validation_loss_curve_) == regressor.n_iter_ == 4
    with pytest.raises(ValueError, match="validation_data"):
        MLPClassifier(**SMALL).fit(x, y, validation_data=x)
    with pytest.raises(ValueError, match=r"^validation_data: y: expected classes among"):
        MLPClassifier(**SMALL).fit(x, y, validation_data=(x, np.full(len(x), "dog")))
    with pytest.raises(ValueError, match=r"^validation_data: X has 2 features"):
        MLPClassifier(**SMALL).fit(x, y, validation_data=(x[:, :2], y))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "number"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_scores_of_held_out_data_are_those_of_score(kind, weighted):
    x, y = problem(kind)
    held = (x[:30], y[:30], np.linspace(0, 2, 30))[: 3 if weighted else 2]
    stopped = fit(kind, early_stopping=True, data={"validation_data": held}, max_iter=12)
    assert max(stopped.validation_scores_) == stopped.score(*held)


def test_callbacks():
    x, y = problem("multiclass")
    seen = []
    fit(callbacks=[LambdaCallback(on_epoch_end=lambda run: seen.append(run.epoch))])
    assert seen == [1, 2, 3, 4]
    stopping = EarlyStopping(patience=2)
    fitted = fit(callbacks=[stopping], max_iter=300, learning_rate_init=0.1, data={"validation_data": (x[:9], y[:9])})
    assert fitted.n_iter_ < 300
    assert min(fitted.validation_loss_curve_) == stopping.best


def test_verbose_and_progress(capsys):
    fit(verbose=True, early_stopping=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("Iteration 1, loss = ")
    assert lines[1].startswith("Validation score: ")
    fit(progress=True)
    assert len(capsys.readouterr().out.splitlines()) == 4
    fit(solver="lbfgs", verbose=True)
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")
    fit()
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_ctrl_c_stops_training_and_keeps_the_weights(caplog):
    caplog.set_level(logging.CRITICAL, logger="anynet")

    def press(run):
        if run.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted"):
        fitted = fit(max_iter=50, callbacks=[LambdaCallback(on_epoch_begin=press)])
    assert fitted.n_iter_ < 50
    fitted.predict(problem("multiclass")[0])


def test_the_seed_determines_the_result():
    x, _ = problem("multiclass")
    first, again, other = (fit(dropout=0.3, random_state=s).predict_proba(x) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    generator = np.random.RandomState(1)
    np.testing.assert_array_equal(fit(dropout=0.3, random_state=generator).predict_proba(x), first)


WRONG = [
    {"hidden_layer_sizes": (3, -1)},
    {"hidden_layer_sizes": "many"},
    {"activation": "swish"},
    {"solver": "newton"},
    {"alpha": -1.0},
    {"batch_size": 0},
    {"learning_rate": "fast"},
    {"learning_rate_init": 0.0},
    {"max_iter": -1},
    {"momentum": 2.0},
    {"beta_1": 1.0},
    {"validation_fraction": 1.5},
    {"tol": -1.0},
    {"n_iter_no_change": 0},
    {"early_stopping": "yes"},
    {"random_state": "seed"},
]


@pytest.mark.parametrize("params", WRONG, ids=lambda p: next(iter(p)))
def test_wrong_parameters_raise_as_in_scikit_learn(params):
    x, y = problem("binary")
    name = next(iter(params))
    for ours, theirs in PAIRS.values():
        with pytest.raises(Exception) as expected:
            theirs(**params).fit(x, y)
        with pytest.raises(expected.type, match=name):
            ours(**params).fit(x, y)


OURS = [
    {"dropout": 1.0},
    {"dropout": (0.1,)},
    {"activation": ("relu",)},
    {"activation": ("relu", "swish")},
    {"label_smoothing": 2.0},
    {"class_weight": "heavy"},
    {"dtype": "int8"},
    {"backend": 3},
    {"callbacks": "all"},
    {"batch_norm": "yes"},
]


@pytest.mark.parametrize("params", OURS, ids=str)
def test_wrong_additional_parameters(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        fit(**params)


def test_incompatible_parameters():
    with pytest.raises(ValueError, match="dropout"):
        fit(solver="lbfgs", dropout=0.1)
    with pytest.raises(ValueError, match="batch_norm"):
        fit(solver="lbfgs", batch_norm=True)
    x, y = problem("binary")
    with pytest.raises(ValueError, match="early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(x, y, classes=[False, True])
    with pytest.raises(ValueError, match="validation_fraction"):
        MLPRegressor(early_stopping=True).fit(x[:10], x[:10, 0])
    for estimator in (MLPClassifier(solver="lbfgs"), TheirClassifier(solver="lbfgs")):
        with pytest.raises(AttributeError):
            estimator.partial_fit(x, y)


def bad_data():
    x, y = problem("multiclass")
    nan, numbers = np.where(x > 2, np.nan, x), problem("number")[1]
    return {
        "nan": (nan, y),
        "infinity": (np.where(x > 1, np.inf, x), y),
        "one axis": (x[:, 0], y),
        "three axes": (x[:, :, None], y),
        "nothing": (x[:0], y[:0]),
        "lengths": (x, y[:5]),
        "words": (np.full(x.shape, "word"), y),
        "numbers": (x, numbers),
        "no targets": (x, None),
        "two columns of classes": (x, np.unique(np.stack([y, y], axis=1), return_inverse=True)[1].reshape(60, 2)),
        "nan in y": (x, np.where(numbers > 1, np.nan, numbers)),
    }


@pytest.mark.parametrize("name", bad_data())
def test_bad_data_raise_as_in_scikit_learn(name):
    x, y = bad_data()[name]
    for ours, theirs in ((MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)):
        try:
            theirs(max_iter=1).fit(x, y)
        except Exception as expected:
            with pytest.raises(type(expected)):
                ours(max_iter=1).fit(x, y)
        else:
            ours(max_iter=1).fit(x, y)


def test_later_calls_with_wrong_data_raise_as_in_scikit_learn():
    x, y = problem("multiclass")
    for estimator in (MLPClassifier(max_iter=2), TheirClassifier(max_iter=2)):
        with pytest.raises(NotFittedError):
            estimator.predict(x)
        with pytest.raises(ValueError, match="classes"):
            estimator.partial_fit(x, y)
        estimator.fit(x, y)
        with pytest.raises(ValueError, match="features"):
            estimator.predict(x[:, :2])
        with pytest.raises(ValueError, match="class"):
            estimator.partial_fit(x, np.full(len(x), "dog"))
        with pytest.raises(ValueError, match="class"):
            estimator.set_params(warm_start=True).fit(x, np.full(len(x), "dog"))
    assert not hasattr(MLPClassifier(), "coefs_")


def settings(fitted):
    """Return all that a fit may change, as a text of exact numbers."""
    model = fitted.model_
    arrays = [(path, a.tolist()) for path, a in tree.leaves_with_paths(model.state)]
    rest = {name: value for name, value in vars(fitted).items() if name not in ("model_", "_binarizer")}
    return repr((rest, arrays, model.epoch, dict(model.history), model.config))


@pytest.mark.parametrize("kind", ["multiclass", "number"])
@pytest.mark.parametrize("method", ["fit", "warm", "partial_fit"])
def test_a_failed_fit_changes_nothing(kind, method):
    x, y = problem(kind)
    other = y[::-1] if kind == "number" else np.where(y == "ant", "cow", "dog")
    fitted = fit(kind)
    if method == "partial_fit":
        other = y[::-1]
        fitted.partial_fit(x, y)
    elif method == "warm":
        other = y[::-1]
        fitted.set_params(warm_start=True)
    train = fitted.partial_fit if method == "partial_fit" else fitted.fit
    before = settings(fitted)

    def fail(run):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fitted.set_params(callbacks=[LambdaCallback(on_epoch_end=fail)])
        train(x, other)
    fitted.set_params(callbacks=None)
    assert settings(fitted) == before
    with pytest.raises(ValueError, match="inconsistent"):
        train(x[:, :5], other[:9])
    assert settings(fitted) == before
    fitted.set_params(solver="sgd", learning_rate_init=1e100)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite"):
        train(x, other)
    fitted.set_params(solver="adam", learning_rate_init=0.001)
    assert settings(fitted) == before
    if method == "fit":
        with pytest.raises(ValueError, match="validation_data"):
            train(x[:, :3], other, validation_data=(x[:, :2], other))
        assert settings(fitted) == before
    train(x, y)


def test_a_failed_first_partial_fit_leaves_no_classes():
    x, y = problem("multiclass")
    classifier = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match="NaN"):
        classifier.partial_fit(x * np.nan, y, classes=np.unique(y))
    assert vars(classifier) == vars(MLPClassifier(**SMALL))
    assert classifier.partial_fit(x, y, classes=["ant", "bee", "cat", "dog"]).classes_.size == 4


def test_overflow_is_an_error():
    x, y = problem("number")
    for kind in (MLPRegressor, TheirRegressor):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite"):
            kind(solver="sgd", learning_rate_init=1e6, hidden_layer_sizes=(9,), random_state=0).fit(
                1e150 * x, 1e150 * y
            )


def test_setting_weights_checks_them():
    fitted = fit()
    with pytest.raises(ValueError, match="3 arrays"):
        fitted.coefs_ = fitted.coefs_[:2]
    with pytest.raises(ValueError, match="shape"):
        fitted.coefs_ = fitted.coefs_[::-1]

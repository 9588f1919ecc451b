"""The estimators for tables: checks of scikit-learn, recipes, kinds of data, files, backends and errors."""

import logging
import os
import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given, strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

from anynet import BatchEnsemble, Dense, Dropout, EachDense, Members, ReLU, backends, load, tree
from anynet.callbacks import Checkpoint, LambdaCallback
from anynet.initializers import Blocks, Normal, RandomSigns
from anynet.sklearn import (
    RealMLPClassifier,
    RealMLPRegressor,
    TablePreprocessor,
    TabMClassifier,
    TabMRegressor,
    realmlp,
)
from anynet.sklearn.tabm import quantile_edges
from anynet.sklearn.tabular import Rows
from tests.sklearn.test_preprocessing import MISSING, table

pandas = pytest.importorskip("pandas")

CLASSIFIERS, REGRESSORS = [RealMLPClassifier, TabMClassifier], [RealMLPRegressor, TabMRegressor]
ESTIMATORS = CLASSIFIERS + REGRESSORS
TABMS = [TabMClassifier, TabMRegressor]
SMALL = {"hidden": (8, 8), "epochs": 3, "batch_size": 64, "random_state": 0}
REALMLP, TABM = {"hidden": (32, 32), "epochs": 24}, {"hidden": (32, 32), "members": 4, "epochs": 40}
CHECKED = {
    "RealMLPClassifier": RealMLPClassifier(**REALMLP),
    "RealMLPClassifier, simple": RealMLPClassifier(**REALMLP, regularized=False),
    "RealMLPRegressor": RealMLPRegressor(**REALMLP),
    "RealMLPRegressor, simple": RealMLPRegressor(**REALMLP, regularized=False),
    "TabMClassifier": TabMClassifier(**TABM),
    "TabMClassifier, bins": TabMClassifier(**TABM, bins=6),
    "TabMRegressor": TabMRegressor(**TABM),
}


def rows(kind, count=200, seed=0):
    """Return a table with categories and missing values, and targets that depend on it."""
    frame = table(count, seed).drop(columns="city")
    z = (frame["age"] - 50) / 20 + (frame["color"] == "red") - frame["income"].isna() + 0.2 * frame["rank"]
    if kind in REGRESSORS:
        return frame, 1000.0 + 50.0 * z.to_numpy()
    return frame, np.array(["low", "mid", "top"])[np.digitize(z, [-0.5, 0.7])]


def small(kind, **params):
    return kind(**{**SMALL, **params})


def outputs(fitted, X):
    return fitted.predict_proba(X) if hasattr(fitted, "predict_proba") else fitted.predict(X)


# Interface --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", CHECKED.values(), ids=CHECKED)
def test_estimator_checks(estimator):
    """All checks pass, except one that is skipped, as scikit-learn's array API is off."""
    failed, count = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for copied, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            count += 1
            if name != "check_array_api_input":
                try:
                    check(copied)
                except Exception as error:
                    failed.append((name, repr(error)))
    assert not failed
    assert count > 50


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_defaults_learn(kind):
    X, y = rows(kind, 400)
    quick = {"epochs": 32} if kind in (RealMLPClassifier, RealMLPRegressor) else {"members": 4, "hidden": (64, 64)}
    fitted = kind(**quick, random_state=0).fit(X, y)
    assert fitted.score(*rows(kind, 400, seed=1)) > 0.8
    assert fitted.n_features_in_ == 5 and fitted.feature_names_in_.tolist() == X.columns.tolist()
    assert len(fitted.best_epochs_) == 1 and 1 <= fitted.best_epochs_[0] <= fitted.epochs


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_seed_determines_the_result(kind):
    X, y = rows(kind)
    first, again, other = (outputs(small(kind, random_state=s).fit(X, y), X) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    fitted = small(kind).fit(X, y)
    np.testing.assert_array_equal(outputs(pickle.loads(pickle.dumps(fitted)), X), first)
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_several_networks_are_averaged(kind):
    X, y = rows(kind)
    fitted = small(kind, members=3).fit(X, y)
    assert len(fitted.best_epochs_) == len(fitted.best_scores_) == (1 if kind in TABMS else 3)
    z = fitted.model_.predict(fitted.preprocessor_.transform(X))
    assert z.shape == (200, 3, 3 if kind in CLASSIFIERS else 1)
    assert np.abs(z[:, 0] - z[:, 1]).max() > 1e-3
    if kind in CLASSIFIERS:
        e = np.exp(z - z.max(axis=2, keepdims=True))
        np.testing.assert_allclose(fitted.predict_proba(X), (e / e.sum(axis=2, keepdims=True)).mean(axis=1), rtol=1e-6)
    else:
        expected = fitted.y_mean_ + fitted.y_scale_ * z.mean(axis=1)
        expected = expected if kind in TABMS else expected.clip(*fitted.y_range_)
        np.testing.assert_allclose(fitted.predict(X), expected[:, 0], rtol=1e-6)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_validation_data_select_the_best_epoch(kind):
    X, y = rows(kind)
    weight = np.linspace(1, 2, 80)
    held = (*(a[:80] for a in (X, y)), weight)
    seen = []
    recorder = LambdaCallback(on_epoch_end=lambda run: seen.append(run.logs[kind.monitor]))
    fitted = small(kind, epochs=12, callbacks=[recorder]).fit(X[80:], y[80:], validation_data=held)
    best = max(seen) if kind in CLASSIFIERS else min(seen)
    assert fitted.best_scores_ == [best]
    assert fitted.best_epochs_ == [seen.index(best) + 1 if kind in TABMS else 12 - seen[::-1].index(best)]
    if kind in CLASSIFIERS:
        assert fitted.score(*held) == pytest.approx(best)
    with pytest.raises(ValueError, match=r"^validation_data: expected \(X, y\) or"):
        small(kind).fit(X, y, validation_data=X)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_ctrl_c_keeps_the_best_epoch(caplog):
    caplog.set_level(logging.CRITICAL, logger="anynet")
    X, y = rows(RealMLPClassifier)

    def press(run):
        if run.epoch == 4:
            os.kill(os.getpid(), signal.SIGINT)

    fitted = small(RealMLPClassifier, epochs=50, members=2, callbacks=[LambdaCallback(on_epoch_begin=press)])
    with pytest.warns(UserWarning, match="interrupted by the user; the estimator has the best epoch so far"):
        fitted.fit(X, y)
    assert len(fitted.best_epochs_) == 1 and fitted.best_epochs_[0] <= 4
    assert fitted.predict(X).shape == (200,)


@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_resumed_fit_ends_like_one_without_interruption(kind, at, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, logger="anynet")
    X, y = rows(kind)
    path = tmp_path / "checkpoint"

    def press(run):
        if run.epoch == at and run.batch == 2:
            signal.raise_signal(signal.SIGINT)

    def fit(*callbacks, **more):
        return small(
            kind, epochs=6, callbacks=[*callbacks, Checkpoint(path, every_n_epochs=None, every_n_seconds=9)]
        ).fit(X, y, **more)

    whole = fit()
    with pytest.warns(UserWarning, match="interrupted by the user"):
        part = fit(LambdaCallback(on_batch_end=press))
    assert part.best_epochs_[0] < at
    resumed = fit(resume=path)
    assert resumed.best_epochs_ == whole.best_epochs_ and resumed.best_scores_ == whole.best_scores_
    assert (outputs(resumed, X) == outputs(whole, X)).all()


def test_several_networks_are_not_resumed(tmp_path):
    X, y = rows(RealMLPClassifier)
    with pytest.raises(ValueError, match="fit: expected members=1 with resume, got 2"):
        small(RealMLPClassifier, members=2).fit(X, y, resume=tmp_path / "checkpoint")


# Data -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_weights_count_rows(kind):
    X, y = rows(kind, 60)
    weight = np.random.default_rng(0).integers(0, 3, 60)
    repeated = np.repeat(np.arange(60), weight)
    by_weight = small(kind).fit(X, y, sample_weight=weight)
    by_rows = small(kind).fit(X.iloc[repeated], y[repeated])
    np.testing.assert_array_equal(outputs(by_weight, X), outputs(by_rows, X))
    order = np.random.default_rng(1).permutation(60)
    in_order = small(kind).fit(X.iloc[order], y[order], sample_weight=weight[order])
    np.testing.assert_array_equal(outputs(in_order, X), outputs(by_weight, X))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_weights_that_are_not_whole_weight_the_loss(kind):
    X, y = rows(kind)
    weight = np.where(np.arange(200) < 150, 1.0, 1e-6)
    fitted = small(kind, epochs=12).fit(X, y, sample_weight=weight)
    without = small(kind, epochs=12).fit(X, y)
    assert np.abs(outputs(fitted, X) - outputs(without, X)).max() > 1e-3
    lost = small(kind).fit(X, y, sample_weight=np.where(np.arange(200) < 150, 0.5, 0.0))
    np.testing.assert_array_equal(outputs(lost, X), outputs(small(kind).fit(X[:150], y[:150], np.full(150, 0.5)), X))


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
def test_missing_values_of_every_kind_are_predicted(kind, value):
    X, y = rows(kind)
    fitted = small(kind).fit(X, y)
    new = pandas.DataFrame({name: pandas.Series([value, value], dtype=object) for name in X})
    expected = outputs(fitted, pandas.DataFrame({name: [None, None] for name in X}))
    np.testing.assert_array_equal(outputs(fitted, new), expected)
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_columns_without_values(kind):
    X, y = rows(kind)
    X = X.assign(nothing=np.nan, no_text=None)
    assert np.isfinite(outputs(small(kind).fit(X, y), X)).all()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_frames_of_every_library_give_the_same_result(kind):
    polars = pytest.importorskip("polars")
    X, y = rows(kind)
    frame = polars.DataFrame({name: [None if pandas.isna(v) else v for v in X[name].tolist()] for name in X})
    expected = small(kind).fit(X, y)
    found = small(kind).fit(frame, polars.Series(y))
    np.testing.assert_array_equal(outputs(found, frame), outputs(expected, X))
    nested = small(kind).fit(X.to_numpy().tolist(), y.tolist())
    np.testing.assert_array_equal(outputs(nested, X.to_numpy()), outputs(expected, X))
    assert found.score(frame, polars.Series(y)) == expected.score(X, y)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_library_gives_the_same_predictions(kind, backend):
    """The same seed gives the same predictions to 1e-4, as arrays of the library."""
    X, y = rows(kind)
    x = X[["age", "income", "rank"]].to_numpy()
    y = y if kind in REGRESSORS else np.unique(y, return_inverse=True)[1]
    params = {**SMALL, "epochs": 8, "batch_size": 50}
    expected = kind(**params).fit(x, y)
    fitted = kind(**params).fit(backend.asarray(x), backend.asarray(y))
    found = outputs(fitted, backend.asarray(x))
    assert type(found) is type(backend.asarray(x))
    scale = 1.0 if kind in CLASSIFIERS else float(expected.y_scale_[0])
    np.testing.assert_allclose(backends.to_numpy(found) / scale, outputs(expected, x) / scale, atol=1e-4)
    assert fitted.score(backend.asarray(x), backend.asarray(y)) == pytest.approx(expected.score(x, y), abs=0.02)
    assert type(fitted.predict(backend.asarray(x))) is type(backend.asarray(x))
    elsewhere = kind(**params, backend=backend).fit(x, y)
    assert isinstance(outputs(elsewhere, x), np.ndarray)
    np.testing.assert_allclose(outputs(elsewhere, x), backends.to_numpy(found), rtol=1e-5)


def test_several_targets():
    X, y = rows(RealMLPRegressor)
    both = np.stack([y, -2 * y], axis=1)
    fitted = RealMLPRegressor(hidden=(32,), epochs=24, random_state=0).fit(X, both)
    assert fitted.predict(X).shape == (200, 2)
    assert fitted.score(X, both) > 0.8
    with pytest.raises(ValueError, match="expected 2 numbers per row, got 1"):
        small(RealMLPRegressor).fit(X, both, validation_data=(X, y))


# Files ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_files_hold_network_and_preprocessing(kind, members, tmp_path):
    X, y = rows(kind)
    path = tmp_path / "estimator.safetensors"
    fitted = small(kind, members=members).fit(X, y)
    fitted.save(path)
    again = kind.load(path)
    new = table(30, seed=2).drop(columns="city")
    np.testing.assert_array_equal(outputs(again, new), outputs(fitted, new))
    np.testing.assert_array_equal(again.predict(new), fitted.predict(new), strict=True)
    assert again.get_params() == fitted.get_params()
    assert vars(again).keys() == vars(fitted).keys()
    assert again.best_epochs_ == fitted.best_epochs_
    again.save(tmp_path / "again")
    strict = kind.load(tmp_path / "again", backend="strict")
    np.testing.assert_allclose(outputs(strict, new), outputs(fitted, new), rtol=1e-9)
    matrix = fitted.preprocessor_.transform(new)
    np.testing.assert_array_equal(load(path).predict(matrix), fitted.model_.predict(matrix))
    other = next(k for k in ESTIMATORS if k is not kind)
    with pytest.raises(ValueError, match=f"expected a file that {other.__name__}.save wrote"):
        other.load(path)


# Recipe -----------------------------------------------------------------------------------------------------------------


def test_five_steps_equal_those_of_the_ntk_parametrization():
    """RealMLP-TD-S in the parametrization of its authors, y = x W/√I + b, by PyTorch in float64."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    estimator = RealMLPClassifier(hidden=(5, 4), epochs=5, dtype="float64", regularized=False)
    estimator.classes_ = np.arange(2)
    model = estimator._make_model(Rows(x, y, None), 0, backends.get("numpy"))
    assert not np.any(model.params[-1]["weight"]) and not np.any(model.params[-1]["bias"])

    theirs, sizes = [], []
    for layer, params in zip(model.layer.layers, model.params, strict=True):
        inputs = np.shape(params["weight"])[0] if isinstance(layer, Dense) else 1
        for name, array in params.items():
            factor = inputs**0.5 if name == "weight" else 1.0
            theirs.append(torch.tensor(factor * np.asarray(array), requires_grad=True))
            sizes.append(factor)
    rates = [6.0] + [1.0, 0.1] * 3
    groups = [{"params": [p], "lr": 0.0} for p in theirs]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95))
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    for step in range(5):
        t = step / 5
        rate = 0.04 * (0.5 - 0.5 * np.cos(2 * np.pi * np.log2(1 + 15 * t)))
        for group, factor in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = factor * rate
        h = torch.tensor(x) * theirs[0]
        for weight, bias in ((1, 2), (3, 4)):
            h = torch.nn.functional.selu(h @ theirs[weight] / theirs[weight].shape[0] ** 0.5 + theirs[bias])
        z = h @ theirs[5] / 4**0.5 + theirs[6]
        optimizer.zero_grad()
        loss(z, torch.tensor(y)).backward()
        optimizer.step()
    model.fit(x, y, epochs=5, batch_size=40)
    ours = [np.asarray(array) for params in model.params for array in params.values()]
    for found, expected, size in zip(ours, theirs, sizes, strict=True):
        np.testing.assert_allclose(found * size, expected.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_steps_of_the_full_recipe_equal_those_in_pytorch(monkeypatch):
    """RealMLP-TD without dropout, as its authors write it, by PyTorch in float64."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(realmlp, "DROPOUT", 0.0)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40, 2)), rng.integers(0, 2, (40, 1))], axis=1)
    y = rng.normal(size=(40, 1))
    estimator = RealMLPRegressor(hidden=(5, 4), epochs=8, dtype="float64")
    estimator.preprocessor_ = TablePreprocessor(categorical_features=[2]).fit(x)
    estimator.y_mean_ = np.zeros(1)
    model = estimator._make_model(Rows(x, y, None), 0, backends.get("numpy"))

    names, theirs, sizes, factors = [], [], [], []
    for path, array in tree.leaves_with_paths(model.params):
        name, kind = tree.name(path), path[-1]
        if kind == "passes":
            continue
        embedding, dense = name.startswith("0."), kind == "weight" and path[0] > 1
        names.append(name)
        sizes.append(array.shape[0] ** 0.5 if dense else 1.0)
        factors.append(0.1 if embedding or kind in ("bias", "alpha") else 1.0 if dense else 6.0)
        theirs.append(torch.tensor(sizes[-1] * np.asarray(array), requires_grad=True))
    p = dict(zip(names, theirs, strict=True))
    decayed = [name.startswith("0.") or not name.endswith("bias") for name in names]
    optimizer = torch.optim.Adam([{"params": [t], "lr": 0.0} for t in theirs], betas=(0.9, 0.95))
    for step in range(8):
        t = step / 8
        rate = 0.2 * (0.5 - 0.5 * np.cos(2 * np.pi * np.log2(1 + 15 * t)))
        decay = 0.02 * (1.0 if t < 0.5 else 0.5 + 0.5 * np.cos(np.pi * (2 * t - 1)))
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = factor * rate
        number = torch.tensor(x[:, :2])[:, :, None]
        cosine = torch.cos(2 * np.pi * number * p["0.0.1.frequency"] + p["0.0.1.phase"])
        map_ = torch.einsum("nfh,fhd->nfd", cosine, p["0.0.1.weight"]) + p["0.0.1.bias"]
        h = torch.cat([torch.cat([number, map_], dim=2).flatten(1), torch.tensor(x[:, 2:])], dim=1) * p["1.weight"]
        for index in (2, 5):
            z = h @ p[f"{index}.weight"] / h.shape[1] ** 0.5 + p[f"{index}.bias"]
            h = z + (torch.nn.functional.mish(z) - z) * p[f"{index + 1}.alpha"]
        z = h @ p["8.weight"] / h.shape[1] ** 0.5 + p["8.bias"]
        optimizer.zero_grad()
        torch.mean((z - torch.tensor(y)) ** 2).backward()
        with torch.no_grad():
            for parameter, factor, decays in zip(theirs, factors, decayed, strict=True):
                parameter *= 1.0 - rate * decay * factor**2 * decays
        optimizer.step()
    model.fit(x, y, epochs=8, batch_size=40)
    ours = [array for path, array in tree.leaves_with_paths(model.params) if path[-1] != "passes"]
    for name, found, expected, size in zip(names, ours, theirs, sizes, strict=True):
        expected = expected.detach().numpy()
        np.testing.assert_allclose(np.asarray(found) * size, expected, rtol=1e-9, atol=1e-11, err_msg=name)


def test_initial_weights_of_the_full_recipe_fit_the_data():
    x = np.random.default_rng(0).normal(3.0, 50.0, size=(300, 4))
    estimator = RealMLPClassifier(hidden=(64, 32), epochs=2)
    estimator.classes_, estimator.preprocessor_ = np.arange(3), TablePreprocessor().fit(x)
    model = estimator._make_model(Rows(x, np.zeros(300, int), None), 0, backends.get("numpy"))
    h = x
    for layer, part in zip(model.layer.layers, model.params, strict=True):
        if isinstance(layer, Dense):
            z = h @ np.asarray(part["weight"], np.float64)
            np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-4)
            assert (-part["bias"] > z.min(axis=0)).all() and (-part["bias"] < z.max(axis=0)).all()
            assert np.unique(part["bias"]).size == layer.units
        h = layer.forward(part, h)[0]


def test_tabm_has_the_layers_of_its_recipe():
    X, y = rows(TabMRegressor)
    plain, binned = (
        TabMRegressor(members=3, epochs=1, bins=bins, random_state=0).fit(X, y).model_.layer.layers
        for bins in (None, 48)
    )
    widths = (1, 1, 1, 1, 3, 1)  # numbers, the indicator of missing income, colors, plan
    assert plain == (
        Members(3, weight=Blocks(RandomSigns(), widths)),
        *(BatchEnsemble(512, use_r=False), ReLU(), Dropout(0.1)),
        *(BatchEnsemble(512), ReLU(), Dropout(0.1)) * 2,
        EachDense(1),
    )
    assert binned[1:] == (
        Members(3, weight=Blocks(Normal(1.0), (16, 16, 16, 1, 3, 1))),
        *(BatchEnsemble(512, use_r=False), ReLU(), Dropout(0.1)),
        *(BatchEnsemble(512), ReLU(), Dropout(0.1)),
        EachDense(1),
    )
    embedding = binned[0].branches[0].layers[1]
    ages, incomes, ranks = map(len, embedding.edges)
    assert 30 < ages <= 49 and 40 < incomes <= 49
    assert ranks == 5


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=200), st.integers(1, 50))
def test_bins_are_few_and_none_is_lost_to_a_frequent_value(values, bins):
    x = np.array(values, float)
    edges, different = quantile_edges(x, bins), np.unique(x)
    if len(different) == 1:
        assert edges == [x[0] - 1, x[0] + 1]
        return
    assert np.all(np.diff(edges) > 0) and len(edges) <= bins + 1
    assert x.min() <= edges[0] and edges[-1] <= x.max()
    if len(different) <= bins + 1:
        assert edges == different.tolist()


def test_edges_are_quantiles_of_what_is_not_frequent():
    gains = np.linspace(1, 2, 5000)
    np.testing.assert_allclose(quantile_edges(gains, 48), np.quantile(gains, np.linspace(0, 1, 49)))
    column = np.concatenate([np.zeros(50_000), gains])  # as the capital gains of the adult table
    np.testing.assert_allclose(quantile_edges(column, 48), [0, *np.quantile(gains, np.linspace(0, 1, 48))])


def test_files_hold_the_edges_of_bins(tmp_path):
    X, y = rows(TabMClassifier)
    fitted = small(TabMClassifier, bins=5).fit(X, y)
    fitted.save(tmp_path / "tabm")
    np.testing.assert_array_equal(TabMClassifier.load(tmp_path / "tabm").predict_proba(X), fitted.predict_proba(X))


def test_predictions_stay_in_the_range_of_training():
    x = np.linspace(0, 1, 100)[:, None]
    fitted = RealMLPRegressor(hidden=(16,), epochs=16, random_state=0).fit(x, x[:, 0])
    far = fitted.predict([[-50.0], [50.0]])
    assert far.min() >= 0.0 and far.max() <= 1.0


QUICK = {"members": 4, "hidden": (64, 64), "bins": 16}


@pytest.mark.parametrize(
    ("estimator", "name", "target", "least"),
    [
        (RealMLPClassifier(epochs=64), "titanic", "Survived", 0.77),  # accuracies, of a constant prediction 0.62
        (TabMClassifier(**QUICK), "titanic", "Survived", 0.77),
        (RealMLPClassifier(epochs=32), "phoneme", "oral", 0.86),  # 0.71
        (RealMLPRegressor(epochs=32), "wine_white", "quality", 0.3),  # coefficients of determination
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_public_tables(estimator, name, target, least):
    data = Path(os.environ.get("ANYNET_DATA") or Path(__file__).parents[3] / "shared" / "data") / "tabular"
    if not data.is_dir():
        pytest.skip(f"needs tables: set ANYNET_DATA to a folder with tabular/*.csv.gz; there is none in {data}")
    frame = pandas.read_csv(data / f"{name}.csv.gz")
    y = frame.pop(target)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: 4 * len(y) // 5], order[4 * len(y) // 5 :]
    fitted = clone(estimator).set_params(random_state=0).fit(frame.iloc[train], y.iloc[train])
    assert fitted.score(frame.iloc[test], y.iloc[test]) > least


# Errors -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_errors_of_data(kind):
    X, y = rows(kind)
    lost = y.astype(object)
    lost[7] = None
    with pytest.raises(ValueError, match="expected a target in each row of y, got none in row 7"):
        small(kind).fit(X, lost)
    with pytest.raises(ValueError, match="finite values or NaN in column 'age' of X, got inf in row 3"):
        small(kind).fit(X.assign(age=[1.0, 2.0, 3.0, np.inf] + [4.0] * 196), y)
    with pytest.raises(ValueError, match=r"numbers in column 'color' of X, got '(red|green|blue)' in row"):
        small(kind, categorical_features=["plan"]).fit(X, y)
    with pytest.raises(ValueError, match="at least 2 rows, one of them to hold out, got n_samples = 1"):
        small(kind).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="inconsistent"):
        small(kind).fit(X, y[:5])
    with pytest.raises(NotFittedError):
        small(kind).predict(X)
    fitted = small(kind).fit(X, y)
    with pytest.raises(ValueError, match="expected the columns of fit in X, got none of 'plan'"):
        fitted.predict(X.drop(columns="plan"))


def test_errors_of_classes():
    X, y = rows(RealMLPClassifier)
    with pytest.raises(ValueError, match="expected two or more classes in y, got one class, 'a'"):
        small(RealMLPClassifier).fit(X, ["a"] * 200)
    with pytest.raises(ValueError, match=r"^validation_data: y: expected classes among .* got 'new'"):
        small(RealMLPClassifier).fit(X, y, validation_data=(X, ["new"] * 200))


@pytest.mark.parametrize(
    "y", [["1", "2", "n"] * 20, [[1.0, "n"]] * 60, [1.0, 2, "n"] * 20], ids=["text", "two", "mixed"]
)
def test_targets_that_are_not_numbers(y):
    X, row = rows(RealMLPRegressor, 60)[0], 0 if isinstance(y[0], list) else 2
    with pytest.raises(ValueError, match=f"RealMLPRegressor: expected numbers in y, got 'n' in row {row}; convert it"):
        small(RealMLPRegressor).fit(X, np.array(y, dtype=object))
    good = rows(RealMLPRegressor, 60)[1]
    with pytest.raises(ValueError, match=f"^validation_data: .*: expected numbers in y, got 'n' in row {row}"):
        small(RealMLPRegressor).fit(X, good, validation_data=(X, y))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_failed_fit_changes_nothing(kind, caplog):
    caplog.set_level(logging.CRITICAL, logger="anynet")
    X, y = rows(kind, 60)
    other = 1000 * y + 5000 if kind in REGRESSORS else np.where(y == "low", "a", "b")
    fitted = small(kind, epochs=1).fit(X, y)
    before, expected = dict(vars(fitted)), outputs(fitted, X)

    def fail(run):
        raise RuntimeError("stop")

    for params, X2, data, error in (
        ({"hidden": ()}, X, {}, ValueError),
        ({}, X[["age", "plan"]], {"validation_data": (X[["age"]], other)}, ValueError),
        ({}, X.to_numpy(), {"sample_weight": -np.ones(60)}, ValueError),
        ({"callbacks": [LambdaCallback(on_batch_end=fail)]}, X[["age"]], {}, RuntimeError),
    ):
        with pytest.raises(error):
            clone(fitted).set_params(**params).fit(X2, other, **data)
        with pytest.raises(error):
            fitted.set_params(**params).fit(X2, other, **data)
        fitted.set_params(**{name: before[name] for name in params})
        assert vars(fitted) == before
        np.testing.assert_array_equal(outputs(fitted, X), expected)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_one_hidden_layer_may_be_a_number(kind):
    X, y = rows(kind, 60)
    one, several = (small(kind, hidden=hidden, epochs=1).fit(X, y) for hidden in (8, (8,)))
    np.testing.assert_array_equal(outputs(one, X), outputs(several, X))


WRONG = [
    {"hidden": 0},
    {"hidden": ()},
    {"hidden": (8, 0)},
    {"epochs": 0},
    {"batch_size": 0},
    {"learning_rate": 0.0},
    {"validation_fraction": 1.0},
    {"members": 0},
    {"dtype": "int8"},
    {"backend": 3},
    {"callbacks": "all"},
    {"categorical_features": ["nothing"]},
]


@pytest.mark.parametrize("params", WRONG, ids=str)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_wrong_parameters(kind, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        small(kind, **params).fit(*rows(kind))

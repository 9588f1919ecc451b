"""The estimators with scikit-learn's tools: cloning, search, pipelines, routing, pickling; and files."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import sklearn
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from anynet import GELU, Adam, CosineDecay, Tanh, backends, load
from anynet.checkpoint import file
from anynet.sklearn import MLPClassifier, MLPRegressor
from anynet.sklearn.saving import CUSTOM
from tests.sklearn.test_parity import KINDS, both, outputs, problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0, "batch_size": 25}
ODD = {
    "activation": (GELU(), "tanh"),
    "hidden_layer_sizes": (6, 5),
    "solver": Adam(CosineDecay(0.01, steps=50)),
    "dropout": 0.1,
}


def test_clones_have_equal_parameters():
    for estimator in (MLPClassifier(**{**SMALL, **ODD}, backend=backends.get("strict")), MLPRegressor(loss="poisson")):
        copied = clone(estimator)
        assert repr(copied) == repr(estimator)
        assert not hasattr(copied, "model_")


def test_searches_and_cross_validation():
    x, y = problem("multiclass")
    grid = {"mlp__activation": ["relu", Tanh()], "mlp__alpha": [1e-4, 1.0]}
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("mlp", MLPClassifier(**{**SMALL, "max_iter": 30}, learning_rate_init=0.03))]
    )
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(x, y)
    assert search.best_score_ > 0.6
    assert cross_val_score(MLPRegressor(**SMALL), x, x[:, 0], cv=3, error_score="raise").shape == (3,)


def test_several_processes():
    x, y = problem("multiclass")
    scores = [cross_val_score(MLPClassifier(**SMALL), x, y, cv=3, n_jobs=n) for n in (None, 2)]
    np.testing.assert_array_equal(*scores)


def test_inside_other_estimators():
    x, y = problem("multiclass")
    assert BaggingClassifier(MLPClassifier(**SMALL), n_estimators=2).fit(x, y).predict(x).shape == (60,)
    assert MultiOutputRegressor(MLPRegressor(**SMALL)).fit(x, x[:, :2]).predict(x).shape == (60, 2)
    frames = pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).set_output(transform="pandas")
    pipeline.fit(frames.DataFrame(x, columns=list("abcde")), y)
    assert pipeline[-1].feature_names_in_.tolist() == list("abcde")


def test_metadata_routing():
    x, y = problem("multiclass")
    weight = np.linspace(0.1, 3.0, len(x))
    with sklearn.config_context(enable_metadata_routing=True):
        inner = MLPClassifier(**SMALL).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(inner).fit(x, y, sample_weight=weight)
        scored = pipeline.score(x, y, sample_weight=weight)
        MLPClassifier().set_partial_fit_request(sample_weight=True, classes=True)
        MLPRegressor().set_fit_request(sample_weight=True, validation_data=True)
    alone = MLPClassifier(**SMALL).fit(x, y, sample_weight=weight)
    np.testing.assert_array_equal(pipeline.predict_proba(x), alone.predict_proba(x))
    assert scored == alone.score(x, y, sample_weight=weight) != alone.score(x, y)


def test_html():
    html = MLPClassifier(**ODD)._repr_html_()
    assert "MLPClassifier" in html
    assert "GELU" in html


@pytest.mark.parametrize("seed", [3, np.int64(3), np.uint8(3)], ids=repr)
def test_a_seed_of_any_integer_type_is_saved(seed, tmp_path):
    x, y = problem("binary")
    fitted = MLPClassifier(**{**SMALL, "random_state": seed}).fit(x, y)
    fitted.save(tmp_path / "estimator")
    again = MLPClassifier.load(tmp_path / "estimator")
    assert again.random_state == 3
    np.testing.assert_array_equal(clone(again).fit(x, y).predict_proba(x), fitted.predict_proba(x))


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_and_files_predict_and_continue_training(kind, tmp_path):
    x, y = problem(kind)
    extra = {} if kind.startswith("poisson") else ODD
    fitted = both(kind, **SMALL)[0].set_params(**extra).fit(x, y, validation_data=(x[:10], y[:10]))
    fitted.save(tmp_path / "estimator.safetensors")
    joblib.dump(fitted, tmp_path / "estimator.joblib")
    others = [
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "estimator.joblib"),
        type(fitted).load(tmp_path / "estimator.safetensors"),
    ]
    expected = outputs(fitted, x)
    fitted.partial_fit(x, y)
    for other in others:
        np.testing.assert_array_equal(outputs(other, x), expected)
        np.testing.assert_array_equal(other.predict(x[:3]), other.predict(x)[:3])
        assert repr(other.get_params()) == repr(fitted.get_params())
        assert other.loss_curve_ == fitted.loss_curve_[:-1]
        assert other.validation_loss_curve_ == fitted.validation_loss_curve_
        other.partial_fit(x, y)
        np.testing.assert_array_equal(outputs(other, x), outputs(fitted, x))
        assert vars(other).keys() == vars(fitted).keys()


def test_files_load_on_any_backend_and_as_models(tmp_path):
    x, y = problem("multiclass")
    path = tmp_path / "estimator.safetensors"
    fitted = MLPClassifier(**SMALL, backend="strict").fit(x, y)
    fitted.save(path)
    for name in (None, "strict", "strict:device1"):
        other = MLPClassifier.load(path, backend=name)
        np.testing.assert_array_equal(other.predict(x), fitted.predict(x))
        assert other.model_.backend.name == (name or "numpy")
    np.testing.assert_allclose(load(path, custom=CUSTOM).predict(x), backends.to_numpy(fitted.model_.predict(x)))
    with pytest.raises(ValueError, match="MLPRegressor"):
        MLPRegressor.load(path)
    fitted.model_.save(path)
    with pytest.raises(ValueError, match="a model alone"):
        MLPClassifier.load(path)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        MLPClassifier().save(path)


def test_names_of_columns_and_labels_as_objects_are_saved(tmp_path):
    frames = pytest.importorskip("pandas")
    x, y = problem("multiclass")
    X = frames.DataFrame(x, columns=list("abcde"))
    fitted = MLPClassifier(**SMALL).fit(X, y.astype(object))
    fitted.save(tmp_path / "estimator")
    again = MLPClassifier.load(tmp_path / "estimator")
    assert again.feature_names_in_.tolist() == list("abcde") and again.feature_names_in_.dtype == object
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X), strict=True)


@pytest.mark.parametrize("name", ["predict", "fit", "__class__", "coefs_", "alpha", "backend", "_map_outputs", "a b_"])
def test_a_file_sets_only_attributes_that_fit_sets(tmp_path, name):
    path = tmp_path / "estimator"
    MLPClassifier(max_iter=1).fit(np.eye(4), [0, 1, 0, 1]).save(path)
    tensors, description = file.read("load", path)
    description["estimator"]["attributes"][name] = 3
    file.write(path, tensors, description)
    with pytest.raises(ValueError, match=f"MLPClassifier.load: .*: expected attributes that fit sets, got '{name}'"):
        MLPClassifier.load(path)

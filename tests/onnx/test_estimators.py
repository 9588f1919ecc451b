"""Estimators as ONNX, with the outputs of sklearn-onnx."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

from sklearn.datasets import load_iris  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402

from anynet import GELU, Huber  # noqa: E402
from anynet.sklearn import (  # noqa: E402
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    RealMLPRegressor,
    TabMClassifier,
    TabMRegressor,
)
from tests.onnx.tools import RUNNERS, error  # noqa: E402

X, CLASSES = load_iris(return_X_y=True)
X = X.astype(np.float32)
TARGETS = {
    "three": CLASSES,
    "binary": np.where(CLASSES > 0, 7, 3),
    "bool": CLASSES > 1,
    "floats": CLASSES + 1.0,
    "texts": np.array(["setosa", "versicolor", "virginica"])[CLASSES],
    "objects": np.array(["setosa", "versicolor", "virginica"], dtype=object)[CLASSES],
    "two texts": np.array(["no", "yes"])[(CLASSES > 0).astype(int)],
    "one class": np.full(150, 4),
}


def values(proto, runner, x=X):
    names = [info.name for info in proto.graph.output]
    return dict(zip(names, RUNNERS[runner](proto, X=x), strict=True))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", TARGETS)
def test_classifier(name, runner):
    y = TARGETS[name]
    model = MLPClassifier((8,), max_iter=5, activation=GELU(), batch_norm=True, dropout=0.2, random_state=0)
    found = values(model.partial_fit(X, y, classes=np.unique(y)).to_onnx(), runner)
    assert list(found) == ["label", "probabilities"]
    assert found["label"].tolist() == model.predict(X).tolist()
    assert error([found["probabilities"]], model.predict_proba(X)) <= 1e-6


@pytest.mark.parametrize("runner", RUNNERS)
def test_multilabel(runner):
    y = np.stack([CLASSES > 0, CLASSES > 1, CLASSES == 1], axis=1).astype(int)
    model = MLPClassifier((8,), random_state=0).partial_fit(X, y, classes=np.arange(3))
    found = values(model.to_onnx(), runner)
    assert found["label"].tolist() == model.predict(X).tolist() and found["label"].dtype == np.int64
    assert error([found["probabilities"]], model.predict_proba(X)) <= 1e-6


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("loss", ["squared_error", "poisson", Huber()], ids=str)
def test_regressor(loss, outputs, runner):
    y = np.stack([CLASSES, CLASSES + 1.0], axis=1)[:, :outputs]
    model = MLPRegressor(loss, (8,), random_state=0).partial_fit(X, y if outputs > 1 else y[:, 0])
    found = values(model.to_onnx(), runner)
    assert list(found) == ["variable"] and found["variable"].shape == (150, outputs)
    assert error([found["variable"]], model.predict(X).reshape(150, outputs)) <= 2e-6


TABLES = {
    "RealMLP": (RealMLPClassifier, RealMLPRegressor, {"hidden": (8,), "epochs": 3}),
    "three networks": (RealMLPClassifier, RealMLPRegressor, {"hidden": (8,), "epochs": 3, "members": 3}),
    "TabM with bins": (TabMClassifier, TabMRegressor, {"hidden": (8, 8), "epochs": 3, "members": 4, "bins": 5}),
    "TabM": (TabMClassifier, TabMRegressor, {"hidden": (8, 8), "epochs": 3, "members": 4}),
}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(("kind", "_", "params"), TABLES.values(), ids=TABLES)
def test_classifier_of_tables(kind, _, params, runner):
    model = kind(**params, random_state=0).fit(X, TARGETS["texts"])
    matrix = model.preprocessor_.transform(X).astype(np.float32)
    found = values(model.to_onnx(), runner, matrix)
    assert found["label"].tolist() == model.predict(X).tolist()
    assert error([found["probabilities"]], model.predict_proba(X)) <= 1e-5


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("_", "kind", "params"), TABLES.values(), ids=TABLES)
def test_regressor_of_tables(_, kind, params, outputs, runner):
    y = np.stack([CLASSES, 50.0 - CLASSES], axis=1)[:, :outputs]
    model = kind(**params, random_state=0).fit(X, y if outputs > 1 else y[:, 0])
    found = values(model.to_onnx(), runner, model.preprocessor_.transform(X).astype(np.float32))
    assert error([found["variable"]], model.predict(X).reshape(150, outputs)) <= 1e-5


def test_file_and_metadata(tmp_path):
    model = MLPClassifier((8,), random_state=0).partial_fit(X, TARGETS["texts"], classes=np.unique(TARGETS["texts"]))
    proto = model.to_onnx(tmp_path / "iris.onnx", opset=20)
    assert onnx.load(tmp_path / "iris.onnx") == proto and proto.opset_import[0].version == 20
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(metadata["classes"]) == ["setosa", "versicolor", "virginica"]
    assert (
        values(model.to_onnx(dtype="float64"), "reference", X.astype(np.float64))["probabilities"].dtype == np.float64
    )


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor(), RealMLPClassifier()], ids=str)
def test_not_fitted(estimator):
    with pytest.raises(NotFittedError):
        estimator.to_onnx()

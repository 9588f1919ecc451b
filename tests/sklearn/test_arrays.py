"""Arrays of every library, data frames, sparse matrices and labels as inputs."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as TheirClassifier

from anynet import backends
from anynet.sklearn import MLPClassifier, MLPRegressor
from tests.sklearn.test_parity import problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0, "batch_size": 25}


def place(array):
    """Return the type and the device of an array."""
    return type(array), str(getattr(array, "device", None))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_classifier_returns_the_kind_of_array_of_x(backend, kind):
    x, y = problem(kind, "float32")
    y = np.unique(y, return_inverse=True)[1] if kind == "multiclass" else y.astype(int)
    X, Y = backend.asarray(x), backend.asarray(y)
    ours = MLPClassifier(**SMALL).fit(X, Y, sample_weight=backend.asarray(np.linspace(0.5, 1.5, len(x))))
    expected = MLPClassifier(**SMALL).fit(x, y, sample_weight=np.linspace(0.5, 1.5, len(x)))
    for method in ("predict_proba", "predict", "predict_log_proba"):
        result = getattr(ours, method)(X)
        assert place(result) == place(X)
        reference = getattr(expected, method)(x)
        assert tuple(result.shape) == reference.shape
        np.testing.assert_allclose(backends.to_numpy(result), reference, rtol=1e-4, atol=1e-5)
    assert all(place(a) == place(X) for a in ours.coefs_ + ours.intercepts_)
    assert ours.score(X, Y) == pytest.approx(expected.score(x, y))
    assert isinstance(ours.predict_proba(x), np.ndarray)  # the kind of x, independent of the training data
    assert ours.model_.backend.name.partition(":")[0] == backend.name.partition(":")[0]


def test_a_regressor_returns_the_kind_of_array_of_x(backend):
    x, y = problem("numbers")
    X, Y = backend.asarray(x), backend.asarray(y)
    ours = MLPRegressor(**SMALL, early_stopping=True).fit(X, Y)
    expected = MLPRegressor(**SMALL, early_stopping=True).fit(x, y)
    assert place(ours.predict(X)) == place(X)
    np.testing.assert_allclose(backends.to_numpy(ours.predict(X)), expected.predict(x), rtol=1e-8)
    np.testing.assert_allclose(ours.validation_scores_, expected.validation_scores_, rtol=1e-8)
    assert ours.score(X, Y) == pytest.approx(expected.score(x, y))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_numpy_input_on_another_backend_gives_numpy_output(backend, solver):
    x, y = problem("multiclass")
    params = {**SMALL, "solver": solver, "learning_rate": "invscaling"}
    inside = MLPClassifier(**params, backend=backend).fit(x, y)
    expected = MLPClassifier(**params).fit(x, y)
    assert inside.model_.backend.name == backend.name
    np.testing.assert_allclose(inside.predict_proba(x), expected.predict_proba(x), rtol=1e-7)
    np.testing.assert_array_equal(inside.predict(x), expected.predict(x), strict=True)
    assert all(isinstance(a, np.ndarray) for a in inside.coefs_)


def test_backend_and_device():
    x, y = problem("number")
    assert MLPRegressor(**SMALL, backend="strict", device="device1").fit(x, y).model_.backend.name == "strict:device1"
    X = backends.get("strict").asarray(x)
    fitted = MLPRegressor(**SMALL, device="device1").fit(X, y)
    assert fitted.model_.backend.name == "strict:device1"
    assert place(fitted.predict(X)) == place(X)
    with pytest.raises(ValueError, match="backend"):
        MLPRegressor(backend="nothing").fit(x, y)


def test_labels_that_only_numpy_supports_are_numpy_arrays():
    x, y = problem("multiclass")
    X = backends.get("strict:device1").asarray(x)
    labels = MLPClassifier(**SMALL).fit(X, y).predict(X)
    assert isinstance(labels, np.ndarray) and set(labels) <= set(y)
    for labels in (y.astype(object), np.where(y == "ant", 7.0, -1.0), y == "bee"):
        ours, theirs = (kind(**SMALL).fit(x, labels) for kind in (MLPClassifier, TheirClassifier))
        np.testing.assert_array_equal(ours.classes_, theirs.classes_, strict=True)
        assert ours.predict(x).dtype == theirs.predict(x).dtype


def test_dtype_is_that_of_the_data():
    x, y = problem("number")
    assert MLPRegressor(**SMALL).fit(x, y).model_.dtype == "float64"
    assert MLPRegressor(**SMALL).fit(x.astype("float32"), y).model_.dtype == "float32"
    assert MLPRegressor(**SMALL).fit((9 * x).astype(int), y).model_.dtype == "float64"
    single = MLPRegressor(**SMALL, dtype="float32").fit(x, y)
    assert single.predict(x).dtype == np.float32


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_input_equals_dense_input(form, solver):
    x, y = problem("multiclass")
    x = np.where(np.abs(x) > 0.7, x, 0.0)
    weight = np.linspace(0.5, 1.5, len(x))
    for params in ({}, {"shuffle": False}, {"early_stopping": True}):
        params = {**SMALL, "solver": solver, **params}
        of_sparse = MLPClassifier(**params).fit(form(x), y, sample_weight=weight)
        of_dense = MLPClassifier(**params).fit(x, y, sample_weight=weight)
        np.testing.assert_array_equal(of_sparse.predict_proba(form(x)), of_dense.predict_proba(x))
        assert of_sparse.loss_ == of_dense.loss_
        assert of_sparse.score(form(x), y) == of_dense.score(x, y)
    if solver == "adam":
        parts = MLPClassifier(**SMALL).partial_fit(form(x), y, classes=np.unique(y)).partial_fit(form(x), y)
        assert parts.t_ == 2 * len(x)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_validation_data_give_the_curve_of_dense_data(solver):
    x, y = problem("number")
    curves = [
        MLPRegressor(**SMALL, solver=solver).fit(X, y, validation_data=(X[:7], y[:7])).validation_loss_curve_
        for X in (sparse.csr_matrix(x), x)
    ]
    assert len(curves[0]) == 3
    np.testing.assert_allclose(*curves, rtol=1e-12)


def test_sparse_batches_are_converted_one_at_a_time(monkeypatch):
    x, y = problem("number")
    seen = []
    toarray = sparse.csr_matrix.toarray
    monkeypatch.setattr(
        sparse.csr_matrix, "toarray", lambda self, *a, **k: seen.append(self.shape[0]) or toarray(self, *a, **k)
    )
    MLPRegressor(**SMALL).fit(sparse.csr_matrix(x), y, validation_data=(sparse.csr_matrix(x[:7]), y[:7]))
    assert max(seen) == 25


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library):
    frames = pytest.importorskip(library)
    x, y = problem("multiclass")
    frame = frames.DataFrame({f"f{i}": x[:, i] for i in range(5)})
    fitted = MLPClassifier(**SMALL).fit(frame, frames.Series(y))
    assert fitted.feature_names_in_.tolist() == ["f0", "f1", "f2", "f3", "f4"]
    np.testing.assert_array_equal(fitted.predict(frame), MLPClassifier(**SMALL).fit(x, y).predict(x))
    other = frames.DataFrame({f"g{i}": x[:, i] for i in range(5)})
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(other)
    targets = frames.DataFrame({"a": x[:, 0], "b": x[:, 1]})
    assert MLPRegressor(**SMALL).fit(frame, targets).predict(frame).shape == (60, 2)


DISPATCH = """
import warnings
warnings.simplefilter("ignore")
import numpy as np, sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_array_api_input, check_array_api_mixed_inputs
from anynet import backends
from anynet.sklearn import MLPClassifier, MLPRegressor
from sklearn.utils._array_api import NamespaceAndDevice

names = [name for name in ("torch", "array_api_strict") if name in {libraries!r}]
for name in names:
    for estimator in (MLPClassifier(max_iter=5), MLPRegressor(max_iter=5)):
        check_array_api_input("ours", estimator, name, check_values=True, check_sample_weight=True,
                              device_name="cpu" if name == "torch" else None)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)); y = (x[:, 0] > 0).astype(int)
    backend = backends.get("strict" if name == "array_api_strict" else name)
    X, Y = backend.asarray(x), backend.asarray(y)
    with sklearn.config_context(array_api_dispatch=True):
        pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=200, random_state=0)).fit(X, Y)
        p = pipeline.predict_proba(X)
        assert type(p) is type(X), type(p)
        assert pipeline.score(X, Y) > 0.9
    print(name)
"""


def test_array_api_dispatch():
    """SciPy reads SCIPY_ARRAY_API when it is imported, hence the subprocess."""
    libraries = [name for name in ("torch", "array_api_strict") if _installed(name)]
    script = DISPATCH.replace("{libraries!r}", repr(libraries))
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == libraries


def _installed(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("name", ["strict", "torch", "jax"])
def test_invalid_arrays_of_other_libraries(name):
    if name != "strict":
        pytest.importorskip(name)
    backend = backends.get(name)
    x, y = problem("number")
    for bad, match in [
        (x[:, 0], "shape"),
        (x[:0], "one sample"),
        (x[:, :0], "one feature"),
        (np.where(x > 1, np.nan, x), "finite"),
        (x * 1j, "real|complex"),
    ]:
        with pytest.raises(ValueError, match=match):
            MLPRegressor(**SMALL).fit(backend.asarray(bad), y[: len(bad)])
    fitted = MLPRegressor(**SMALL).fit(backend.asarray(x), y)
    with pytest.raises(ValueError, match="features"):
        fitted.predict(backend.asarray(x[:, :3]))
    with pytest.raises(ValueError, match="inconsistent"):
        MLPRegressor(**SMALL).fit(backend.asarray(x), y[:5])


def test_warnings_are_those_of_scikit_learn():
    x, y = problem("number")
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        MLPRegressor(max_iter=1).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPRegressor().partial_fit(x, y)
    with pytest.warns(UserWarning, match="batch_size"):
        MLPRegressor(**{**SMALL, "batch_size": 1000}).fit(x, y)

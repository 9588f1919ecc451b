"""What bad input gets, on every backend: an error of one form, before anything is changed."""

import math
import subprocess
import sys

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, MeanSquaredError, Model, ReLU, SigmoidCrossEntropy, SoftmaxCrossEntropy
from anynet.checks import check_finite
from tests.tools import assert_same, fetch

pytestmark = pytest.mark.without("jax")

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.arange(12) % 3
NAN, INF = X.copy(), X.copy()
NAN[3, 2], INF[0, 1] = np.nan, -np.inf

DATA = {
    "feature count": (X[:, :3], Y, ValueError, r"expected x of shape \(N, 4\), got \(12, 3\)"),
    "rows of y": (X, Y[:-1], ValueError, "expected y with 12 rows, as x, got 11"),
    "label too large": (X, Y + 1, ValueError, "expected labels in y from 0 to 2, got 3; the model has 3 outputs"),
    "label far too large": (X, Y + 2**40, ValueError, "expected labels in y from 0 to 2, got 109951162777"),
    "negative label": (X, Y - 1, ValueError, "expected labels in y from 0 to 2, got -1"),
    "float labels": (X, Y + 0.0, ValueError, r"expected y of integers.*cast the labels to integers"),
    "NaN in x": (NAN, Y, ValueError, r"expected finite values in x, got NaN or infinity in 1 place of \(12, 4\)"),
    "infinity in x": (INF, Y, ValueError, "expected finite values in x"),
    "too large for float32": (X * 1e300, Y, ValueError, "expected finite values in x"),
    "NaN in y": (X, np.where(np.isnan(NAN[:, 1:]), np.nan, np.eye(3)[Y]), ValueError, "expected finite values in y"),
    "rows that are no classes": (X, np.ones((12, 3)), ValueError, "expected one-hot rows in y"),
    "rows of other classes": (X, np.eye(4)[Y], ValueError, r"one-hot rows, shape \(N, 3\), got"),
    "empty": (X[:0], Y[:0], ValueError, r"expected at least one example in x, got shape \(0, 4\)"),
    "a number": (3.0, Y, ValueError, "expected x with a batch axis, got a single number"),
    "y is a number": (X, 1, ValueError, "expected y with a batch axis, got a single number"),
    "complex": (X + 1j, Y, TypeError, r"expected x to be an array of numbers.*complex"),
    "text": (X.astype(str), Y, TypeError, "expected x to be an array of numbers"),
    "objects": (X.astype(object), Y, TypeError, "expected x to be an array of numbers"),
    "dates": (X.astype("datetime64[s]"), Y, TypeError, "expected x to be an array of numbers"),
    "text labels": (X, np.array(list("abc"))[Y], TypeError, "expected y to be an array of numbers"),
}


@pytest.fixture
def model(backend):
    return Model(
        [Dense(5), ReLU(), Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend
    )


def unchanged(model, call, kind, match):
    """Check that a call raises and leaves everything of the model as it was."""
    before, epoch = fetch(model.backend, model.state), model.epoch
    with pytest.raises(kind, match=match) as raised:
        call()
    text = str(raised.value)
    assert "expected " in text and ", got " in text and text[0] != "(" and "\n" not in text
    assert_same(fetch(model.backend, model.state), before)
    assert model.epoch == epoch


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("method", ["fit", "evaluate", "gradients"])
def test_data(name, method, model):
    x, y, kind, match = DATA[name]
    unchanged(
        model, lambda: getattr(model, method)(x, y), kind, f"^{method}: .*{match}|^SoftmaxCrossEntropy: .*{match}"
    )


@pytest.mark.parametrize("name", [name for name, row in DATA.items() if row[1] is Y])
def test_predict(name, model):
    x, _, kind, match = DATA[name]
    unchanged(model, lambda: model.predict(x), kind, f"^predict: .*{match}")


@pytest.mark.parametrize(
    "name", ["feature count", "rows of y", "float labels", "empty", "text", "rows of other classes"]
)
def test_train_step_checks_shapes_and_kinds(name, model):
    x, y, kind, match = DATA[name]
    unchanged(model, lambda: model.train_step(x, y), kind, match)


@pytest.mark.parametrize("name", ["feature count", "rows of y", "label too large", "NaN in x", "empty"])
def test_validation_data(name, model):
    x, y, kind, match = DATA[name]
    unchanged(model, lambda: model.fit(X, Y, validation_data=(x, y)), kind, match)


@pytest.mark.parametrize(
    ("settings", "kind", "match"),
    [
        ({"epochs": 0}, ValueError, "fit: expected epochs >= 1, got 0"),
        ({"epochs": -1}, ValueError, "fit: expected epochs >= 1, got -1"),
        ({"epochs": 1.5}, TypeError, "fit: expected epochs to be an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "fit: expected batch_size >= 1, got 0"),
        ({"batch_size": -5}, ValueError, "fit: expected batch_size >= 1, got -5"),
        ({"batch_size": "all"}, TypeError, "fit: expected batch_size to be an integer, got 'all'"),
        ({"batch_size": True}, TypeError, "fit: expected batch_size to be an integer, got True"),
        ({"validation_split": 1.0}, ValueError, r"fit: expected validation_split in \[0, 1\), got 1.0"),
        ({"validation_split": 0.01}, ValueError, "examples on both sides, got 0.01 of 12"),
        (
            {"validation_split": 0.2, "validation_data": (X, Y)},
            ValueError,
            "validation_data or validation_split, got both",
        ),
        ({"validation_data": (X,)}, TypeError, r"validation_data to be \(x, y\)"),
        ({"sample_weight": np.ones(11)}, ValueError, "expected sample_weight with 12 rows, as x, got 11"),
        ({"sample_weight": np.ones((12, 1))}, ValueError, r"expected sample_weight of shape \(N,\), got \(12, 1\)"),
        ({"sample_weight": -np.ones(12)}, ValueError, "expected sample_weight >= 0, got -1"),
        ({"sample_weight": np.zeros(12)}, ValueError, "expected a sample_weight > 0, got only zeros"),
        ({"sample_weight": np.full(12, np.nan)}, ValueError, "expected finite values in sample_weight"),
        ({"class_weight": "some"}, ValueError, "expected class_weight to be 'balanced' or a dict, got 'some'"),
        ({"class_weight": [1, 2]}, TypeError, "expected class_weight to be 'balanced' or a dict"),
        ({"class_weight": {5: 1.0}}, ValueError, "expected class_weight for classes in y, got one for 5"),
        ({"class_weight": {0: -1.0}}, ValueError, "class_weight"),
        ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, ValueError, "class_weight"),
    ],
)
def test_settings_of_fit(settings, kind, match, model):
    unchanged(model, lambda: model.fit(X, Y, **settings), kind, match)


@pytest.mark.parametrize("loss", [MeanSquaredError(), SigmoidCrossEntropy()])
def test_targets_do_not_broadcast(loss, backend):
    """(N,) beside an output of (N, 1) is one number each, never an N × N table; (N, 2) is refused."""
    model = Model([Dense(1)], input_shape=4, loss=loss, optimizer=Adam(), backend=backend, dtype="float64")
    y = (X[:, 0] > 0).astype(float)
    assert model.evaluate(X, y) == model.evaluate(X, y[:, None])
    unchanged(model, lambda: model.evaluate(X, X[:, :2]), ValueError, r"expected y of shape \(N, 1\).* got \(12, 2\)")


RESIDENT = """
import sys
import numpy as np
from anynet import Dense, GlobalAvgPool2D, Model
def resident():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
x = np.memmap(sys.argv[1], np.float32, "r", shape=(2000, 160, 160, 1))
model = Model([GlobalAvgPool2D(), Dense(1)], input_shape=x.shape[1:])
model.predict(x[:100])
before = resident()
model.predict(x)
print(resident() - before, x.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_predict_releases_the_pages_of_a_mapped_file(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2000 * 160 * 160 * 4)
    command = [sys.executable, "-c", RESIDENT, tmp_path / "x"]
    grown, size = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert grown < size / 2


@pytest.mark.parametrize("call", ["x", "y", "weight", "evaluate", "predict", "step", "iterable", "mapped"])
def test_masked_values_are_refused(call, backend, tmp_path):
    x, y, weight = np.ones((6, 3), "float32"), np.zeros((6, 2), "float32"), np.ones(6, "float32")
    hidden = [np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) == a.size - 1) for a in (x, y, weight)]
    model = Model([Dense(2)], input_shape=3, loss=MeanSquaredError(), optimizer=SGD(0.1), backend=backend)
    np.save(tmp_path / "x.npy", x)
    mapped = np.ma.masked_array(np.load(tmp_path / "x.npy", mmap_mode="r"), hidden[0].mask)
    with pytest.raises(ValueError, match=r"expected \w+ without masked values, got 1 of them; fill them in"):
        {
            "x": lambda: model.fit(hidden[0], y),
            "y": lambda: model.fit(x, hidden[1]),
            "weight": lambda: model.fit(x, y, sample_weight=hidden[2]),
            "evaluate": lambda: model.evaluate(hidden[0], y),
            "predict": lambda: model.predict(hidden[0]),
            "step": lambda: model.train_step(hidden[0], y),
            "iterable": lambda: model.fit([(hidden[0], y)]),
            "mapped": lambda: model.predict(mapped),
        }[call]()
    model.predict(np.ma.masked_array(x))  # without masked values nothing is lost


def test_nothing_of_a_refused_call_is_remembered(model):
    """The next call works as the first would have."""
    for x, y, kind, _ in DATA.values():
        with pytest.raises(kind):
            model.fit(x, y)
    fresh = Model(model.layer, input_shape=4, loss=model.loss, optimizer=model.optimizer, backend=model.backend)
    for each in (model, fresh):
        each.fit(X, Y, epochs=1)
    assert_same(fetch(model.backend, model.params), fetch(model.backend, fresh.params))


@pytest.mark.parametrize("shape", [(3, 4), (3, 300), (3, 20, 20), (300,)], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_number_anywhere_is_found(shape, bad, backend):
    for place in (0, math.prod(shape) // 2, -1):
        x = np.zeros(shape, np.float32)
        x.flat[place] = bad
        with (
            backend.activate(),
            pytest.raises(ValueError, match="expected finite values in x, got NaN or infinity in 1 place"),
        ):
            check_finite("here", "x", backend.asarray(x))


@pytest.mark.parametrize("shape", [(4, 3), (4, 300)], ids=str)
def test_opposite_infinities_are_found_and_large_numbers_are_not(shape, backend):
    x = np.full(shape, 3e38, np.float32)  # the sum overflows
    with backend.activate():
        check_finite("here", "x", backend.asarray(x))
        x[0], x[1] = np.inf, -np.inf
        expected = f"expected finite values in x, got NaN or infinity in {2 * shape[1]} places"
        with pytest.raises(ValueError, match=expected):
            check_finite("here", "x", backend.asarray(x))

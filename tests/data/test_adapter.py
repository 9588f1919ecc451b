"""Test the conversion of data for one model: batches, sources and forms of validation data."""

import numpy as np
import pytest

from anynet import (
    SGD,
    BinaryCrossEntropy,
    Dense,
    EachDense,
    EachMember,
    EachPosition,
    Embedding,
    HalfSquaredError,
    Hinge,
    Losses,
    MeanSquaredError,
    Members,
    Model,
    Parallel,
    Sigmoid,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    Tanh,
    tree,
)
from anynet.data.adapter import DataAdapter, is_batches
from anynet.data.batch import Batch
from anynet.data.plan import Plan
from anynet.data.sources import ArraySource, IterableSource, StreamedSource
from tests.tools import assert_same, fetch

pytestmark = pytest.mark.without("jax")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3
WEIGHT = RNG.random(20).astype("float32")
FIRST, SECOND = RNG.normal(size=(20, 2)).astype("float32"), RNG.integers(0, 5, 20)
NUMBERS = RNG.normal(size=(20, 1)).astype("float32")


def adapter_of(model):
    return DataAdapter(model.config, model.backend, model.output_shape)


def classifier(backend="numpy"):
    return adapter_of(Model([Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), backend=backend))


def branches(backend="numpy"):
    """Return the adapter of a model with two inputs, one of integers, and two outputs."""
    layers = [Parallel([Dense(3), Embedding(5, 2)]), Tanh(), Parallel([Dense(1), Dense(3)], combine=None)]
    loss = Losses([HalfSquaredError(), SoftmaxCrossEntropy()])
    return adapter_of(Model(layers, input_shape=((2,), ()), loss=loss, optimizer=SGD(0.1), backend=backend))


def one_by_one(*arrays, size=6):
    """Yield batches of arrays or tuples of arrays."""
    for start in range(0, 20, size):
        yield tuple(tree.map(lambda a: a[start : start + size], part) for part in arrays)  # noqa: B023


def whole(backend, source):
    """Return all examples of a source on the host as one batch."""
    parts = [fetch(backend, {"x": b.x, "y": b.y, "weight": b.weight}) for b in source.eval_batches(6)]
    return tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def expected(x, y, weight=None):
    return {"x": x, "y": y, "weight": weight}


def check(backend, actual, wanted):
    """Assert equal numbers; integers have the type of the backend."""
    given, wanted = (dict(tree.leaves_with_paths(each)) for each in (actual, wanted))
    assert given.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(given[path], array, err_msg=tree.name(path))


def sources(adapter, x=X, y=Y, **settings):
    defaults = {"sample_weight": None, "class_weight": None, "validation_data": None, "validation_split": 0.0}
    return adapter.sources(x, y, **{**defaults, **settings})


# Batches ----------------------------------------------------------------------------------------------------------------


def test_a_batch_of_arrays_of_the_right_kind_is_not_copied(backend):
    adapter = classifier(backend)
    x, y = backend.asarray(X), backend.asarray(Y, backend.index_dtype)
    for _ in range(2):  # the second is recognized by its kind and shape
        batch = adapter.batch("fit", x, y)
        assert type(batch) is Batch and batch.weight is None
        assert (batch.x is x, batch.y is y) == (backend.asarray(x) is x, backend.asarray(y) is y)
    check(backend, fetch(backend, adapter.batch("fit", x, y, WEIGHT)), Batch(X, Y, WEIGHT))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :3], Y, r"fit: expected x of shape \(N, 4\), got \(20, 3\)"),
        (X, Y[:5], "fit: expected y with 20 rows, as x, got 5"),
        (X[:0], Y[:0], r"fit: expected at least one example in x, got shape \(0, 4\)"),
        (X, Y.astype("float32"), r"expected y of integers"),
    ],
)
def test_a_batch_that_does_not_fit_raises_also_after_one_that_does(x, y, message, backend):
    adapter = classifier(backend)
    for _ in range(2):
        adapter.batch("fit", backend.asarray(X), backend.asarray(Y, backend.index_dtype))
        with pytest.raises(ValueError, match=message):
            adapter.batch("fit", backend.asarray(x), backend.asarray(y))


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_inputs_and_outputs(kind, backend):
    adapter = branches(backend)
    batch = adapter.check("fit", adapter.batch("fit", kind([FIRST, SECOND]), kind([NUMBERS, Y]), WEIGHT))
    assert type(batch.x) is tuple and type(batch.y) is tuple
    assert batch.x[0].dtype == backend.dtype("float32") and batch.x[1].dtype == backend.index_dtype
    check(backend, fetch(backend, batch), Batch((FIRST, SECOND), (NUMBERS, Y), WEIGHT))


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (FIRST, (NUMBERS, Y), TypeError, "fit: expected x to be a tuple of 2 arrays, got "),
        ((FIRST,), (NUMBERS, Y), ValueError, "fit: expected x to be a tuple of 2 arrays, got 1"),
        ((FIRST, SECOND), NUMBERS, TypeError, "fit: expected y to be a tuple of 2 arrays, got "),
        ((FIRST, SECOND[:5]), (NUMBERS, Y), ValueError, "fit: expected inputs with 20 rows, as x, got 5"),
        ((FIRST, SECOND), (NUMBERS, Y[:5]), ValueError, "fit: expected y with 20 rows, as x, got 5"),
        ((FIRST, FIRST[:, 0]), (NUMBERS, Y), TypeError, "fit: input 1: expected x of integers"),
        ((FIRST[:, :1], SECOND), (NUMBERS, Y), ValueError, r"fit: input 0: expected x of shape \(N, 2\)"),
        ((FIRST, SECOND + 5), (NUMBERS, Y), ValueError, "expected "),
    ],
)
def test_several_inputs_and_outputs_that_do_not_fit(x, y, error, message, backend):
    adapter = branches(backend)
    with pytest.raises(error, match=message):
        adapter.check("fit", adapter.batch("fit", x, y))


@pytest.mark.parametrize("make", [classifier, branches])
def test_inputs_are_predicted_in_pieces(make, backend, monkeypatch):
    monkeypatch.setattr("anynet.data.adapter.eval_batch_size", lambda config, numbers, x: 6)
    adapter, x = make(backend), X if make is classifier else (FIRST, SECOND)
    pieces = list(adapter.input_batches(x))
    assert [tree.leaves(piece)[0].shape[0] for piece in pieces] == [6, 6, 6, 2]
    joined = tree.map(lambda *arrays: np.concatenate(arrays), *[fetch(backend, piece) for piece in pieces])
    check(backend, joined, x)


# Sources ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("form", ["list", "tuple", "generator", "iterable"])
def test_batches_are_those_of_arrays(form, weight, backend):
    adapter = classifier(backend)
    arrays = (X, Y) if weight is None else (X, Y, weight)
    given = {"list": list, "tuple": tuple, "generator": iter, "iterable": Again}[form](one_by_one(*arrays))
    one, other = adapter.source("fit", X, Y, weight), adapter.source("fit", given, None)
    assert type(one) is ArraySource and type(other) is IterableSource
    plan = Plan(1, 6, False, 0, 0.0)
    batches = [[b for chunk in source.chunks(plan, 0, 0) for b in chunk.batches()] for source in (one, other)]
    assert [len(b) for b in batches[0]] == [6, 6, 6, 2]
    for a, b in zip(*batches, strict=True):
        assert_same(fetch(backend, b), fetch(backend, a))
    if form != "generator":
        assert_same(whole(backend, other), whole(backend, one))


class Again:
    """An iterable of batches that can be repeated, without a length."""

    def __init__(self, batches):
        self.batches = list(batches)

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.parametrize("tuples", [tuple, list])
def test_batches_of_several_inputs_and_outputs(tuples, backend):
    adapter = branches(backend)
    given = [(tuples(x), tuples(y), w) for x, y, w in one_by_one((FIRST, SECOND), (NUMBERS, Y), WEIGHT)]
    found = whole(backend, adapter.source("fit", given, None))
    check(backend, found, expected((FIRST, SECOND), (NUMBERS, Y), WEIGHT))


def test_arrays_that_do_not_fit_into_memory_are_streamed(backend, monkeypatch):
    adapter = branches(backend)
    monkeypatch.setattr(backend, "free_memory", lambda: 0)
    source = adapter.source("fit", [FIRST, SECOND], [NUMBERS, Y], WEIGHT)
    assert type(source) is StreamedSource and len(source) == 20
    check(backend, whole(backend, source), expected((FIRST, SECOND), (NUMBERS, Y), WEIGHT))
    index = np.array([3, 1, 19])
    some = expected((FIRST[index], SECOND[index]), (NUMBERS[index], Y[index]), WEIGHT[index])
    check(backend, whole(backend, source.take(index)), some)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ([(X, Y)], True),
        (((X, Y), (X, Y)), True),
        ([[X, Y]], True),
        (iter(()), True),
        (Again([]), True),
        (X, False),
        (X.tolist(), False),
        ([], False),
        (((1.0, 2.0), (3.0, 4.0)), True),  # pairs of numbers look like batches; `y` decides
        ([[1.0, 2.0]], False),
        ("text", False),
        (b"bytes", False),
        ({"x": X}, False),
        (3, False),
        (None, False),
    ],
)
def test_iterables_of_batches(value, answer):
    assert is_batches(value) == answer


# Validation -------------------------------------------------------------------------------------------------------------

VALID, VALID_Y = X[:8] + 1.0, Y[:8]
FORMS = {
    "tuple": ((VALID, VALID_Y), None),
    "list": ([VALID, VALID_Y], None),
    "weights": ((VALID, VALID_Y, WEIGHT[:8]), WEIGHT[:8]),
    "weights that are None": ((VALID, VALID_Y, None), None),
    "nested lists": ((VALID.tolist(), VALID_Y.tolist()), None),
    "list of batches": ([(VALID[:5], VALID_Y[:5]), (VALID[5:], VALID_Y[5:])], None),
    "tuple of batches": (((VALID[:5], VALID_Y[:5]), (VALID[5:], VALID_Y[5:])), None),
    "lists of lists": ([[VALID[:5], VALID_Y[:5]], [VALID[5:], VALID_Y[5:]]], None),
    "three batches": ([(VALID[i : i + 3], VALID_Y[i : i + 3]) for i in (0, 3, 6)], None),
    "one batch": ([(VALID, VALID_Y)], None),
    "weighted batches": ([(VALID, VALID_Y, WEIGHT[:8])], WEIGHT[:8]),
    "iterable": (Again([(VALID[:5], VALID_Y[:5]), (VALID[5:], VALID_Y[5:])]), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_validation_data(form, backend):
    given, weight = FORMS[form]
    training, validation = sources(classifier(backend), validation_data=given)
    check(backend, whole(backend, training), expected(X, Y))
    check(backend, whole(backend, validation), expected(VALID, VALID_Y, weight))


@pytest.mark.parametrize(
    "form", ["tuple", "lists", "weights", "batches", "two batches", "three batches", "batches of lists"]
)
def test_validation_data_of_several_inputs_and_outputs(form, backend):
    x, y = (FIRST, SECOND), (NUMBERS, Y)
    given = {
        "tuple": (x, y),
        "lists": [list(x), list(y)],
        "weights": (x, y, WEIGHT),
        "batches": list(one_by_one(x, y)),
        "two batches": list(one_by_one(x, y, size=10)),
        "three batches": tuple(one_by_one(x, y, size=7)),
        "batches of lists": [(list(a), list(b)) for a, b in one_by_one(x, y)],
    }[form]
    _, validation = sources(branches(backend), x, y, validation_data=given)
    check(backend, whole(backend, validation), expected(x, y, WEIGHT if form == "weights" else None))


@pytest.mark.parametrize("given", [(X,), (X, Y, WEIGHT, X), 3, "text", X, {"x": X}, []], ids=lambda v: type(v).__name__)
def test_validation_data_of_another_form(given):
    with pytest.raises(
        TypeError,
        match=r"fit: expected validation_data to be \(x, y\) or \(x, y, sample_weight\), got .*; or an iterable",
    ):
        sources(classifier(), validation_data=given)


def test_validation_data_is_named_in_errors():
    with pytest.raises(ValueError, match=r"^fit: validation_data: expected x of shape \(N, 4\), got \(8, 3\)"):
        sources(classifier(), validation_data=(VALID[:, :3], VALID_Y))
    with pytest.raises(ValueError, match=r"fit: expected validation_data or validation_split, got both, 0\.5"):
        sources(classifier(), validation_data=(VALID, VALID_Y), validation_split=0.5)


def test_class_weights_scale_the_training_data_alone(backend):
    adapter = classifier(backend)
    factor = np.array([2.0, 1.0, 0.5], "float32")[Y]
    settings = {"sample_weight": WEIGHT, "class_weight": {0: 2.0, 2: 0.5}}
    training, validation = sources(adapter, **settings, validation_data=(VALID, VALID_Y, WEIGHT[:8]))
    check(backend, whole(backend, training), expected(X, Y, factor * WEIGHT))
    check(backend, whole(backend, validation), expected(VALID, VALID_Y, WEIGHT[:8]))
    training, validation = sources(adapter, **settings, validation_split=0.25)
    for source, each in ((training, factor), (validation, np.ones(20))):
        found = whole(backend, source)
        index = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in found["x"]]
        np.testing.assert_allclose(found["weight"], (each * WEIGHT)[index], rtol=1e-6)
    assert len(training) + len(validation) == 20


MANY = (np.arange(80).reshape(20, 4) % 3 == 0).astype("float32")  # several labels per example


@pytest.mark.parametrize("weight", [{0: 2.0}, "balanced"], ids=str)
@pytest.mark.parametrize(
    ("loss", "y", "text"),
    [
        (SigmoidCrossEntropy(), MANY, "expected one class per example for class_weight, got 4 independent labels"),
        (SigmoidCrossEntropy(), np.eye(4)[Y], "got 4 independent labels with SigmoidCrossEntropy"),
        (BinaryCrossEntropy(), MANY, "got 4 independent labels with BinaryCrossEntropy"),
        (Hinge(), MANY, "got 4 independent labels with Hinge"),
        (MeanSquaredError(), MANY, "expected one-hot rows in y for class_weight with MeanSquaredError"),
        (MeanSquaredError(), 0.0 * MANY, "expected one-hot rows in y for class_weight"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_class_weights_refuse_several_labels(loss, y, text, weight):
    model = Model([Dense(4), Sigmoid()][: 1 + (loss.threshold == 0.5)], input_shape=4, loss=loss, optimizer=SGD(0.1))
    before = model.copy_params()
    with pytest.raises(ValueError, match=f"^fit: .*{text}.*; .*sample_weight"):
        model.fit(X, y, class_weight=weight)
    if weight != "balanced":
        with pytest.raises(ValueError, match=f"^fit: .*{text}.*; .*sample_weight"):
            model.fit([(X, y)], class_weight=weight)
    assert_same(model.params, before)


def test_class_weights_of_an_iterable_refuse_several_targets():
    model = Model([EachDense(3)], input_shape=(5, 2), loss=EachPosition(SoftmaxCrossEntropy()), optimizer=SGD(0.1))
    with pytest.raises(ValueError, match="fit: expected no class_weight with EachPosition"):
        model.fit([(np.zeros((4, 5, 2)), np.zeros((4, 5), int))], class_weight={0: 2.0})


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (SoftmaxCrossEntropy(), np.eye(4)[Y]),
        (SoftmaxCrossEntropy(), 0.9 * np.eye(4)[Y] + 0.025),
        (MeanSquaredError(), np.eye(4)[Y]),
        (EachMember(SoftmaxCrossEntropy()), np.eye(4)[Y]),
    ],
)
def test_class_weights_take_rows_of_one_class(loss, y):
    layers = [Members(2), EachDense(4)] if isinstance(loss, EachMember) else [Dense(4)]
    adapter = adapter_of(Model(layers, input_shape=4, loss=loss))
    factor = np.array([2.0, 1.0, 0.5], "float32")[Y]
    for given in ((X, y), ([(X, y)], None)):
        training, _ = sources(adapter, *given, class_weight={0: 2.0, 2: 0.5})
        np.testing.assert_array_equal(np.concatenate([b.weight for b in training.eval_batches(20)]), factor)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_split_takes_each_example_once(streamed, backend, monkeypatch):
    adapter = classifier(backend)
    if streamed:
        monkeypatch.setattr(backend, "free_memory", lambda: 0)
    training, validation = sources(adapter, validation_split=0.3)
    parts = [whole(backend, source) for source in (training, validation)]
    together = np.concatenate([part["x"] for part in parts])
    assert_same(together[np.lexsort(together.T)], X[np.lexsort(X.T)])
    assert np.abs(np.bincount(parts[1]["y"]) - 0.3 * np.bincount(Y)).max() < 1


def test_one_hot_targets_are_split_class_by_class():
    x = np.random.default_rng(0).integers(0, 256, (90, 6), dtype=np.uint8)
    rare = np.array([0] * 80 + [1] * 10)
    model = Model([Dense(2)], input_shape=6, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.0001))
    _, validation = sources(adapter_of(model), x, np.eye(2)[rare], validation_split=0.3)
    assert model.backend.to_numpy(validation.targets).sum(axis=0).tolist() == [24, 3]


def test_a_model_without_a_loss_has_inputs_alone(backend):
    adapter = adapter_of(Model([Dense(3)], input_shape=4, backend=backend))
    assert_same(fetch(backend, adapter.inputs("predict", X)), X)
    with pytest.raises(ValueError, match="Model: expected a loss, got none"):
        adapter.batch("evaluate", X, Y)


def test_numbers_beside_one_output_each(backend):
    adapter = adapter_of(Model([Dense(1)], input_shape=4, loss=MeanSquaredError(), backend=backend))
    assert_same(fetch(backend, adapter.batch("fit", X, NUMBERS[:, 0]).y), NUMBERS)

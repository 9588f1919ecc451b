"""Compare metrics with scikit-learn, weighted and in batches of unequal sizes, on every backend."""

from itertools import pairwise

import numpy as np
import pytest

from anynet import (
    F1,
    MAE,
    R2,
    RMSE,
    ROCAUC,
    SGD,
    Accuracy,
    ConfusionMatrix,
    Dense,
    HalfSquaredError,
    Model,
    Precision,
    Recall,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    TopK,
    load,
)
from anynet.metrics import Custom
from anynet.training.running_metrics import RunningMetrics

sk = pytest.importorskip("sklearn.metrics")
rng = np.random.default_rng(0)
N, CUTS = 203, (0, 64, 128, 129, 203)

scores = rng.normal(size=(N, 5)).astype(np.float32)
labels = rng.choice([0, 1, 2, 4], N)  # class 3 is absent, but predicted
given = scores.argmax(axis=1)
coarse = np.round(rng.normal(size=(N, 1)), 1).astype(np.float32)  # ties
yes = (rng.random((N, 1)) < 0.4).astype(np.float32)
numbers = (1000 + rng.normal(size=(N, 3))).astype(np.float32)
guesses = (numbers + rng.normal(size=(N, 3)) / 2).astype(np.float32)
weights = rng.random(N).astype(np.float32)
weights[:20] = 0

CLASSES = (scores, labels)
BINARY = (coarse, yes)
NUMBERS = (guesses, numbers)


def top(y_pred, y_true, k, w):
    return sk.top_k_accuracy_score(y_true, y_pred, k=k, sample_weight=w, labels=range(5))


def single(function, **settings):
    return lambda p, t, w: function(t[:, 0], (p[:, 0] > 0).astype(int), sample_weight=w, zero_division=0, **settings)


def many(function):
    return lambda p, t, w: function(t, p.argmax(axis=1), sample_weight=w, average="macro", zero_division=0)


CASES = [
    (Accuracy(), CLASSES, lambda p, t, w: sk.accuracy_score(t, p.argmax(axis=1), sample_weight=w)),
    (Accuracy(0.0), BINARY, lambda p, t, w: sk.accuracy_score(t[:, 0] > 0.5, p[:, 0] > 0.0, sample_weight=w)),
    (TopK(1), CLASSES, lambda p, t, w: top(p, t, 1, w)),
    (TopK(3), CLASSES, lambda p, t, w: top(p, t, 3, w)),
    (Precision(), CLASSES, many(sk.precision_score)),
    (Recall(), CLASSES, many(sk.recall_score)),
    (F1(), CLASSES, many(sk.f1_score)),
    (Precision(threshold=0.0), BINARY, single(sk.precision_score)),
    (Recall(threshold=0.0), BINARY, single(sk.recall_score)),
    (F1(threshold=0.0), BINARY, single(sk.f1_score)),
    (F1("macro", threshold=0.0), BINARY, single(sk.f1_score, average="macro")),
    (ROCAUC(), BINARY, lambda p, t, w: sk.roc_auc_score(t[:, 0], p[:, 0], sample_weight=w)),
    (
        ConfusionMatrix(),
        CLASSES,
        lambda p, t, w: sk.confusion_matrix(t, p.argmax(axis=1), sample_weight=w, labels=range(5)),
    ),
    (MAE(), NUMBERS, lambda p, t, w: sk.mean_absolute_error(t, p, sample_weight=w)),
    (RMSE(), NUMBERS, lambda p, t, w: sk.root_mean_squared_error(t, p, sample_weight=w)),
    (R2(), NUMBERS, lambda p, t, w: sk.r2_score(t, p, sample_weight=w)),
    (Custom(lambda y_true, y_pred: sk.r2_score(y_true, y_pred)), NUMBERS, lambda p, t, w: sk.r2_score(t, p)),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("metric", "data", "expected"), CASES, ids=lambda case: getattr(case, "name", None))
def test_no_examples_add_nothing(metric, data, expected, weighted, backend):
    """A process may have none of a batch's examples."""
    values = []
    for cuts in ((0, 50), (0, 0, 50, 50)):
        totals = RunningMetrics(backend, {"it": metric})
        for start, stop in pairwise(cuts):
            p, t, w = (backend.asarray(a[start:stop].copy()) for a in (*data, weights))
            totals.add([backend.compile(metric.sums)(t, p, w if weighted else None)])
        values.append(totals.values()["it"])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("metric", "data", "expected"), CASES, ids=lambda case: getattr(case, "name", None))
def test_equals_scikit_learn(metric, data, expected, weighted, backend):
    totals = RunningMetrics(backend, {"it": metric})
    for start, stop in pairwise(CUTS):
        p, t = (backend.asarray(a[start:stop].copy()) for a in data)
        w = backend.asarray(weights[start:stop].copy()) if weighted else None
        totals.add([backend.compile(metric.sums)(t, p, w)])
    value = totals.values()["it"]
    # the reference computes in float64 from the same float32 values
    y_pred, y_true = (a.astype(np.float64) if a.dtype == np.float32 else a for a in data)
    np.testing.assert_allclose(
        value, expected(y_pred, y_true, weights.astype(np.float64) if weighted else None), rtol=1e-6, atol=1e-6
    )


def test_in_a_model(tmp_path):
    x = rng.normal(size=(N, 4))
    metrics = ["accuracy", Precision(), Recall(), F1(), ROCAUC(), ConfusionMatrix()]
    model = Model([Dense(1)], input_shape=4, loss=SigmoidCrossEntropy(), optimizer=SGD(0.1), metrics=metrics)
    history = model.fit(x, yes, epochs=3, batch_size=32, validation_data=(x, yes))
    names = ["loss", "accuracy", "precision", "recall", "f1", "roc_auc", "confusion_matrix"]
    assert list(history) == names + [f"val_{name}" for name in names]
    logits = model.predict(x)[:, 0]
    values = model.evaluate(x, yes)
    assert values["precision"] == pytest.approx(sk.precision_score(yes[:, 0], logits > 0))
    assert values["roc_auc"] == pytest.approx(sk.roc_auc_score(yes[:, 0], logits))
    assert values["confusion_matrix"].tolist() == sk.confusion_matrix(yes[:, 0], logits > 0).tolist()
    assert history["val_f1"][-1] == values["f1"]
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").metrics == model.metrics


def half_of_the_worst(y_true, y_pred):
    return np.abs(y_true - y_pred).max() / 2


def test_a_function_receives_all_examples_and_is_passed_to_load(tmp_path, backend):
    x = rng.normal(size=(N, 4))
    model = Model(
        [Dense(3)],
        input_shape=4,
        loss=HalfSquaredError(),
        optimizer=SGD(1e-5),
        metrics=[half_of_the_worst],
        backend=backend,
    )
    history = model.fit(x, numbers, epochs=2, batch_size=50, validation_data=(x, numbers))
    worst = np.abs(numbers - np.asarray(model.predict(x))).max() / 2
    assert history["val_half_of_the_worst"][-1] == pytest.approx(worst, rel=1e-6)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model", custom=[half_of_the_worst]).metrics == model.metrics


def test_a_function_may_take_weights_or_return_one_number_per_example():
    def each(y_true, y_pred):
        return np.abs(y_true - y_pred)[:, 0]

    def weighted(y_true, y_pred, sample_weight):
        return 0.0 if sample_weight is None else sample_weight.sum()

    for metric, expected in ((Custom(each), None), (Custom(weighted), weights.sum())):
        sums = metric.sums(numbers, guesses, weights)
        wanted = np.average(each(numbers, guesses), weights=weights) if expected is None else expected
        assert metric.value(sums) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TopK(0), ValueError, "TopK: expected k >= 1, got 0"),
        (lambda: F1("micro"), ValueError, "F1: expected average 'binary', 'macro' or None, got 'micro'"),
        (
            lambda: F1("binary").sums(labels, scores),
            ValueError,
            "F1: expected two classes with average='binary', got 5",
        ),
        (lambda: ROCAUC().sums(labels, scores), ValueError, r"ROCAUC: expected one output or two, got \(203, 5\)"),
        (lambda: TopK().sums(yes, coarse), ValueError, r"TopK: expected one output per class, shape \(N, C\), got"),
        (
            lambda: R2().sums(yes, guesses),
            ValueError,
            r"expected targets of shape \(203, 3\), as the output, got \(203, 1",
        ),
        (lambda: Model([Dense(1)], input_shape=1, metrics=[F1]), TypeError, "got .*; write it with parentheses"),
        (
            lambda: Custom(lambda y_true, y_pred: y_pred).value((numbers, guesses)),
            ValueError,
            r"expected lambda to return a number, or one for each of 203 examples, got an array of shape \(203, 3\)",
        ),
        (
            lambda: Model([Dense(2)], input_shape=1, loss=SoftmaxCrossEntropy(), metrics=["accuracy", Accuracy()]),
            ValueError,
            "metrics: expected different names",
        ),
    ],
)
def test_invalid_use_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()

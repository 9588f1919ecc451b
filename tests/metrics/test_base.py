"""Test metrics as sums over batches, on every backend."""

import numpy as np
import pytest

from anynet import Accuracy, MeanSquaredError, Metric, Recall, SigmoidCrossEntropy, SoftmaxCrossEntropy, TopK
from anynet.metrics import LossMetric, resolve
from tests.tools import cast, fetch, halves, place

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(50, 4)), RNG.integers(0, 4, 50)
WEIGHT = RNG.uniform(0.0, 2.0, 50)


def value(metric, backend, y_pred, y_true, weight=None, batches=(50,)):
    """Return the value of a metric from its sums over batches."""
    at = place(backend, {"y_pred": y_pred, "y_true": y_true, "weight": weight})
    sums, start = [], 0
    for size in batches:
        rows = slice(start, start + size)
        part = [None if at[k] is None else at[k][rows, ...] for k in ("y_true", "y_pred", "weight")]
        sums.append(fetch(backend, backend.compile(lambda *args: metric.sums(*args))(*part)))
        start += size
    return metric.value(tuple(sum(column) for column in zip(*sums, strict=True)))


@pytest.mark.parametrize(
    "metric", [Accuracy(), TopK(2), Recall(average="macro"), LossMetric(SoftmaxCrossEntropy())], ids=lambda m: m.name
)
def test_counts_of_large_batches_in_half(metric, backend):
    many, labels = np.tile(LOGITS, (2000, 1)), np.tile(LABELS, 2000)
    expected = value(metric, backend, many, labels, batches=(100_000,))
    for name in halves(backend):
        at = cast(backend, place(backend, many, "float32"), getattr(backend.xp, name))
        sums = metric.sums(place(backend, labels), at)
        assert metric.value(tuple(fetch(backend, sums))) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["mean", "weighted"])
@pytest.mark.parametrize("rows", [False, True], ids=["integers", "one-hot"])
def test_accuracy_of_classes(weight, rows, backend):
    right = LOGITS.argmax(axis=1) == LABELS
    expected = np.average(right, weights=weight)
    y = np.eye(4)[LABELS] if rows else LABELS
    assert value(Accuracy(), backend, LOGITS, y, weight) == pytest.approx(expected, rel=1e-12)
    assert value(Accuracy(), backend, LOGITS, y, weight, (16, 16, 16, 2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("metric", "shift"), [(Accuracy(0.0), 0.0), (Accuracy(0.5), 0.5), (Accuracy(), 0.5)])
def test_accuracy_of_one_output(metric, shift, backend):
    y = (RNG.uniform(size=(50, 1)) > 0.5) * 1.0
    assert value(metric, backend, LOGITS[:, :1] + shift, y) == np.mean((LOGITS[:, :1] > 0) == (y > 0.5))


def test_accuracy_of_several_outputs(backend):
    y = (RNG.uniform(size=(50, 4)) > 0.5) * 1.0
    expected = np.mean((LOGITS > 0) == (y > 0.5))
    assert value(Accuracy(0.0), backend, LOGITS, y, batches=(30, 20)) == pytest.approx(expected)


def test_a_loss_as_a_metric(backend):
    metric = LossMetric(MeanSquaredError())
    expected = np.average(np.mean((LOGITS - 1.0) ** 2, axis=1), weights=WEIGHT)
    assert value(metric, backend, LOGITS, np.ones((50, 4)), WEIGHT, (33, 17)) == pytest.approx(expected, rel=1e-12)


def test_names():
    assert [m.name for m in resolve(["accuracy", MeanSquaredError()], None)] == ["accuracy", "mean_squared_error"]
    assert resolve("accuracy", SigmoidCrossEntropy()) == (Accuracy(0.0),)
    assert resolve("accuracy", SoftmaxCrossEntropy()) == (Accuracy(),)
    assert resolve(Accuracy(0.3), None) == (Accuracy(0.3),)
    assert resolve((), None) == ()


@pytest.mark.parametrize(
    ("metrics", "kind", "match"),
    [
        (["recall_at_7"], ValueError, "got 'recall_at_7'"),
        ([3], TypeError, "expected names, metrics, losses or functions, got 3"),
        ([Accuracy], TypeError, "expected names, metrics, losses or functions"),
        ([Accuracy(), Accuracy(0.5)], ValueError, "expected different names"),
    ],
)
def test_invalid_metrics_raise(metrics, kind, match):
    with pytest.raises(kind, match=match):
        resolve(metrics, None)


def test_an_unimplemented_metric_raises():
    with pytest.raises(
        NotImplementedError, match=r"Metric: expected sums\(y_true, y_pred\) to be implemented, got none"
    ):
        Metric().sums(None, None)

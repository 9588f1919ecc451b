"""Test metrics as sums over batches, on every backend."""

import re

import numpy as np
import pytest

from anynet import (
    R2,
    ROCAUC,
    SGD,
    Accuracy,
    ConfusionMatrix,
    Dense,
    EachDense,
    EachPosition,
    HalfSquaredError,
    Losses,
    MeanSquaredError,
    Metric,
    Model,
    Parallel,
    Recall,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    TopK,
    load,
)
from anynet.callbacks import EarlyStopping
from anynet.metrics import Custom, LossMetric, OutputMetric, PartsMetric, resolve
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


# One of several outputs -----------------------------------------------------------------------------------------------


def mean_error(y_true, y_pred):
    return float(np.abs(y_true - y_pred).mean())


def two_outputs(metrics, seed=0):
    """Return a model with an output of numbers and one of logits, its inputs and its targets."""
    layers = [Parallel([Dense(2), Dense(1)], combine=None)]
    loss = Losses([HalfSquaredError(), SigmoidCrossEntropy()])
    settings = {"input_shape": ((3,), (3,)), "loss": loss, "optimizer": SGD(0.01), "metrics": metrics, "seed": seed}
    rng = np.random.default_rng(seed)
    x = tuple(rng.normal(size=(5000, 3)).astype("float32") for _ in range(2))
    y = rng.normal(size=(5000, 2)).astype("float32"), (rng.random((5000, 1)) < 0.4).astype("float32")
    return Model(layers, **settings), x, y


def test_a_metric_of_an_output_keeps_the_examples_that_its_metric_keeps():
    metrics = [OutputMetric(0, R2()), OutputMetric(1, ROCAUC()), OutputMetric(0, Custom(mean_error))]
    model, x, y = two_outputs(metrics)
    history = model.fit(x, y, batch_size=512, validation_data=(x, y))
    found, (numbers, logits) = model.evaluate(x, y), model.predict(x)
    sk = pytest.importorskip("sklearn.metrics")
    assert found["output_0_r2"] == pytest.approx(sk.r2_score(y[0], numbers), rel=1e-5)
    assert found["output_1_roc_auc"] == pytest.approx(sk.roc_auc_score(y[1][:, 0], logits[:, 0]), rel=1e-5)
    assert found["output_0_mean_error"] == pytest.approx(mean_error(y[0], numbers), rel=1e-5)
    for name in ("output_0_r2", "output_1_roc_auc", "output_0_mean_error"):
        assert np.isfinite(history[name]).all() and history[f"val_{name}"] == [found[name]]


def test_a_metric_of_an_output_has_the_threshold_of_its_loss():
    metrics = [OutputMetric(1, metric) for metric in (Accuracy(), ConfusionMatrix(), Recall())]
    model, x, y = two_outputs([*metrics, OutputMetric(-1, Recall("macro", threshold=0.3))])
    assert [metric.metric.threshold for metric in model.metrics] == [0.0, 0.0, 0.0, 0.3]
    yes, true = model.predict(x)[1] > 0, y[1] > 0.5
    found = model.evaluate(x, y)
    assert found["output_1_accuracy"] == pytest.approx(np.mean(yes == true))
    assert found["output_1_recall"] == pytest.approx(np.mean(yes[true]))


def test_a_metric_of_an_output_counts_the_positions_of_its_loss(tmp_path):
    layers = [Parallel([Dense(1), EachDense(4)], combine=None)]
    loss = Losses([HalfSquaredError(), EachPosition(SoftmaxCrossEntropy(), ignore=-1)])
    metrics = [OutputMetric(1, Accuracy()), OutputMetric(1, LossMetric(loss.losses[1]))]
    model = Model(layers, input_shape=((3,), (5, 2)), loss=loss, optimizer=SGD(0.1), metrics=metrics)
    assert (
        model.metrics[0] == OutputMetric(1, PartsMetric(Accuracy(), loss.losses[1])) and model.metrics[1] == metrics[1]
    )
    rng = np.random.default_rng(0)
    x, labels = (rng.normal(size=(20, 3)), rng.normal(size=(20, 5, 2))), rng.integers(-1, 4, (20, 5))
    y = rng.normal(size=(20, 1)), labels
    right = model.predict(x)[1].argmax(axis=-1) == labels
    found = model.evaluate(x, y)
    assert found["output_1_accuracy"] == pytest.approx(right[labels >= 0].mean())
    assert found["loss"] == pytest.approx(model.evaluate(x, (y[0], labels))["loss"])
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").metrics == model.metrics


def test_traits_of_a_metric_of_an_output():
    for metric in (Accuracy(), ROCAUC(), R2(), ConfusionMatrix(), LossMetric(MeanSquaredError()), Custom(mean_error)):
        for outer in (OutputMetric(0, metric), PartsMetric(metric, EachPosition(SoftmaxCrossEntropy()))):
            for trait in ("keeps_examples", "greater_is_better", "needs_classes", "optional_weights"):
                assert getattr(outer, trait) == getattr(metric, trait)
    model, x, y = two_outputs([OutputMetric(1, ROCAUC())])
    stopping = EarlyStopping("val_output_1_roc_auc")  # the greatest value is the best
    history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[stopping])
    assert stopping.best == max(history["val_output_1_roc_auc"])


def test_a_metric_of_classes_refuses_numbers_of_its_output():
    model, x, y = two_outputs([OutputMetric(1, Accuracy()), OutputMetric(0, Accuracy())])
    with pytest.raises(
        ValueError, match="expected y of classes, 0 and 1, for the metric 'output_0_accuracy' with Half"
    ):
        model.fit(x, y)
    with pytest.raises(ValueError, match=r"metrics: expected the index of an output below 2, got 2"):
        two_outputs([OutputMetric(2, Accuracy())])


@pytest.mark.parametrize("weighted", [(False, True), (True, False)], ids=["later", "first"])
def test_a_function_takes_weights_of_all_batches_or_of_none(weighted):
    """Batches (x, y) and (x, y, sample_weight) may alternate with other metrics."""
    x, y, w = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32"), np.array([1.0, 2.0, 0.0, 1.0])
    batches = [(x, y, w) if each else (x, y) for each in weighted]

    def model(metric):
        return Model([Dense(1)], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(0.1), metrics=[metric])

    forms = ["(x, y)", "(x, y, sample_weight)"]
    text = f"batch 2: expected {forms[weighted[0]]}, as before, for the metric 'mean_error', got {forms[weighted[1]]}"
    for call in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=re.escape(f"{call}: x: {text}")):
            getattr(model(mean_error), call)(batches)
        assert getattr(model("mae"), call)(batches)
    for each in weighted:
        assert np.isfinite(model(mean_error).evaluate([batches[weighted.index(each)]] * 2)["mean_error"])

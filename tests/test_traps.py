"""Mistakes that would train, save or compare without an error, each refused where it first can be."""

import numpy as np
import pytest

from anynet import (
    SGD,
    Checkpoint,
    Dense,
    HalfSquaredError,
    Losses,
    MeanSquaredError,
    Model,
    Parallel,
    Sigmoid,
    SigmoidCrossEntropy,
    load,
)

X = np.random.default_rng(0).normal(size=(20, 2))
NUMBERS = X.sum(axis=1)


DEFAULT = {"loss": MeanSquaredError(), "layers": (Dense(1),)}


def model(loss=DEFAULT["loss"], metrics=(), layers=DEFAULT["layers"], backend="numpy"):
    return Model(list(layers), input_shape=2, loss=loss, optimizer=SGD(0.1), metrics=metrics, backend=backend)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "precision", "roc_auc", "confusion_matrix"])
def test_metrics_of_classes_refuse_a_regression(metric, backend):
    one = model(metrics=[metric], backend=backend)
    words = rf"fit: expected y of classes, 0 and 1, for the metric '{metric}' with MeanSquaredError, got other numbers; for a"
    with pytest.raises(ValueError, match=words):
        one.fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"evaluate: expected y of classes"):
        one.evaluate(X, NUMBERS)
    with pytest.raises(ValueError, match=r"expected y of classes"):
        one.fit([(X, NUMBERS)])
    assert one.epoch == 0


def test_metrics_of_classes_accept_classes_as_numbers():
    yes = (NUMBERS > 0).astype(float)
    for loss, layers in ((HalfSquaredError(), (Dense(1), Sigmoid())), (SigmoidCrossEntropy(), (Dense(1),))):
        history = model(loss, ["accuracy"], layers).fit(X, yes, epochs=100, progress=False)
        assert history["accuracy"][-1] > 0.7
    soft = np.clip(NUMBERS, 0.1, 0.9)
    model(SigmoidCrossEntropy(), ["accuracy"]).evaluate(X, soft)
    rows = np.eye(3)[np.arange(20) % 3]
    model(metrics=["accuracy"], layers=(Dense(3),)).evaluate(X, rows)
    both = Losses([MeanSquaredError(), MeanSquaredError()])
    model(both, layers=(Parallel([Dense(1), Dense(1)], combine=None),)).evaluate(X, (NUMBERS, NUMBERS))


def test_checkpoint_refuses_a_lambda_before_the_first_epoch(tmp_path):
    one = model(metrics=[lambda y_true, y_pred: 0.0])
    with pytest.raises(TypeError, match=r"save: expected hyperparameters .* named functions, got <function .*<lambda>"):
        one.fit(X, NUMBERS, callbacks=[Checkpoint(tmp_path / "run.safetensors")])
    assert one.epoch == 0 and not list(tmp_path.iterdir())


def test_what_can_be_saved_can_be_loaded(tmp_path):
    def spread(y_true, y_pred):
        return np.std(y_pred)

    one = model(metrics=[spread])
    one.fit(X, NUMBERS, progress=False, callbacks=[Checkpoint(tmp_path / "run.safetensors")])
    assert load(tmp_path / "run.safetensors", custom=[spread]).metrics == one.metrics

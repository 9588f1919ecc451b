"""Mistakes that would train, save or compare without an error, each refused where it first can be."""

from dataclasses import dataclass

import numpy as np
import pytest

import anynet
from anynet import (
    SGD,
    Callback,
    Checkpoint,
    Dense,
    HalfSquaredError,
    Losses,
    MeanSquaredError,
    Model,
    Optimizer,
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


def test_class_weights_refuse_a_regression(backend):
    one = model(backend=backend)
    for weight in ("balanced", {0: 2.0}):
        with pytest.raises(
            ValueError, match=r"fit: expected y of classes, 0 and 1, for class_weight with MeanSquaredError"
        ):
            one.fit(X, np.arange(20.0) % 3, class_weight=weight)
    with pytest.raises(ValueError, match=r"expected y of classes, 0 and 1, for class_weight"):
        one.fit([(X, np.arange(20.0) % 3)], class_weight={0: 2.0})
    one.fit(X, np.arange(20) % 2, class_weight="balanced")
    model(layers=(Dense(3),)).fit(X, np.eye(3)[np.arange(20) % 3], class_weight="balanced")


def test_an_error_in_a_metric_names_its_arguments():
    def broken(y_true, y_pred):
        raise ValueError("bad input")

    with pytest.raises(ValueError, match="bad input") as raised:
        model(metrics=[broken]).evaluate(X, NUMBERS)
    assert raised.value.__notes__ == [
        "metrics: broken received y_true (20, 1) and y_pred (20, 1), the outputs as Model.predict returns them; functions of "
        "classes need y_pred.argmax(axis=1)"
    ]


def test_hooks_of_callbacks_are_checked_with_their_class():
    class Static(Callback):
        @staticmethod
        def on_epoch_end(run):
            seen.append(run.epoch)

    class Any(Callback):
        def on_fit_end(self, *arguments):
            seen.append(len(arguments))

        def once(self, epoch, logs):
            """Not a hook."""

    seen = []
    model().fit(X, NUMBERS, epochs=2, callbacks=[Static(), Any()])
    assert seen == [1, 2, 1]
    for name, words in (
        ("on_epoch", "did you mean on_epoch_end"),
        ("on_test_end", "write on_epoch_end, which runs after"),
    ):
        with pytest.raises(TypeError, match=words):
            type("Wrong", (Callback,), {name: lambda self, run: None})


def test_resuming_with_fewer_epochs_changes_nothing(tmp_path):
    path = tmp_path / "run.safetensors"
    model().fit(X, NUMBERS, epochs=3, callbacks=[Checkpoint(path)])
    one = model()
    before = one.params[0]["weight"].copy()
    with pytest.raises(ValueError, match=r"expected epochs >= 3, the number completed in .*, got 2"):
        one.fit(X, NUMBERS, epochs=2, resume=path)
    assert np.array_equal(one.params[0]["weight"], before) and one.epoch == 0
    assert one.fit(X, NUMBERS, epochs=3, resume=path).epochs == 3


def test_a_rule_that_raises_on_numpy_arrays_is_left_to_the_first_step():
    @dataclass(frozen=True)
    class Special(Optimizer):
        @staticmethod
        def rule(p, g, rate):
            raise RuntimeError("needs another library")

        def coefficients(self, step):
            return (0.1,)

    one = Model([Dense(1)], input_shape=2, loss=MeanSquaredError(), optimizer=Special())
    with pytest.raises(RuntimeError, match="needs another library"):
        one.fit(X, NUMBERS)


def test_hasattr_and_submodules_of_the_package():
    from anynet import checks  # a module, not a public name

    assert not hasattr(anynet, "Linear") and checks.__name__ == "anynet.checks"
    with pytest.raises(ImportError, match=r"expected a public name, got 'Lineer'"):
        exec("from anynet import Lineer")

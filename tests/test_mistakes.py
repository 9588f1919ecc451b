"""What beginners get wrong, and that the message says what to do."""

import re
import sys
import warnings

import numpy as np
import pytest

from anynet import (
    SGD,
    Accuracy,
    Adam,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Conv2D,
    Dense,
    Flatten,
    FocalLoss,
    MeanSquaredError,
    Model,
    ReLU,
    Sequential,
    Sigmoid,
    SigmoidCrossEntropy,
    Softmax,
    SoftmaxCrossEntropy,
    backends,
)
from anynet.callbacks import ProgressBar

X = np.linspace(0.0, 1.0, 80).reshape(20, 4)
Y = np.arange(20) % 3


def model(layers=None, **settings):
    layers = [Dense(8), ReLU(), Dense(3)] if layers is None else layers
    defaults = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": Adam()}
    return Model(layers, **{**defaults, **settings})


def fit(x=X, y=Y, **settings):
    return model().fit(x, y, **settings)


def regression(y, outputs):
    return model([Dense(outputs)], loss=MeanSquaredError()).fit(X, y)


MISTAKES = {
    "loss forgotten": (
        lambda: model(loss=None).fit(X, Y),
        ValueError,
        "pass loss=..., for example SoftmaxCrossEntropy()",
    ),
    "optimizer forgotten": (
        lambda: model(optimizer=None).fit(X, Y),
        ValueError,
        "pass optimizer=..., for example Adam()",
    ),
    "unknown loss": (lambda: model(loss="msee"), ValueError, "got 'msee'; did you mean MSE?"),
    "unknown optimizer": (lambda: model(optimizer="adan"), ValueError, "got 'adan'; did you mean Adam?"),
    "class for loss": (lambda: model(loss=MeanSquaredError), TypeError, "MeanSquaredError; write it with parentheses"),
    "class for layer": (lambda: model([Dense(8), ReLU]), TypeError, "the class ReLU; write it with parentheses"),
    "text for layer": (
        lambda: model([Dense(8), "relux"]),
        ValueError,
        "layer 1 to be Dense(10) or the name of such a class, got 'relux'; did you mean ReLU?",
    ),
    "class for metric": (lambda: model(metrics=[Accuracy]), TypeError, "Accuracy; write it with parentheses"),
    "no list of metrics": (lambda: model(metrics=None), TypeError, "expected a list of names, metrics or losses"),
    "unknown metric": (
        lambda: model(metrics=["f7"]),
        ValueError,
        "expected metrics to be 'accuracy', a Metric, a Loss or",
    ),
    "unknown backend": (lambda: model(backend="gpu"), ValueError, "'torch:cuda'"),
    "batch axis in input_shape": (
        lambda: model(input_shape=(20, 4)),
        ValueError,
        "leave the batch axis out of input_shape",
    ),
    "None in input_shape": (lambda: model(input_shape=(None, 4)), TypeError, "leave the batch axis out"),
    "images without Flatten": (lambda: model(input_shape=(8, 8)), ValueError, "put Flatten() before it"),
    "images for rows": (
        lambda: fit(X.reshape(20, 2, 2)),
        ValueError,
        "reshape it to (N, 4), or give the model input_shape",
    ),
    "channels first": (
        lambda: model([Flatten(), Dense(3)], input_shape=(5, 4, 3)).fit(np.ones((20, 3, 5, 4)), Y),
        ValueError,
        "channels come last: np.moveaxis(x, 1, -1)",
    ),
    "channels first in input_shape": (
        lambda: model([Conv2D(4, 3)], input_shape=(1, 8, 8)),
        ValueError,
        "shapes are (height, width, channels)",
    ),
    "channel axis missing": (
        lambda: model([Flatten(), Dense(3)], input_shape=(2, 2, 1)).fit(X.reshape(20, 2, 2), Y),
        ValueError,
        "got (20, 2, 2); reshape it to (N, 2, 2, 1)",
    ),
    "too few features": (lambda: fit(X[:, :3]), ValueError, "fit: expected x of shape (N, 4), got (20, 3)"),
    "transposed": (lambda: fit(X.T), ValueError, "an example is a row: x.T"),
    "batch axis missing": (lambda: model().predict(X[0]), ValueError, "x[None]"),
    "batch axis of an image missing": (
        lambda: model([Flatten(), Dense(3)], input_shape=(2, 2)).predict(X[0].reshape(2, 2)),
        ValueError,
        "x[None]",
    ),
    "feature axis missing": (lambda: model(input_shape=1).fit(X[:, 0], Y), ValueError, "x[:, None]"),
    "rows differ": (lambda: fit(y=Y[:5]), ValueError, "expected y with 20 rows, as x, got 5"),
    "y forgotten": (lambda: model().fit(X), ValueError, "expected y, the targets"),
    "labels as text": (lambda: fit(y=np.array(["a", "b", "c"])[Y]), TypeError, "np.unique(y, return_inverse=True)[1]"),
    "labels as floats": (lambda: fit(y=Y.astype(float)), ValueError, "cast the labels to integers"),
    "labels from one": (
        lambda: fit(y=Y + 1),
        ValueError,
        "expected labels in y from 0 to 2, got 3; the model has 3 outputs",
    ),
    "labels below zero": (lambda: fit(y=Y - 1), ValueError, "expected labels in y from 0 to 2, got -1"),
    "classes for numbers": (lambda: regression(Y, 3), ValueError, "use SoftmaxCrossEntropy or pass one-hot rows"),
    "one output for classes": (lambda: model([Dense(1)]).fit(X, Y), ValueError, "use SigmoidCrossEntropy"),
    "x is None": (lambda: fit(None), TypeError, "expected x to be an array of numbers, got None"),
    "x is text": (lambda: fit([["a"] * 4] * 20), TypeError, "expected x to be an array of numbers, got list"),
    "x is ragged": (lambda: fit([[1, 2], [1]] * 10), ValueError, "expected x to be an array of numbers, got list"),
    "x has gaps": (lambda: fit(np.where(X > 0.9, np.nan, X)), ValueError, "remove or fill those rows first"),
    "split as percent": (lambda: fit(validation_split=20), ValueError, "expected validation_split in [0, 1), got 20"),
    "split as text": (lambda: fit(validation_split="0.2"), TypeError, "expected validation_split to be a number"),
    "validation without y": (
        lambda: fit(validation_data=X),
        TypeError,
        "to be (x, y) or (x, y, sample_weight), got ndarray",
    ),
    "class for callback": (
        lambda: fit(callbacks=[ProgressBar]),
        TypeError,
        "the class ProgressBar; write it with parenth",
    ),
    "function for callback": (lambda: fit(callbacks=[print]), TypeError, "to be ProgressBar() or another Callback"),
    "callback without list": (lambda: fit(callbacks=ProgressBar()), TypeError, "write [...] around it"),
    "negative class weight": (
        lambda: fit(class_weight={0: -1.0}),
        ValueError,
        "expected class_weight[0] in [0, inf), got -1",
    ),
    "weight of no class": (lambda: fit(class_weight={7: 1.0}), ValueError, "classes are [0, 1, 2]"),
    "unknown in history": (lambda: fit()["val_loss"], KeyError, "expected one of loss, got 'val_loss'"),
    "no such folder": (lambda: model().save("no/such/folder/file"), FileNotFoundError, "create it first"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_message_says_what_to_do(mistake):
    make, kind, words = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(words)) as raised:
        make()
    assert "expected" in str(raised.value)
    assert ", got " in str(raised.value)


def test_a_refused_fit_changes_nothing():
    subject = model()
    before = [array.copy() for layer in subject.params for array in layer.values()]
    for bad in ({"y": Y + 1}, {"y": Y, "callbacks": [print]}, {"y": Y, "validation_split": 20}):
        with pytest.raises((TypeError, ValueError)):
            subject.fit(X, **bad)
    after = [array for layer in subject.params for array in layer.values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert subject.epoch == 0


@pytest.mark.parametrize(
    ("end", "loss", "advice"),
    [
        (Softmax(), SoftmaxCrossEntropy(), "leave Softmax() out, since SoftmaxCrossEntropy brings its own"),
        (Sigmoid(), SigmoidCrossEntropy(), "leave Sigmoid() out, since SigmoidCrossEntropy brings its own"),
        (Sigmoid(), FocalLoss(), "leave Sigmoid() out, since FocalLoss brings its own"),
        (Dense(3), CategoricalCrossEntropy(), "end it in Sigmoid() or Softmax(), or use SoftmaxCrossEntropy()"),
        (Dense(3), BinaryCrossEntropy(), "end it in Sigmoid() or Softmax(), or use SigmoidCrossEntropy()"),
    ],
)
def test_warns_of_a_softmax_too_many_or_too_few(end, loss, advice):
    with pytest.warns(UserWarning, match=re.escape(advice)) as caught:
        model([Dense(3), Sequential([end])], loss=loss)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("end", "loss"),
    [
        (Dense(3), SoftmaxCrossEntropy()),
        (Softmax(), CategoricalCrossEntropy()),
        (Sigmoid(), BinaryCrossEntropy()),
        (Sigmoid(), MeanSquaredError()),
        (Dense(3), MeanSquaredError()),
    ],
)
def test_does_not_warn_of_what_fits(end, loss):
    model([Dense(3), end], loss=loss)


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("torch", "torch", "pip install torch"),
        ("jax", "jax", "pip install jax"),
        ("cupy", "cupy", 'pip install "cupy-cuda13x[ctk]"'),
        ("strict", "array_api_strict", "pip install array-api-strict"),
    ],
)
def test_says_how_to_install_a_missing_library(monkeypatch, name, package, command):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape(f"run: {command}")):
        model(backend=name)
    assert name not in backends.available()


def test_names_the_devices_that_are_there():
    with pytest.raises(ValueError, match="'cpu', got 'cuda'; for an NVIDIA GPU use backend='cupy'"):
        model(device="cuda")
    pytest.importorskip("torch")
    with pytest.raises(RuntimeError, match=r"expected an available device, got 'cuda:99' .* this machine has: cpu"):
        model(backend="torch:cuda:99")


def test_warns_once_when_training_diverges(backend):
    subject = Model([Dense(1)], input_shape=1, loss=MeanSquaredError(), optimizer=SGD(1e6), backend=backend)
    x = np.arange(1.0, 9.0)[:, None]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = subject.fit(x, x, epochs=20, batch_size=4)
    assert np.isnan(history["loss"][-1])
    assert [c.category for c in caught] == [RuntimeWarning]
    assert "lower learning rate" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_class_weights_scale_the_loss_of_their_class():
    alone = model().fit(X, Y, batch_size=None, class_weight={0: 1.0, 1: 0.0, 2: 0.0})
    expected = model().evaluate(X[Y == 0], Y[Y == 0])
    assert alone["loss"][0] == pytest.approx(expected["loss"], rel=1e-6)
    balanced = model().fit(X, Y, batch_size=None, class_weight="balanced", sample_weight=np.ones(20))
    each = [model().evaluate(X[c == Y], Y[c == Y])["loss"] for c in range(3)]
    assert balanced["loss"][0] == pytest.approx(np.mean(each), rel=1e-6)

"""Common mistakes of beginners, and the remedies that their messages contain."""

import contextlib
import re
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from anynet import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Dense,
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

X = np.linspace(0.0, 1.0, 80).reshape(20, 4)
Y = np.arange(20) % 3

SETUP = """\
from dataclasses import dataclass

import numpy as np
import anynet
from anynet import *

x, y = np.linspace(0.0, 1.0, 80).reshape(20, 4), np.arange(20) % 3


def make(layers=None, **settings):
    layers = [Dense(8), ReLU(), Dense(3)] if layers is None else layers
    defaults = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": Adam()}
    return Model(layers, **{**defaults, **settings})


model = make()
"""
"""Code that runs before each mistake."""

OWN_LOSS = """\
@dataclass(frozen=True)
class Squared(Loss):
    def per_example(self, y_true, y_pred):
        error = y_pred - y_true
        return {losses}

    def derivative(self, cache):
        return {derivative}

make([Dense(1)], loss=Squared()).fit(x, x[:, :1])"""


OWN_OPTIMIZER = """\
def rule(p, g, velocity, rate):
    return {new}

@dataclass(frozen=True)
class Momentum(Optimizer):
    rule = staticmethod(rule)
    slots = {slots}

    def coefficients(self, step):
        return {coefficients}

make(optimizer=Momentum())"""


def own_optimizer(new="p - rate * (velocity + g), velocity + g", slots='("velocity",)', coefficients="(0.1,)"):
    return OWN_OPTIMIZER.format(new=new, slots=slots, coefficients=coefficients)


def own_callback(hook):
    return f"class Report(Callback):\n    def {hook}:\n        print(run.logs)"


def own_loss(losses="(error * error)[:, 0], error", derivative="2.0 * cache"):
    return OWN_LOSS.format(losses=losses, derivative=derivative)


MISTAKES = {
    "Settings of a model": [
        ("make(loss=None).fit(x, y)", ValueError, "pass loss=..., for example SoftmaxCrossEntropy()"),
        ("make(optimizer=None).fit(x, y)", ValueError, "pass optimizer=..., for example Adam()"),
        ("Model([Dense(3)], loss='mse')", TypeError, "write input_shape=..., the shape of one example, x.shape[1:]"),
        ("make(loss='msee')", ValueError, "got 'msee'; did you mean MSE?"),
        ("make(optimizer='adan')", ValueError, "got 'adan'; did you mean Adam?"),
        ("make(metrics=['f7'])", ValueError, "expected metrics to be 'accuracy', a Metric, a Loss or the name"),
        ("make(metrics=['pr_auc'])", ValueError, "write metrics=[sklearn.metrics.average_precision_score]"),
        ("make(metrics=['loss'])", ValueError, "the loss is always reported"),
        ("make(metrics=None)", TypeError, "expected a list of names, metrics or losses"),
        ("make(metrics=['accuracy', 'accuracy'])", ValueError, "expected different names"),
        ("make(loss=MeanSquaredError)", TypeError, "MeanSquaredError; write it with parentheses"),
        ("make(metrics=[Accuracy])", TypeError, "Accuracy; write it with parentheses"),
        (
            "make(loss=lambda y_true, y_pred: (y_pred - y_true) ** 2)",
            TypeError,
            "write a class with per_example and derivative",
        ),
        ("make(loss='log_loss')", ValueError, "write SoftmaxCrossEntropy(), or SigmoidCrossEntropy() for one output"),
        ("make(loss=MAE())", TypeError, "got MAE(); write MeanAbsoluteError()"),
        ("make(optimizer=CosineDecay(0.1, epochs=5))", TypeError, "write Adam(CosineDecay(...))"),
        ("make(optimiser=Adam())", TypeError, "did you mean optimizer?"),
        ("make(backend='gpu')", ValueError, "'torch:cuda'"),
        ("make(backend='cuda')", ValueError, "write backend='cupy' or backend='torch:cuda'"),
        ("make(backend='cpu')", ValueError, "write backend='numpy'"),
        ("make(loss='nll')", ValueError, "write CategoricalCrossEntropy() after Softmax(), or SoftmaxCrossEntropy()"),
        ("make(dtype='float16')", ValueError, "expected one of 'float32', 'float64', got 'float16'"),
        ("make(seed=None)", TypeError, "expected seed to be an integer, got None"),
        ("CosineDecay(0.1)", ValueError, "expected steps or epochs, got neither"),
        ("make(regularizer='l2')", TypeError, "write L1(...) or L2(...) with its strength"),
        ("make(regularizer=1e-4)", TypeError, "write L2(...)"),
        ("Adam(CosineDecay)", TypeError, "got the class CosineDecay; write CosineDecay(...)"),
        ("Adam(-1e-3)", ValueError, "expected learning_rate in (0, inf), got -0.001"),
        ("Adam('fast')", TypeError, "expected learning_rate to be a number, got 'fast'"),
    ],
    "Layers and shapes": [
        ("make([Dense(8), ReLU])", TypeError, "the class ReLU; write it with parentheses"),
        ("make([Dense(8), 'relux'])", ValueError, "got 'relux'; did you mean ReLU?"),
        ("make([Dense(8), 'dropout'])", ValueError, "write Dropout(...)"),
        ("make([Dense(8), [ReLU()], Dense(3)])", TypeError, "write Sequential([...]) around layers inside the list"),
        ("make([Dense(8), np.tanh, Dense(3)])", TypeError, "write an activation such as Tanh()"),
        ("Sequential(Dense(8), ReLU())", TypeError, "write Sequential([layer, layer]), with one list"),
        ("make([])", ValueError, "expected one or more layers, got an empty list"),
        ("make(input_shape=(20, 4))", ValueError, "leave the batch axis out of input_shape"),
        ("make(input_shape=x)", TypeError, "write input_shape=x.shape[1:]"),
        ("Model([Dense(3)], 4)", TypeError, "write Model(layers, input_shape=..., loss=..., optimizer=...)"),
        ("make(input_shape=(None, 4))", ValueError, "leave the batch axis out of input_shape"),
        ("make(input_shape=(8, 8))", ValueError, "put Flatten() before the last Dense"),
        ("make([Conv2D(4, 3)], input_shape=(1, 8, 8))", ValueError, "shapes are (height, width, channels)"),
        ("make([MaxPool1D(5)], input_shape=(4, 2))", ValueError, "shapes are (length, channels)"),
        ("make([BatchNorm(64)])", TypeError, "the number of features follows from input_shape"),
        ("make([Dense(0)])", ValueError, "expected units >= 1, got 0"),
        ("make([Dense(1)]).fit(x, y)", ValueError, "use SigmoidCrossEntropy"),
        ("make([Dense(3)], loss=GaussianNLL())", ValueError, "expected a multiple of 2 outputs, 2 per target"),
        ("Dense(3, bias=False)", TypeError, "write use_bias=False"),
        ("Dense(3, 'relu')", TypeError, "an activation is a layer: [Dense(8), ReLU()]"),
        ("Dense(3, use_bias='no')", TypeError, "expected use_bias to be True or False, got 'no'"),
        ("Dense(3, weight=HeNormal)", TypeError, "got the class HeNormal; write for example HeNormal()"),
        ("Dense(3, weight=np.ones((3, 4))).init(np.random.default_rng(0), (4,))", ValueError, "it is transposed"),
    ],
    "Sequences": [
        ("make([LSTM(8), Dense(3)])", ValueError, "put Reshape((*shape, 1)) before it"),
        ("make([LSTM(8), Dense(3)], input_shape=(5, 4))", ValueError, "LSTM(units, sequences=False) and Dense"),
        ("make([GRU(8), Dense(3)], input_shape=(5, 4))", ValueError, "use EachPosition(SoftmaxCrossEntropy())"),
        (
            "make(Lengths([MaxPool1D(2), LSTM(3, sequences=False)]), input_shape=((5, 4), ()))",
            ValueError,
            "put it after a layer with one output per sequence",
        ),
        ("make([LSTM(8, sequences=False), LSTM(8)], input_shape=(5, 4))", ValueError, "before it sequences=True"),
        ("LSTM(8, return_sequences=True)", TypeError, "write sequences=True, the default, or sequences=False"),
        ("LSTM(4, hidden_size=8)", TypeError, "write units=..."),
        ("LSTM(8, batch_first=True)", TypeError, "the first axis is always that of the examples"),
        ("LSTM(8, num_layers=2)", TypeError, "write several layers: [LSTM(units), LSTM(units)]"),
        ("anynet.Bidirectional(LSTM(8))", AttributeError, "write Parallel([LSTM(units), LSTM(units, reverse=True)])"),
        ("Embedding(num_embeddings=10, embedding_dim=4)", TypeError, "write entries=..."),
        (
            "make([Embedding(10, 4), Flatten(), Dense(3)]).fit(10 * x, y)",
            TypeError,
            "cast it, for example by x.astype(int)",
        ),
        ("make([Embedding(10, 4), Flatten(), Dense(3)]).fit(x.astype(int) + 10, y)", ValueError, "has no such row"),
        (
            "make([Dense(4), Embedding(10, 4), Flatten(), Dense(3)]).fit(x, y)",
            ValueError,
            "put it before layers that compute",
        ),
        (
            "make([Embedding(10, 4), Flatten(), Dense(3)]).fit([[1, 2, 3, 4], [1, 2]], [0, 1])",
            ValueError,
            "whose rows differ in length; pad them to one length",
        ),
        (
            "make([Embedding(10, 4), Flatten(), Dense(3)]).fit([list('abcd')] * 20, y)",
            TypeError,
            "encode text and categories as numbers",
        ),
    ],
    "Data": [
        ("model.fit(x.reshape(20, 2, 2), y)", ValueError, "reshape it to (N, 4), or give the model input_shape"),
        (
            "make([Flatten(), Dense(3)], input_shape=(5, 4, 3)).fit(np.ones((20, 3, 5, 4)), y)",
            ValueError,
            "np.moveaxis",
        ),
        ("make([Flatten(), Dense(3)], input_shape=(2, 2, 1)).fit(x.reshape(20, 2, 2), y)", ValueError, "(N, 2, 2, 1)"),
        ("model.fit(x[:, :3], y)", ValueError, "fit: expected x of shape (N, 4), got (20, 3)"),
        ("model.fit(x.T, y)", ValueError, "an example is a row: x.T"),
        ("model.predict(x[0])", ValueError, "x[None]"),
        ("make(input_shape=1).fit(x[:, 0], y)", ValueError, "x[:, None]"),
        ("model.fit(x, y[:5])", ValueError, "expected y with 20 rows, as x, got 5"),
        ("model.fit(x)", ValueError, "expected y, the targets"),
        ("model.fit(None, y)", TypeError, "expected x to be an array of numbers, got None"),
        ("model.fit('train.csv', y)", TypeError, "read the file first, for example by np.load or pandas.read_csv"),
        ("model.fit({'a': x}, y)", TypeError, "write x=... with one of its arrays"),
        ("model.fit([['a'] * 4] * 20, y)", TypeError, "expected x to be an array of numbers, got list"),
        ("model.fit([[1, 2], [1]] * 10, y)", ValueError, "expected x to be an array of numbers, got list"),
        ("model.fit(np.where(x > 0.9, np.nan, x), y)", ValueError, "remove or fill those rows first"),
        ("model.fit(x, np.array(['a', 'b', 'c'])[y])", TypeError, "np.unique(y, return_inverse=True)[1]"),
        ("model.fit(x, y.astype(float))", ValueError, "cast the labels to integers"),
        ("model.fit(x, y + 1)", ValueError, "expected labels in y from 0 to 2, got 3; the model has 3 outputs"),
        ("model.fit(x, y - 1)", ValueError, "expected labels in y from 0 to 2, got -1"),
        ("model.fit(x, np.where(y == 0, np.nan, y))", ValueError, "leave out the examples without a label"),
        ("model.fit(x, y, validation_data=(x, y + 1))", ValueError, "fit: validation_data: "),
        ("model.fit(x, y, sample_weight='balanced')", TypeError, "write class_weight='balanced'"),
        (
            "make([Dense(1)], loss='sigmoid_cross_entropy').fit(x, 2 * (y > 0) - 1)",
            ValueError,
            "for labels -1 and 1, pass (y + 1) / 2",
        ),
        (
            "make([Dense(1)], loss='sigmoid_cross_entropy').fit(x, np.eye(2)[y % 2])",
            ValueError,
            "of one-hot rows for two classes, pass y[:, 1]",
        ),
        ("make(loss='mse').fit(x, y)", ValueError, "use SoftmaxCrossEntropy or pass one-hot rows"),
        ("make([Dense(1)], loss='mse', metrics=['accuracy']).fit(x, x[:, 0])", ValueError, "for a regression use"),
    ],
    "Training": [
        ("model.fit(x, y, validation_split=20)", ValueError, "expected validation_split in [0, 1), got 20"),
        ("model.fit(x, y, validation_split='0.2')", TypeError, "expected validation_split to be a number"),
        ("model.fit(x, y, validation_data=x)", TypeError, "to be (x, y) or (x, y, sample_weight), got ndarray"),
        ("model.fit(x, y, shuffle='batch')", TypeError, "expected shuffle to be True, False or a function"),
        ("model.fit(x, y, epochs=0)", ValueError, "expected epochs >= 1, got 0"),
        ("model.fit(x, y, batch_size=0)", ValueError, "expected batch_size >= 1, got 0"),
        ("model.fit(x, y, callbacks=[StopOnNaN])", TypeError, "the class StopOnNaN; write it with parentheses"),
        ("model.fit(x, y, callbacks=[len])", TypeError, "to be ProgressBar() or another Callback"),
        ("model.fit(x, y, callbacks=StopOnNaN())", TypeError, "write [...] around it"),
        ("model.fit(x, y, callbacks=[EarlyStopping()])", ValueError, "pass validation_data or validation_split"),
        (
            "model.fit(x, y, callbacks=[EarlyStopping('val_rmse')], validation_split=0.2)",
            ValueError,
            "got 'val_rmse'; pass metrics=['rmse'] to Model",
        ),
        (
            "model.fit(x, y, callbacks=[EarlyStopping('val_los')], validation_split=0.2)",
            ValueError,
            "did you mean val_loss?",
        ),
        ("EarlyStopping(5)", TypeError, "write patience=5"),
        (
            "model.fit(x, y, callbacks=[EarlyStopping('validation_loss')], validation_split=0.2)",
            ValueError,
            "did you mean val_loss?",
        ),
        (
            "model.fit(x, y, callbacks=[lambda run: print(run)])",
            TypeError,
            "write LambdaCallback(on_epoch_end=function)",
        ),
        ("LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))", TypeError, "expected on_epoch_end(run)"),
        ("LambdaCallback(on_train_end=print)", TypeError, "write on_fit_end"),
        (
            "make([Dense(1)], loss='mse').fit(x, x[:, 0], class_weight='balanced')",
            ValueError,
            "for a regression use sample_weight",
        ),
        ("model.fit(x, y, class_weight={0: -1.0})", ValueError, "expected class_weight[0] in [0, inf), got -1"),
        ("model.fit(x, y, class_weight={7: 1.0})", ValueError, "classes are [0, 1, 2]"),
        ("model.fit(x, y)['val_loss']", KeyError, "expected one of loss, got 'val_loss'"),
        ("make(optimizer=SGD(CosineDecay(0.1, epochs=5))).train_step(x, y)", ValueError, "Model.fit converts epochs"),
        ("make(optimizer=LBFGS()).fit(x, y)", ValueError, "expected batch_size=None for LBFGS"),
    ],
    "Habits of other libraries": [
        ("Dense(16, activation='relu')", TypeError, "write the activation as a layer of its own: [Dense(16), ReLU()]"),
        ("Dense(64, 10)", TypeError, "write Dense(units); the number of inputs follows from input_shape"),
        ("Dense()", TypeError, "expected the argument 'units', got none"),
        ("Conv2D(8, 3, strides=2)", TypeError, "write stride=..."),
        ("Dropout(p=0.5)", TypeError, "write rate=..."),
        ("MaxPool2D(2, 2)", TypeError, "write MaxPool2D(pool_size, stride=...)"),
        ("Adam(0.9, 0.999)", TypeError, "write Adam(learning_rate, beta1=..., beta2=...)"),
        ("Adam(betas=(0.9, 0.99))", TypeError, "write beta1=..., beta2=..."),
        ("Adam(weight_decay=1e-4)", TypeError, "write AdamW(weight_decay=...)"),
        ("EarlyStopping(restore_best_weights=True)", TypeError, "write restore_best=..."),
        ("model.fit(x, y, 5)", TypeError, "write fit(x, y, epochs=...)"),
        ("model.fit(x, y, verbose=1)", TypeError, "write progress=True or progress=False"),
        ("model.fit(x, y, epoch=5)", TypeError, "did you mean epochs?"),
        ("model.fit(x, y, learning_rate=0.1)", TypeError, "write Model(..., optimizer=Adam(learning_rate))"),
        ("model.fit(x, y).history['loss']", AttributeError, "write history['loss']"),
        ("model.predict(x, verbose=0)", TypeError, "write predict(x), which prints nothing"),
        ("model.evaluate(x, y, batch_size=8)", TypeError, "which chooses the size of its batches"),
        ("SGD(model.params, 0.1)", TypeError, "Model passes it the parameters"),
        ("model.compile(loss='mse')", AttributeError, "write Model(layers, input_shape=..., loss=..., optimizer=..."),
        ("model.parameters()", AttributeError, "write params"),
        ("model.get_weights()", AttributeError, "weights(layout='keras') for Keras's list"),
        (
            "class Net(Model):\n    def __init__(self):\n        self.first = Dense(3)\n\nNet().fit(x, y)",
            AttributeError,
            "calls super().__init__(layers, input_shape=..., loss=..., optimizer=...)",
        ),
        ("model.state_dict()", AttributeError, "write weights(), with PyTorch's names, or save(path)"),
        ("model.predict_probabilities(x)", AttributeError, "did you mean predict_proba?"),
        ("from anynet import Linear", ImportError, "write Dense(units)"),
        ("from anynet import Relu", ImportError, "did you mean ReLU?"),
        ("anynet.Linear", AttributeError, "write Dense(units)"),
        ("anynet.Relu", AttributeError, "did you mean ReLU?"),
        ("anynet.BatchNormalization", AttributeError, "write BatchNorm"),
        ("anynet.MSELoss", AttributeError, "write MeanSquaredError"),
        ("anynet.MLPClassifier", AttributeError, "write anynet.sklearn.MLPClassifier"),
        ("make(loss='mse', layers=[Dense(3)]).predict_proba(x)", ValueError, "use Model.predict"),
        ("model.loss = MSE()", AttributeError, "expected no assignment"),
    ],
    "Weights and files": [
        ("model.params = [np.ones((4, 8))]", ValueError, "assign [{'weight': ..., 'bias': ...}"),
        ("model.params = {'0.weight': np.ones((4, 8))}", ValueError, "with an additional '0.weight'"),
        ("make([Dense(3)]).params = [{'weight': np.ones((3, 4)), 'bias': np.ones(3)}]", ValueError, "pass array.T"),
        (
            "make([Dense(3)]).params = [{'weight': [[1.0] * 3] * 4, 'bias': [0.0] * 3}]",
            ValueError,
            "convert lists of numbers by np.array",
        ),
        ("model.save('no/such/folder/file')", FileNotFoundError, "create it first"),
        ("model.fit(x, y, callbacks=[CSVLogger('no/such/log.csv')])", FileNotFoundError, "create it before training"),
        ("model.save(None)", TypeError, "expected path to be the path of a file, got None"),
        ("model.save()", TypeError, "expected the argument 'path', got none"),
        ("Model.load('model')", AttributeError, "write anynet.load(path)"),
        ("open('weights.pt', 'w').close()\nload('weights.pt')", ValueError, "Model.load_weights reads the weights"),
        ("model.fit(x, y, resume=True)", TypeError, "expected resume to be the path of a file, got True"),
        (
            "model.fit(x, y, epochs=3, callbacks=[Checkpoint('run')])\nmodel.fit(x, y, epochs=2, resume='run')",
            ValueError,
            "expected epochs >= 3, the number completed in run, got 2",
        ),
        ("load('no-such-file')", FileNotFoundError, "expected an existing file"),
        ("make(metrics=[lambda a, b: 0.0]).fit(x, y, callbacks=[Checkpoint('run')])", TypeError, "or with def"),
    ],
    "Classes of your own": [
        (
            "class Slope(Layer):\n    def __init__(self, slope):\n        self.slope = slope\n\nSlope(0.1)",
            TypeError,
            "with slope as a field",
        ),
        (
            "class Slope(Layer):\n    slope: float\n\nSlope(0.1)",
            TypeError,
            "write @dataclass(frozen=True) above the class",
        ),
        (
            "class Nothing(Layer): pass\n\nmake([Nothing()]).predict(x)",
            NotImplementedError,
            "expected a method forward",
        ),
        (
            "class NoDx(Dense):\n    def backward(self, params, cache, dy, *, need_dx=True):\n"
            "        return None, super().backward(params, cache, dy)[1]\n\ncheck_gradients(NoDx(3), x)",
            AssertionError,
            "NoDx: x: expected a gradient for the input",
        ),
        ("check_gradients(MSE(), x)", ValueError, "expected y for a model or a loss, got None"),
        ("check_gradients(Dense, x)", TypeError, "got the class Dense; write it with parentheses"),
        (own_optimizer(slots='("velocity")'), TypeError, "write ('velocity',)"),
        (own_optimizer(slots='("velocity", "square")'), TypeError, "expected a rule of p, g, velocity, square"),
        (own_optimizer(new="p - rate * g"), TypeError, "expected the rule to return (p, velocity)"),
        (
            own_optimizer().replace("staticmethod(rule)", "property(lambda self: lambda p, g, v, rate: (p, v))"),
            TypeError,
            "define it at the level of the module",
        ),
        (own_optimizer(coefficients="0.1"), TypeError, "expected coefficients(step) to return a tuple"),
        (own_callback("on_epoch_ends(self, run)"), TypeError, "did you mean on_epoch_end?"),
        (own_callback("on_train_begin(self, run)"), TypeError, "write on_fit_begin"),
        (own_callback("on_epoch_end(self, epoch, logs=None)"), TypeError, "expected on_epoch_end(self, run)"),
        (own_loss("(error * error).mean()"), ValueError, "the mean over the batch is taken by Loss"),
        (own_loss("(error * error).mean(), error"), ValueError, "expected one loss per example, of shape (20,)"),
        (own_loss("(error * error)[:, 0]"), ValueError, "and the cache for derivative"),
        (own_loss(derivative="None"), ValueError, "expected an array of y_pred's shape"),
        (own_loss(derivative="2.0 * cache[:, 0]"), ValueError, "expected y_pred's shape (20, 1), got shape (20,)"),
    ],
}
"""Mistakes by topic: the code, the error, and a part of its message that helps."""

PAGE = Path(__file__).resolve().parents[1] / "docs" / "howto" / "errors.md"

INTRODUCTION = """\
---
orphan: true
---

# Error messages

A message names the argument, the expected and the given value, and the remedy. The page lists common mistakes with the message
of each. They begin with this code:

"""


def run(code):
    """Run a mistake, and return the error that it raises."""
    space = {}
    exec(SETUP, space)
    with pytest.raises(Exception) as raised:  # its type is compared by the caller
        exec(code, space)
    return raised.value


def typed(code):
    """Return code with the prompts of an interactive session."""
    first, *rest = code.split("\n")
    session = [f">>> {first}"]
    for before, line in zip([first, *rest], rest, strict=False):
        begins = line[:1].strip() and not before.startswith("@")
        session.append(f"{'>>>' if begins else '...'} {line}".rstrip())
    return "\n".join(session)


def page():
    """Return the page of all mistakes as Markdown."""
    lines = [f"{INTRODUCTION}```python\n{SETUP}```"]
    for topic, rows in MISTAKES.items():
        lines.append(f"## {topic}")
        for code, _, _ in rows:
            error = run(code)
            message = str(error.args[0] if isinstance(error, KeyError) else error)
            message = re.sub(r" at 0x\w+>", ">", message).replace(f"{Path.cwd().resolve()}/", "")
            lines.append(f"```pycon\n{typed(code)}\n{type(error).__name__}: {message}\n```")
    return "\n\n".join(lines) + "\n"


ROWS = [row for rows in MISTAKES.values() for row in rows]


@pytest.mark.parametrize(("code", "kind", "words"), ROWS, ids=[code.replace("\n", " ") for code, _, _ in ROWS])
def test_message_has_the_remedy(code, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = run(code)
    assert isinstance(error, kind)
    assert words in str(error)
    assert "expected" in str(error) and ", got " in str(error)


def test_there_are_many():
    assert len(ROWS) >= 50
    assert len({code for code, _, _ in ROWS}) == len(ROWS)


@pytest.mark.skipif(not PAGE.parent.exists(), reason="the documentation is not available")
def test_the_page_lists_them_all(tmp_path, monkeypatch):
    """``python -m tests.test_mistakes`` writes the page."""
    monkeypatch.chdir(tmp_path)
    assert PAGE.read_text(encoding="utf-8") == page()


def model(layers=None, **settings):
    layers = [Dense(8), ReLU(), Dense(3)] if layers is None else layers
    defaults = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": Adam()}
    return Model(layers, **{**defaults, **settings})


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
        (ReLU(), SoftmaxCrossEntropy(), "leave ReLU() out, since it removes the negative logits"),
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        PAGE.write_text(page(), encoding="utf-8")

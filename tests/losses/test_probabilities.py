"""Probabilities and classes that each loss makes of the outputs, through `Model`."""

import numpy as np
import pytest

from anynet import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Dense,
    EachMember,
    EachPosition,
    FocalLoss,
    Hinge,
    Identity,
    KLDivergence,
    LogSoftmax,
    Losses,
    MeanSquaredError,
    Model,
    Parallel,
    SigmoidCrossEntropy,
    Softmax,
    SoftmaxCrossEntropy,
    tree,
)
from anynet.data import batch
from tests.losses.cases import LOSSES

Z = np.array([[0.0, 2.0, -1.0], [1e4, 0.0, -1e4], [-3.0, -2.0, -1.0], [0.5, 0.1, 0.2]])


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(z):
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def both(p):
    return np.concatenate([1.0 - p, p], axis=1)


P = softmax(Z)
FEW = Z[:, :1]
PAIRS = np.stack([Z[:2], -Z[2:]], axis=1) / 3.0
CASES = [
    (SoftmaxCrossEntropy(), Z, P, [1, 0, 2, 0]),
    (SoftmaxCrossEntropy(label_smoothing=0.1), Z, P, [1, 0, 2, 0]),
    (CategoricalCrossEntropy(), P, P, [1, 0, 2, 0]),
    (SigmoidCrossEntropy(), Z, sigmoid(Z), [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]),
    (SigmoidCrossEntropy(), FEW, both(sigmoid(FEW)), [0, 1, 0, 1]),
    (FocalLoss(), FEW, both(sigmoid(FEW)), [0, 1, 0, 1]),
    (BinaryCrossEntropy(), sigmoid(FEW), both(sigmoid(FEW)), [0, 1, 0, 1]),
    (BinaryCrossEntropy(), sigmoid(Z), sigmoid(Z), [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]),
    (KLDivergence(), np.log(softmax(Z / 1e3)), softmax(Z / 1e3), [1, 0, 2, 0]),
    (Hinge(), FEW, None, [0, 1, 0, 1]),
    (EachMember(SoftmaxCrossEntropy()), PAIRS, softmax(PAIRS).mean(axis=1), [1, 0]),
    (EachMember(SigmoidCrossEntropy()), PAIRS[..., :1], both(sigmoid(PAIRS[..., :1]).mean(axis=1)), [1, 1]),
    (
        EachMember(EachPosition(SoftmaxCrossEntropy())),
        Z.reshape(1, 2, 2, 3),
        P.reshape(1, 2, 2, 3).mean(axis=1),
        [[1, 0]],
    ),
    (EachMember(CategoricalCrossEntropy()), P.reshape(2, 2, 3), P.reshape(2, 2, 3).mean(axis=1), [0, 2]),
    (EachMember(Hinge()), FEW.reshape(2, 2, 1), None, [1, 0]),
    (EachPosition(SoftmaxCrossEntropy()), Z.reshape(2, 2, 3), P.reshape(2, 2, 3), [[1, 0], [2, 0]]),
]


@pytest.mark.parametrize(("loss", "outputs", "expected", "classes"), CASES, ids=lambda value: type(value).__name__)
def test_conversion(loss, outputs, expected, classes, backend):
    model = Model([Identity()], input_shape=outputs.shape[1:], loss=loss, backend=backend, dtype="float64")
    x = backend.asarray(outputs)
    found = model.predict_classes(x)
    assert type(found) is type(x) and backend.xp.isdtype(found.dtype, "integral")
    np.testing.assert_array_equal(backend.to_numpy(found), classes)
    if expected is None:
        with pytest.raises(ValueError, match=r"got Hinge; Model.predict_classes returns the classes"):
            model.predict_proba(x)
        return
    given = model.predict_proba(x)
    assert type(given) is type(x)
    np.testing.assert_allclose(backend.to_numpy(given), expected, rtol=1e-12, atol=1e-300)


def test_every_loss_of_classes_has_a_case():
    assert {type(loss) for loss, *_ in LOSSES if loss.has_classes} == {type(loss) for loss, *_ in CASES}


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: repr(row[0]))
def test_the_others_raise(row):
    loss, y_pred, _ = row
    if loss.has_classes:
        return
    inner = type(getattr(loss, "loss", loss)).__name__
    for method in (loss.probabilities, loss.classes):
        with pytest.raises(ValueError, match=f"got {inner}; use Model"):
            method(y_pred)


def test_several_outputs():
    ends = Parallel([Identity(), Dense(1), [Dense(2), Softmax()]], combine=None)
    loss = Losses([SoftmaxCrossEntropy(), MeanSquaredError(), CategoricalCrossEntropy()])
    model = Model(ends, input_shape=3, loss=loss, dtype="float64")
    first, none, last = model.predict_proba(Z)
    np.testing.assert_allclose(first, P)
    assert none is None and last.shape == (4, 2)
    assert [None if a is None else a.shape for a in model.predict_classes(Z)] == [(4,), None, (4,)]
    numbers = Model(ends, input_shape=3, loss=Losses([MeanSquaredError()] * 3))
    for method in (numbers.predict_proba, numbers.predict_classes):
        with pytest.raises(ValueError, match=r"got Losses; use Model\.predict"):
            method(Z)


def test_without_a_loss():
    with pytest.raises(ValueError, match="expected a loss, got none"):
        Model([LogSoftmax()], input_shape=3).predict_proba(Z)


def test_more_examples_than_predict_takes_at_once(monkeypatch):
    monkeypatch.setattr(batch, "MAX_EVAL_EXAMPLES", 3)
    model = Model([Dense(3)], input_shape=3, loss=SoftmaxCrossEntropy())
    x = np.random.default_rng(0).normal(size=(10, 3))
    np.testing.assert_allclose(model.predict_proba(x), softmax(model.predict(x)), rtol=1e-6)
    assert all(len(a) == 10 for a in tree.leaves(model.predict_classes(x)))

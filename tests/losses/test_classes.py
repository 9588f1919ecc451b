"""Class weights, label smoothing, and invalid arguments and targets."""

import numpy as np
import pytest

from anynet import (
    Dense,
    FocalLoss,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Model,
    Poisson,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)

Z = np.array([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0], [1.0, 1.0, -2.0], [0.5, 0.0, 0.0]])
Y = np.array([0, 2, 1, 1])
WEIGHT = (0.5, 3.0, 2.0)


def test_class_weights_are_sample_weights_for_integer_labels():
    samples = np.array([1.0, 2.0, 0.5, 0.0])
    value, cache = SoftmaxCrossEntropy(class_weight=WEIGHT).forward(Y, Z, samples)
    expected, same = SoftmaxCrossEntropy().forward(Y, Z, samples * np.array(WEIGHT)[Y])
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(
        SoftmaxCrossEntropy(class_weight=WEIGHT).backward(cache), SoftmaxCrossEntropy().backward(same), rtol=1e-13
    )


def test_fit_and_evaluate_report_the_weighted_mean():
    x = np.random.default_rng(0).normal(size=(50, 4))
    y = np.arange(50) % 3
    loss = SoftmaxCrossEntropy(class_weight=WEIGHT, label_smoothing=0.1)
    from anynet import SGD

    model = Model([Dense(3)], input_shape=4, loss=loss, optimizer=SGD(1e-12), dtype="float64")
    value = float(loss.forward(y, model.predict(x))[0])
    np.testing.assert_allclose(model.evaluate(x, y)["loss"], value, rtol=1e-12)
    np.testing.assert_allclose(model.fit(x, y, batch_size=7, progress=False)["loss"], [value], rtol=1e-9)


def test_integer_and_one_hot_labels_are_smoothed_alike():
    loss = SoftmaxCrossEntropy(label_smoothing=0.2)
    np.testing.assert_allclose(loss.forward(Y, Z)[0], loss.forward(np.eye(3)[Y], Z)[0], rtol=1e-14)


@pytest.mark.parametrize("loss", [FocalLoss(), FocalLoss(0.5), SigmoidCrossEntropy(), Hinge(), LogCosh(), Huber()])
def test_large_outputs_stay_finite(loss):
    z = np.array([[1e4, -1e4, 1e4, -1e4]], dtype=np.float32)
    y = np.array([[1.0, 1.0, 0.0, 0.0]], dtype=np.float32)
    value, cache = loss.forward(y, z)
    assert np.isfinite(value) and np.isfinite(loss.backward(cache)).all()
    assert value.dtype == loss.backward(cache).dtype == np.float32


def test_log_cosh_of_a_small_error_is_half_its_square():
    error = np.array([[1e-5]], dtype=np.float32)
    np.testing.assert_allclose(LogCosh().forward(np.zeros_like(error), error)[0], 0.5e-10, rtol=1e-2)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SoftmaxCrossEntropy(label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda: SoftmaxCrossEntropy(class_weight=[1.0, -1.0]), ValueError, "class_weight"),
        (lambda: SoftmaxCrossEntropy(class_weight=[0.0, 0.0]), ValueError, "class_weight > 0"),
        (lambda: SoftmaxCrossEntropy(class_weight={0: 1.0}), TypeError, "class_weight"),
        (lambda: SigmoidCrossEntropy(pos_weight=[float("nan")]), ValueError, "pos_weight"),
        (lambda: Huber(0.0), ValueError, "delta"),
        (lambda: FocalLoss(-1.0), ValueError, "gamma"),
        (lambda: FocalLoss(alpha=2.0), ValueError, "alpha"),
        (lambda: Poisson(epsilon=0.0), ValueError, "epsilon"),
    ],
)
def test_bad_hyper_parameters_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("loss", "y", "text"),
    [
        (SoftmaxCrossEntropy(class_weight=[1.0, 2.0]), [0, 1], "expected 3 numbers in class_weight"),
        (SigmoidCrossEntropy(pos_weight=[1.0, 2.0]), [[0, 1, 1]] * 2, "expected 3 numbers in pos_weight"),
        (Poisson(), [[0, 1, -2]] * 2, "counts >= 0"),
        (KLDivergence(), [[0.5, 1.0, -0.5]] * 2, "probabilities >= 0"),
        (Hinge(), [[0.0, 1.0, 0.5]] * 2, "labels in y of 0 and 1"),
        (FocalLoss(), [[0.0, 1.0, 2.0]] * 2, "labels in y from 0 to 1"),
    ],
)
def test_bad_targets_are_refused(loss, y, text):
    model = Model([Dense(3)], input_shape=2, loss=loss)
    with pytest.raises(ValueError, match=text):
        model.evaluate(np.zeros((2, 2)), y)

"""Classification losses beyond the contract: integer and one-hot labels, and accuracy at extreme outputs."""

import numpy as np
import pytest

from anynet import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    LogSoftmax,
    Sigmoid,
    SigmoidCrossEntropy,
    Softmax,
    SoftmaxCrossEntropy,
)
from tests.losses.cases import answers, labels, numbers, one_hot, probabilities
from tests.losses.test_contract import run
from tests.tools import assert_close, fetch, place


@pytest.mark.parametrize(
    ("loss", "y_pred"), [(SoftmaxCrossEntropy(), numbers(6, 4)), (CategoricalCrossEntropy(), probabilities(6, 4))]
)
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_integers_are_one_hot_rows(loss, y_pred, kind, backend):
    dtype = backend.dtype("float64")
    integers = loss.targets(backend.asarray(labels(6, 4).astype(kind)), (4,), dtype)
    column = loss.targets(backend.asarray(labels(6, 4).astype(kind)[:, None]), (4,), dtype)
    rows = loss.targets(backend.asarray(one_hot(6, 4).astype(kind)), (4,), dtype)
    at = place(backend, y_pred)
    expected_cache = loss.forward(rows, at)
    for y in (integers, column):
        value, cache = loss.forward(y, at)
        assert_close(fetch(backend, value), fetch(backend, expected_cache[0]), rtol=1e-15)
        expected = fetch(backend, loss.backward(expected_cache[1]))
        assert_close(fetch(backend, loss.backward(cache)), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("y_true", [np.array([0, 1]), np.eye(2)], ids=["integers", "rows"])
def test_softmax_cross_entropy_is_accurate_at_extreme_logits(dtype, y_true, backend):
    logits = np.array([[1e4, -1e4], [1e4, -1e4]])
    value, _, dy = run(backend, SoftmaxCrossEntropy(), logits, y_true, None, dtype)
    assert float(value) == 1e4  # losses 0 and 20 000
    assert fetch(backend, dy).tolist() == [[0.0, 0.0], [0.5, -0.5]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sigmoid_cross_entropy_is_accurate_at_extreme_logits(dtype, backend):
    logits, y = np.array([[1e4], [-1e4], [1e4], [-1e4]]), np.array([[1.0], [0.0], [0.0], [1.0]])
    value, _, dy = run(backend, SigmoidCrossEntropy(), logits, y, None, dtype)
    assert float(value) == 5e3
    assert fetch(backend, dy).tolist() == [[0.0], [0.0], [0.25], [-0.25]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_losses_keep_their_digits(dtype, backend):
    """log(1 + e⁻³⁰) is 9.36e-14; the sum 1 + e⁻³⁰ in float32 would be 1."""
    value, _, _ = run(backend, SigmoidCrossEntropy(), np.array([[30.0]]), np.array([[1.0]]), None, dtype)
    assert float(value) == pytest.approx(9.357622968839e-14, rel=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("loss", "layer", "y_true"),
    [
        (CategoricalCrossEntropy(), Softmax(), labels(4, 3)),
        (CategoricalCrossEntropy(), Softmax(), one_hot(4, 3)),
        (BinaryCrossEntropy(), Sigmoid(), answers(4, 3)),
    ],
)
def test_losses_of_extreme_probabilities_are_finite(loss, layer, y_true, dtype, backend):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, -1e4], [1e4, 1e4, 1e4]])
    p, cache = layer.forward({}, place(backend, logits, dtype))
    value, inner = loss.forward(place(backend, y_true, dtype), p)
    dy = loss.backward(inner)
    dx, _ = layer.backward({}, cache, dy)
    assert all(np.isfinite(fetch(backend, a)).all() for a in (value, dy, dx))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layer", [Softmax(), LogSoftmax(), Sigmoid()])
def test_activations_of_extreme_inputs_are_finite(layer, dtype, backend):
    x = place(backend, np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [88.8, -88.8, -104.0]]), dtype)
    y, cache = layer.forward({}, x)
    dx, _ = layer.backward({}, cache, x)
    assert np.isfinite(fetch(backend, y)).all() and np.isfinite(fetch(backend, dx)).all()


def test_fused_softmax_cross_entropy_equals_the_composition(backend):
    """The Jacobian product of Softmax and the derivative of CategoricalCrossEntropy also give A₂ − Y."""
    logits, y = place(backend, numbers(6, 4)), backend.asarray(labels(6, 4))
    fused, fused_cache = SoftmaxCrossEntropy().forward(y, logits)
    p, cache = Softmax().forward({}, logits)
    value, loss_cache = CategoricalCrossEntropy().forward(y, p)
    dx, _ = Softmax().backward({}, cache, CategoricalCrossEntropy().backward(loss_cache))
    assert_close(fetch(backend, value), fetch(backend, fused), rtol=1e-13)
    assert_close(fetch(backend, dx), fetch(backend, SoftmaxCrossEntropy().backward(fused_cache)), rtol=1e-13)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), CategoricalCrossEntropy()])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.0, 1.0, 2.0], "cast the labels to integers"),
        ([[0.0, 1.0], [1.0, 0.0]], r"one-hot rows, shape \(N, 3\), got .*\(2, 2\)"),
        ([[0, 1], [1, 0]], r"one-hot rows, shape \(N, 3\), got .*\(2, 2\)"),
    ],
)
def test_labels_of_unsuitable_type_or_shape_are_refused(loss, y, message, backend):
    with pytest.raises(ValueError, match=message):
        loss.targets(backend.asarray(y), (3,), backend.dtype("float32"))


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), CategoricalCrossEntropy()])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 3]), "expected labels in y from 0 to 2, got 3; the model has 3 outputs"),
        (np.array([0, -1]), "expected labels in y from 0 to 2, got -1"),
        (np.array([[0.5, 0.5, 0.5]]), "rows of probabilities that sum to 1"),
        (np.array([[1.5, -0.5, 0.0]]), "rows of probabilities that sum to 1"),
        (np.array([[1, 1, 0]]), "rows of probabilities that sum to 1"),
    ],
)
def test_impossible_classes_are_refused(loss, y, message, backend):
    with pytest.raises(ValueError, match=message):
        loss.check_values(loss.targets(backend.asarray(y), (3,), backend.dtype("float32")), (3,))


@pytest.mark.parametrize("loss", [SigmoidCrossEntropy(), BinaryCrossEntropy()])
@pytest.mark.parametrize("bad", [-1.0, 2.0])
def test_impossible_binary_targets_are_refused(loss, bad, backend):
    y = loss.targets(backend.asarray([[0.0], [bad]]), (1,), backend.dtype("float32"))
    with pytest.raises(ValueError, match=f"expected labels in y from 0 to 1, got {bad:g}"):
        loss.check_values(y, (1,))


def test_one_output_is_not_two_classes(backend):
    with pytest.raises(ValueError, match=r"two or more outputs.*SigmoidCrossEntropy"):
        SoftmaxCrossEntropy().targets(backend.asarray([0, 1]), (1,), backend.dtype("float32"))

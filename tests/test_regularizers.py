"""Test penalties on weights: values, gradients by finite differences, and their use in a model."""

import numpy as np
import pytest

from anynet import L1, L2, SGD, Adam, Dense, MeanSquaredError, Model, ReLU, SoftmaxCrossEntropy, load
from anynet.checkpoint.serialize import from_config, to_config
from tests.tools import assert_close, assert_same, fetch, place

PARAMS = [{"weight": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([4.0, -5.0])}, {}]
X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.random.default_rng(1).normal(size=(12, 1))


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [
        (L2(0.1), 0.05 * 14.25),
        (L1(0.1), 0.1 * 6.5),
        (L1(0.1) + L2(0.1), 0.1 * 6.5 + 0.05 * 14.25),
        (L2(0.1, match="*bias"), 0.05 * 41.0),
        (L1(1.0, match=1), 9.0),
        (L2(1.0, match="nothing"), 0.0),
    ],
    ids=repr,
)
def test_value_and_gradient(regularizer, value, backend):
    params = place(backend, PARAMS)
    grads = place(backend, [{"weight": np.ones((2, 2)), "bias": np.ones(2)}, {}])
    np.testing.assert_allclose(float(regularizer.value(params)), value, rtol=1e-14)
    added = fetch(backend, regularizer.add_gradient(params, grads))
    for name in ("weight", "bias"):
        for index in np.ndindex(PARAMS[0][name].shape):
            ends = []
            for h in (1e-6, -1e-6):
                moved = {**PARAMS[0], name: PARAMS[0][name].copy()}
                moved[name][index] += h
                ends.append(float(regularizer.value([moved, {}])))
            np.testing.assert_allclose(added[0][name][index] - 1.0, (ends[0] - ends[1]) / 2e-6, atol=1e-7)


def make(backend="numpy", **settings):
    layers = [Dense(4), ReLU(), Dense(1)]
    return Model(layers, input_shape=3, loss=MeanSquaredError(), backend=backend, dtype="float64", **settings)


def test_is_part_of_loss_and_gradients(backend):
    plain, penalized = make(backend), make(backend, regularizer=L2(0.3))
    weights = [backend.to_numpy(plain.params[i]["weight"]) for i in (0, 2)]
    penalty = 0.15 * sum(np.sum(w**2) for w in weights)
    (loss, grads), (more, others) = plain.gradients(X, Y), penalized.gradients(X, Y)
    np.testing.assert_allclose(backend.to_numpy(more), backend.to_numpy(loss) + penalty, rtol=1e-12)
    for i, w in zip((0, 2), weights, strict=True):
        found = backend.to_numpy(others[i]["weight"])
        np.testing.assert_allclose(found, backend.to_numpy(grads[i]["weight"]) + 0.3 * w, rtol=1e-12)
        np.testing.assert_array_equal(backend.to_numpy(others[i]["bias"]), backend.to_numpy(grads[i]["bias"]))
    np.testing.assert_allclose(penalized.evaluate(X, Y)["loss"], plain.evaluate(X, Y)["loss"] + penalty, rtol=1e-12)


def test_in_plain_gradient_descent_it_is_weight_decay(backend):
    from anynet import Groups

    penalized = make(backend, regularizer=L2(0.1), optimizer=SGD(0.1, momentum=0.5))
    decayed = make(backend, optimizer=Groups(SGD(0.1, momentum=0.5, weight_decay=0.1), {1: {"weight_decay": 0.0}}))
    for model in (penalized, decayed):
        model.fit(X, Y, epochs=3, batch_size=5)
    for a, b in zip(penalized.params, decayed.params, strict=True):
        for name in a:
            np.testing.assert_allclose(backend.to_numpy(a[name]), backend.to_numpy(b[name]), rtol=1e-10, atol=1e-12)


def test_is_a_value_and_saved(tmp_path):
    regularizer = L1(0.1) + L2(0.2, match="0.*")
    assert from_config(to_config(regularizer)) == regularizer
    model = make(regularizer=regularizer, optimizer=Adam())
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.regularizer == regularizer
    assert again.evaluate(X, Y) == model.evaluate(X, Y)


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="strength"):
        L2(-1.0)
    with pytest.raises(TypeError, match="regularizer"):
        make(regularizer=0.1)
    with pytest.raises(TypeError, match="regularizer"):
        L2(0.1) + 0.1


def test_a_penalty_per_example_is_divided_like_the_loss(backend):
    """Two halves of a data set have the same total loss as the whole, weighted or not."""
    model = Model(
        [Dense(1)],
        input_shape=3,
        loss=MeanSquaredError(),
        regularizer=L1(0.3, per_example=True) + L2(0.5, per_example=True),
        backend=backend,
        dtype="float64",
    )
    weight = np.linspace(0.5, 1.5, 12)
    bare = Model([Dense(1)], input_shape=3, loss=MeanSquaredError(), backend=backend, dtype="float64")
    bare.params = model.params
    w = fetch(backend, model.params)[0]["weight"]
    for given, examples in ((None, 12.0), (weight, weight.sum())):
        penalty = (0.3 * np.abs(w).sum() + 0.25 * (w**2).sum()) / examples
        (loss, grads), (bare_loss, bare_grads) = (m.gradients(X, Y, given) for m in (model, bare))
        np.testing.assert_allclose(float(loss) - float(bare_loss), penalty, rtol=1e-10)
        added = fetch(backend, grads)[0]["weight"] - fetch(backend, bare_grads)[0]["weight"]
        np.testing.assert_allclose(added, (0.3 * np.sign(w) + 0.5 * w) / examples, rtol=1e-9)
        evaluated = model.evaluate(X, Y, given)["loss"] - bare.evaluate(X, Y, given)["loss"]
        np.testing.assert_allclose(evaluated, penalty, rtol=1e-9)


@pytest.mark.parametrize("regularizer", [L1(0.1, per_example=True), L2(0.1, per_example=True)], ids=repr)
def test_a_batch_that_counts_nothing_changes_nothing(regularizer, backend):
    """Its loss and its gradients are zero, and so is the penalty of its examples, of which there are none."""
    model = make(backend, regularizer=regularizer, optimizer=SGD(0.1))
    before = fetch(backend, model.params)
    loss, grads = model.gradients(X, Y, np.where(np.arange(12) == 3, 1.0, 0.0))
    assert np.isfinite(float(loss))
    assert_close(
        fetch(backend, grads[0]["weight"]), fetch(backend, model.gradients(X[3:4], Y[3:4])[1][0]["weight"]), rtol=1e-9
    )
    zeros = [(X[:4], Y[:4], np.zeros(4))]
    history = model.fit(zeros, epochs=2)
    assert history["loss"] == [0.0, 0.0]
    assert_same(fetch(backend, model.params), before)
    weight = np.tile([0.0, 1.0], 6)
    history = model.fit(X, Y, batch_size=1, sample_weight=weight, shuffle=False)
    only = make(backend, regularizer=regularizer, optimizer=SGD(0.1))
    expected = only.fit(X[1::2], Y[1::2], batch_size=1, shuffle=False)
    assert_close(fetch(backend, model.params), fetch(backend, only.params), rtol=1e-9)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-9)
    assert np.isfinite(model.evaluate(X, Y, weight)["loss"])


def test_evaluate_divides_a_penalty_by_what_the_loss_is_divided_by(backend):
    """With class weights that is the sum of the weights of the classes, not the number of examples."""
    labels = np.arange(12) % 3
    loss = SoftmaxCrossEntropy(class_weight=(1.0, 5.0, 0.5))
    model = Model(
        [Dense(3)],
        input_shape=3,
        loss=loss,
        optimizer=SGD(1e-30),
        regularizer=L2(0.5, per_example=True),
        backend=backend,
        dtype="float64",
    )
    w = fetch(backend, model.params)[0]["weight"]
    for weight in (None, np.linspace(0.5, 1.5, 12)):
        trained = float(model.gradients(X, labels, weight)[0])
        each = np.array([1.0, 5.0, 0.5])[labels] * (1.0 if weight is None else weight)
        z = X @ w
        losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(12), labels]
        expected = (each @ losses + 0.25 * (w**2).sum()) / each.sum()
        np.testing.assert_allclose(trained, expected, rtol=1e-9)
        np.testing.assert_allclose(model.evaluate(X, labels, weight)["loss"], expected, rtol=1e-9)
        history = model.fit(X, labels, sample_weight=weight, batch_size=None, validation_data=(X, labels))
        np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-9)

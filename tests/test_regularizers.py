"""Penalties on weights: their value, their gradient by finite differences, and their place in a model."""

import numpy as np
import pytest

from anynet import L1, L2, SGD, Adam, Dense, MeanSquaredError, Model, ReLU, load
from anynet.checkpoint.serialize import from_config, to_config
from tests.tools import fetch, place

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
    plain, penalised = make(backend), make(backend, regularizer=L2(0.3))
    weights = [backend.to_numpy(plain.params[i]["weight"]) for i in (0, 2)]
    penalty = 0.15 * sum(np.sum(w**2) for w in weights)
    (loss, grads), (more, others) = plain.gradients(X, Y), penalised.gradients(X, Y)
    np.testing.assert_allclose(backend.to_numpy(more), backend.to_numpy(loss) + penalty, rtol=1e-12)
    for i, w in zip((0, 2), weights, strict=True):
        found = backend.to_numpy(others[i]["weight"])
        np.testing.assert_allclose(found, backend.to_numpy(grads[i]["weight"]) + 0.3 * w, rtol=1e-12)
        np.testing.assert_array_equal(backend.to_numpy(others[i]["bias"]), backend.to_numpy(grads[i]["bias"]))
    np.testing.assert_allclose(penalised.evaluate(X, Y)["loss"], plain.evaluate(X, Y)["loss"] + penalty, rtol=1e-12)


def test_in_plain_gradient_descent_it_is_weight_decay(backend):
    from anynet import Groups

    penalised = make(backend, regularizer=L2(0.1), optimizer=SGD(0.1, momentum=0.5))
    decayed = make(backend, optimizer=Groups(SGD(0.1, momentum=0.5, weight_decay=0.1), {1: {"weight_decay": 0.0}}))
    for model in (penalised, decayed):
        model.fit(X, Y, epochs=3, batch_size=5)
    for a, b in zip(penalised.params, decayed.params, strict=True):
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


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="strength"):
        L2(-1.0)
    with pytest.raises(TypeError, match="regularizer"):
        make(regularizer=0.1)
    with pytest.raises(TypeError, match="regularizer"):
        L2(0.1) + 0.1


def test_a_penalty_per_example_is_divided_as_the_loss_is(backend):
    """Two equal halves of a data set then cost as much as the whole, weighted or not."""
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

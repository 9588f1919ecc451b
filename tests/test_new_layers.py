"""The contracts carry layers that they have not seen: one with buffers that uses the key, and a container with two ways.

Both are thrown away here; nothing in the core knows of them.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import anynet
from anynet import (
    Adam,
    Dense,
    Dropout,
    Layer,
    Model,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
    load,
    tree,
)
from anynet.arrays.namespace import namespace
from anynet.random import fold_in
from tests.tools import assert_close, assert_same, fetch


@dataclass(frozen=True)
class Normalise(Layer):
    """Batch normalisation: by the batch while training, by running statistics after it."""

    momentum: float = 0.1
    epsilon: float = 1e-5
    buffers = ("mean", "var")

    def init(self, rng, input_shape):
        zeros, ones = np.zeros(input_shape), np.ones(input_shape)
        return {"scale": ones, "shift": zeros, "mean": zeros, "var": ones}, input_shape

    def forward(self, params, x, *, key=None):
        xp = namespace(x)
        if key is None:
            mean, var, batch = params["mean"], params["var"], None
        else:
            mean = xp.mean(x, axis=0)
            var = xp.mean((x - mean) ** 2, axis=0)
            batch = (mean, var)
        spread = xp.sqrt(var + self.epsilon)
        normal = (x - mean) / spread
        return normal * params["scale"] + params["shift"], (normal, spread, batch)

    def backward(self, params, cache, dy, *, need_dx=True):
        normal, spread, batch = cache
        xp = namespace(dy)
        grads = {"scale": xp.sum(dy * normal, axis=0), "shift": xp.sum(dy, axis=0)}
        if not need_dx:
            return None, grads
        d = dy * params["scale"]
        if batch is not None:
            d = d - xp.mean(d, axis=0) - normal * xp.mean(d * normal, axis=0)
        return d / spread, grads

    def update_buffers(self, params, cache):
        if cache[2] is None:
            return params
        moved = {
            name: (1.0 - self.momentum) * params[name] + self.momentum * new
            for name, new in zip(self.buffers, cache[2], strict=True)
        }
        return {**params, **moved}


@dataclass(frozen=True)
class Skip(Layer):
    """y = x + f(x)."""

    inner: Layer

    def init(self, rng, input_shape):
        params, shape = self.inner.init(rng, input_shape)
        if shape != input_shape:
            raise ValueError(f"Skip: expected an inner layer that keeps the shape {input_shape}, got {shape}")
        return {"inner": params}, shape

    def forward(self, params, x, *, key=None):
        y, cache = self.inner.forward(params["inner"], x, key=None if key is None else fold_in(key, 0))
        return x + y, cache

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = self.inner.backward(params["inner"], cache, dy, need_dx=need_dx)
        return (dy + dx if need_dx else None), {"inner": grads}

    def update_buffers(self, params, cache):
        return {"inner": self.inner.update_buffers(params["inner"], cache)}

    def trainable(self, params):
        return {"inner": self.inner.trainable(params["inner"])}

    def children(self):
        yield "inner", self.inner


NETWORK = [
    Dense(12),
    Normalise(),
    ReLU(),
    Skip(Sequential([Dense(12), Normalise(0.5), ReLU(), Dropout(0.2), Dense(12)])),
    Dense(3),
]
RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = RNG.normal(size=(90, 6)) + 1.5 * np.eye(3, 6)[Y]
CUSTOM = [Normalise, Skip]


@pytest.fixture
def model(backend):
    return Model(
        NETWORK,
        input_shape=6,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.01),
        metrics=["accuracy"],
        backend=backend,
        dtype="float64",
    )


@pytest.mark.parametrize("training", [True, False])
def test_gradients(training, backend):
    layer = Sequential(NETWORK)
    assert check_gradients(layer, X[:7], backend=backend, training=training).worst <= 1e-7


def test_gradients_of_a_model(model):
    model.fit(X, Y, epochs=1)
    assert check_gradients(model, X[:11], Y[:11]).worst <= 1e-7
    report = check_gradients(model, X[:11], Y[:11], training=False)
    assert report.worst <= 1e-7
    assert "layer 3.inner.1 (Normalise): scale" in report.errors and "layer 1 (Normalise): mean" not in report.errors


def test_a_wrong_sign_inside_is_named(backend):
    @dataclass(frozen=True)
    class Flipped(Normalise):
        def backward(self, params, cache, dy, *, need_dx=True):
            dx, grads = super().backward(params, cache, dy, need_dx=need_dx)
            return dx, {**grads, "shift": -grads["shift"]}

    with pytest.raises(anynet.GradientError, match=r"^layer 1\.inner\.0 \(Flipped\): shift: expected"):
        check_gradients(Sequential([Dense(4), Skip(Sequential([Flipped(), ReLU()]))]), X[:5], backend=backend)


def test_trains(model, backend):
    history = model.fit(X, Y, epochs=8, batch_size=30, validation_data=(X, Y))
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    result = model.evaluate(X, Y)
    assert result["accuracy"] > 0.7 and result["loss"] == pytest.approx(history["val_loss"][-1])
    assert tuple(model.predict(X).shape) == (90, 3)


def test_buffers_move_by_their_rule_and_not_by_the_optimiser(model, backend):
    """One step: 0.9 of the old and 0.1 of the batch's statistics, which numbers on paper give."""
    weight = fetch(backend, model.params[0]["weight"])
    z = X @ weight
    model.train_step(X, Y)
    norm = fetch(backend, model.params[1])
    assert_close(norm["mean"], 0.1 * z.mean(axis=0), rtol=1e-12)
    assert_close(norm["var"], 0.9 + 0.1 * z.var(axis=0), rtol=1e-12)
    assert set(dict(tree.leaves_with_paths(model.state.opt_state["m"]))) == set(
        dict(tree.leaves_with_paths(model.layer.trainable(model.params)))
    )


def test_using_and_gradients_move_no_buffer(model, backend):
    before = fetch(backend, model.params)
    model.predict(X)
    model.evaluate(X, Y)
    _, grads = model.gradients(X, Y)
    assert "mean" not in grads[1] and set(grads[3]["inner"][1]) == {"scale", "shift"}
    assert_same(fetch(backend, model.params), before)


def test_save_load_and_go_on(model, backend, tmp_path):
    model.fit(X, Y, epochs=1)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors", backend=backend, custom=CUSTOM)
    assert again.layer == model.layer
    for each in (model, again):
        each.fit(X, Y, epochs=1)
    assert_same(fetch(backend, again.params), fetch(backend, model.params))
    with pytest.raises(ValueError, match="expected a class of anynet, got 'Normalise'; pass your own with custom"):
        load(tmp_path / "model.safetensors")


def test_moves(model, backend):
    model.fit(X, Y, epochs=1)
    there = model.to("strict")
    assert_close(np.asarray(there.predict(X)), model.predict(X), rtol=1e-12)


def test_summary_sees_inside(model):
    text = model.summary()
    assert "3.inner.1  Normalise" in text and "mean (12,)" in text
    total = 6 * 12 + 12 + 48 + 2 * (12 * 12 + 12) + 48 + 12 * 3 + 3
    assert f"{total:,} parameters, {total - 48:,} trained" in text


def test_wrong_shapes_name_the_way():
    with pytest.raises(ValueError, match=r"^layer 1: Skip: expected an inner layer that keeps the shape \(12,\)"):
        Model([Dense(12), Skip(Dense(3))], input_shape=6)

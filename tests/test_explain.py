"""`explain` tells the step that `train_step` takes, for every layer, and its text says what was left out."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    L2,
    SGD,
    Adam,
    Dense,
    Dropout,
    Embedding,
    HalfSquaredError,
    Layer,
    Losses,
    LossScale,
    Model,
    Parallel,
    ReLU,
    Repeat,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    explain,
    tree,
)
from anynet.arrays.namespace import namespace
from tests.layers.cases import LAYERS
from tests.tools import away_from_zero, fetch

RNG = np.random.default_rng(0)
OR = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]


def neuron(**settings):
    layers = [Dense(1, weight=[[0.1], [0.6]]), Sigmoid()]
    return Model(layers, input_shape=2, loss=HalfSquaredError(), **({"optimizer": SGD(1.0)} | settings))


@dataclass(frozen=True)
class Scale(Layer):
    """A user's own layer, with a parameter of its own name."""

    def init(self, rng, input_shape):
        return {"log_scale": np.zeros(input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        y = x * namespace(x).exp(params["log_scale"])
        return y, y

    def backward(self, params, cache, dy, *, need_dx=True):
        xp = namespace(dy)
        return dy * xp.exp(params["log_scale"]), {"log_scale": xp.sum(dy * cache, axis=0)}


@dataclass(frozen=True)
class Skip(Layer):
    """A user's own container: x + f(x)."""

    inner: Layer

    def init(self, rng, input_shape):
        params, shape = self.inner.init(rng, input_shape)
        assert shape == input_shape
        return {"inner": params}, shape

    def forward(self, params, x, *, key=None):
        y, cache = self.inner.forward(params["inner"], x, key=key)
        return x + y, cache

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = self.inner.backward(params["inner"], cache, dy, need_dx=need_dx)
        return (dx + dy if need_dx else None), {"inner": grads}

    def trainable(self, params):
        return {"inner": self.inner.trainable(params["inner"])}

    def children(self):
        return iter([("inner", self.inner)])


def test_the_notes_neuron(backend):
    told = explain(neuron(backend=backend), *OR)
    assert told.names == ["A0", "W1", "b1", "Z1", "A1", "y", "L", "e1", "δ1", "∂W1", "∂b1", "W1 new", "b1 new"]
    assert told.loss == pytest.approx(0.089, abs=5e-4)
    for name, expected in {
        "Z1": [[0], [0.6], [0.1], [0.7]],
        "A1": [[0.5], [0.646], [0.525], [0.668]],
        "e1": [[0.125], [-0.089], [-0.119], [-0.083]],
        "δ1": [[0.031], [-0.020], [-0.030], [-0.018]],
        "∂W1": [[-0.048], [-0.039]],
        "∂b1": [-0.037],
        "W1 new": [[0.148], [0.639]],
        "b1 new": [0.037],
    }.items():
        np.testing.assert_allclose(told[name], expected, atol=5.1e-4, err_msg=name)


def test_it_is_the_step_that_training_takes(backend):
    layers = [Dense(5), ReLU(), Dropout(0.5), Sequential([Dense(3), Softmax()])]
    model = Model(layers, input_shape=4, loss=HalfSquaredError(), optimizer=Adam(0.01), backend=backend)
    x, y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
    model.train_step(x, y)  # so that Adam has a state
    before = fetch(model.backend, model.params)
    told = explain(model, x, y)
    for old, now in zip(tree.leaves(before), tree.leaves(fetch(model.backend, model.params)), strict=True):
        np.testing.assert_array_equal(now, old)
    loss = model.train_step(x, y)
    assert told.loss == pytest.approx(float(loss), rel=1e-6)
    after = fetch(model.backend, model.params)
    for name, value in {
        "W1": after[0]["weight"],
        "b1": after[0]["bias"],
        "W2": after[3][0]["weight"],
        "b2": after[3][0]["bias"],
    }.items():
        np.testing.assert_allclose(told[f"{name} new"], value, rtol=1e-5, atol=1e-7)
    assert told["A1′"].shape == (6, 5)
    assert (told["A1′"] == 0).any()


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]!r:.60}")
def test_every_layer(row):
    layer, shape, inputs = (*row, away_from_zero)[:3]
    model = Model(layer, input_shape=shape, loss=HalfSquaredError(), optimizer=SGD(0.1))
    x = inputs(RNG, (4, *shape))
    told = explain(model, x, np.zeros((4, *model.output_shape)))
    _, grads = Model(layer, input_shape=shape, loss=HalfSquaredError()).gradients(x, np.zeros((4, *model.output_shape)))
    assert sum(name.startswith("∂") for name in told.names) == len(tree.leaves(grads))
    assert len(set(told.names)) == len(told.names)
    assert str(told)
    assert told.markdown().count("$$") == 2 * len(told.names)


def test_a_layer_of_ones_own(backend):
    model = Model(
        [Dense(3), Scale(), Sigmoid()], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(0.1), backend=backend
    )
    x, y = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 3))
    told = explain(model, x, y)
    assert "Z2 = Scale(Z1)" in str(told)
    assert "∂log_scale2 = δ2 · ∂Z2/∂log_scale2" in str(told)
    assert r"\mathrm{log\_scale}_{2}" in told.markdown()
    np.testing.assert_allclose(
        told["∂log_scale2"], fetch(model.backend, model.gradients(x, y)[1])[1]["log_scale"], rtol=1e-5, atol=1e-7
    )


def test_a_container_of_ones_own():
    """What comes back to the sum's input is the skip's share and the layer's; no share is told as the whole."""
    model = Model(
        [Dense(3), Skip(Sequential([Dense(3), ReLU()])), Skip(Sigmoid()), Dense(1)],
        input_shape=2,
        loss=HalfSquaredError(),
        optimizer=SGD(0.1),
        dtype="float64",
    )
    told = explain(model, RNG.normal(size=(4, 2)), RNG.normal(size=(4, 1)))
    np.testing.assert_allclose(told["A2′"], told["Z1"] + told["A2"])
    np.testing.assert_allclose(told["δ1"], told["δ1 via 1.inner.0"] + told["e2"])
    np.testing.assert_allclose(told["e2"], told["e2′ via 2.inner"] + told["e2′′′"])
    assert "A2′ = what the container makes" in str(told)


def test_without_an_optimizer_there_is_no_update():
    assert "update" not in str(explain(neuron(optimizer=None), *OR))


def test_text():
    text = str(explain(neuron(), *OR))
    assert "  Z1 = A0·W1 + b1   (4, 1)\n      0.0\n      0.6\n      0.1\n      0.7\n" in text
    assert "  L = HalfSquaredError(A1, y) = 0.08891\n" in text
    assert "δ1 = e1 ⊙ Sigmoid′(Z1)" in text
    assert "W1 new = W1 − 1·∂W1" in text


def test_markdown():
    told = explain(neuron(), *OR)
    assert told._repr_markdown_() == told.markdown()
    assert (
        r"{\delta_{1}} = {e_{1}} \odot \text{Sigmoid}'({Z_{1}}) = \begin{pmatrix} 0.03125 \\ -0.02027"
        in told.markdown()
    )
    for block in re.findall(r"\$\$(.*?)\$\$", told.markdown(), flags=re.S):
        assert block.count("{") == block.count("}")


def test_large_matrices_say_what_is_left_out():
    model = Model([Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy())
    told = explain(model, RNG.random((50, 784)), RNG.integers(0, 10, 50))
    assert "A0 = X   (50, 784), 7 of 50 rows and 7 of 784 columns shown" in str(told)
    assert len(str(told).splitlines()) < 80
    assert max(map(len, str(told).splitlines())) < 100
    assert told["A0"].shape == (50, 784)
    assert r"\ddots" in told.markdown()
    whole = told.text(rows=784, columns=784)
    assert "shown" not in whole
    assert "…" not in whole


def test_errors():
    with pytest.raises(ValueError, match="expected a loss, got none"):
        explain(Model([Dense(1)], input_shape=2), *OR)
    with pytest.raises(ValueError, match=r"explain: expected x of shape \(N, 2\)"):
        explain(neuron(), [[1.0, 2.0, 3.0]], [0])
    with pytest.raises(KeyError, match=r"expected one of A0, W1, .*, got 'Q'"):
        explain(neuron(), *OR)["Q"]


def test_regularizer_and_half_precision_are_the_step_that_training_takes():
    settings = {"regularizer": L2(0.1), "compute_dtype": "float16"}
    layers = [Dense(4), ReLU(), Dense(2)]
    model = Model(
        layers, input_shape=3, loss=HalfSquaredError(), optimizer=LossScale(SGD(0.1), initial=64.0), **settings
    )
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    told = explain(model, x, y)
    assert "∂W1 = A0ᵀ·δ1 + ∂R/∂W1" in str(told)
    assert told["L + R"] == pytest.approx(told["L"] + told["R"])
    assert told["δ2"].shape == (5, 2)
    assert told.loss == pytest.approx(float(model.train_step(x, y)), rel=1e-6)
    np.testing.assert_allclose(told["W1 new"], model.params[0]["weight"], rtol=1e-6)


def test_one_layer_used_twice():
    """Its parameters are told once, its gradient is the sum over the uses."""
    model = Model([Repeat(Dense(3), 2), Dense(1)], input_shape=3, loss=HalfSquaredError(), dtype="float64")
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1))
    told = explain(model, x, y)
    assert told.names.count("W1") == told.names.count("∂W1") == 1
    assert "Z1′ = Z1·W1 + b1" in str(told)
    np.testing.assert_allclose(told["∂W1"], told["A0"].T @ told["δ1"] + told["Z1"].T @ told["δ1′"], rtol=1e-12)


def test_branches():
    """The branches share one input: each tells its share of the error."""
    model = Model(
        [Dense(3), Parallel([Dense(2), Tanh()]), Dense(1)], input_shape=3, loss=HalfSquaredError(), dtype="float64"
    )
    told = explain(model, RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1)))
    np.testing.assert_allclose(told["δ1"], told["δ1 via 1.0"] + told["δ1 via 1.1"], rtol=1e-12)
    np.testing.assert_allclose(told["A2′"], np.concatenate([told["Z2"], told["A2"]], axis=1), rtol=1e-12)
    assert "δ1 = Σ of what comes back" in str(told)


def test_several_inputs_and_outputs():
    model = Model(
        [Parallel([Dense(3), Embedding(5, 2)]), Tanh(), Parallel([Dense(1), Dense(4)], combine=None)],
        input_shape=((2,), ()),
        loss=Losses([HalfSquaredError(), SoftmaxCrossEntropy()]),
        optimizer=SGD(0.1),
    )
    x, y = (RNG.normal(size=(6, 2)), RNG.integers(0, 5, 6)), (RNG.normal(size=(6, 1)), RNG.integers(0, 4, 6))
    told = explain(model, x, y)
    np.testing.assert_array_equal(told["A0′"], x[1])
    np.testing.assert_array_equal(told["y′"], y[1])
    assert "L = Losses(Z3, Z4, y)" in str(told)
    np.testing.assert_allclose(told["e2′"], told["e2′ via 2.0"] + told["e2′ via 2.1"], rtol=1e-5, atol=1e-7)
    assert told.loss == pytest.approx(float(model.train_step(x, y)), rel=1e-6)
    np.testing.assert_allclose(told["W3 new"], model.params[2][0]["weight"], rtol=1e-6)

"""Explanations of the step that `train_step` takes, for every layer."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    GRU,
    L2,
    LSTM,
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
    SelfAttention,
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
    """A user-defined layer with a parameter that is neither weight nor bias."""

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
    """A user-defined container: x + f(x)."""

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


def test_the_neuron_of_the_notes(backend):
    step = explain(neuron(backend=backend), *OR)
    assert step.names == ["A0", "W1", "b1", "Z1", "A1", "y", "L", "e1", "δ1", "∂W1", "∂b1", "W1 new", "b1 new"]
    assert step.loss == pytest.approx(0.089, abs=5e-4)
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
        np.testing.assert_allclose(step[name], expected, atol=5.1e-4, err_msg=name)


def test_equals_the_next_training_step(backend):
    layers = [Dense(5), ReLU(), Dropout(0.5), Sequential([Dense(3), Softmax()])]
    model = Model(layers, input_shape=4, loss=HalfSquaredError(), optimizer=Adam(0.01), backend=backend)
    x, y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
    model.train_step(x, y)  # gives Adam a state other than zero
    before = fetch(model.backend, model.params)
    step = explain(model, x, y)
    for old, now in zip(tree.leaves(before), tree.leaves(fetch(model.backend, model.params)), strict=True):
        np.testing.assert_array_equal(now, old)
    loss = model.train_step(x, y)
    assert step.loss == pytest.approx(float(loss), rel=1e-6)
    after = fetch(model.backend, model.params)
    for name, value in {
        "W1": after[0]["weight"],
        "b1": after[0]["bias"],
        "W2": after[3][0]["weight"],
        "b2": after[3][0]["bias"],
    }.items():
        np.testing.assert_allclose(step[f"{name} new"], value, rtol=1e-5, atol=1e-7)
    assert step["A1′"].shape == (6, 5)
    assert (step["A1′"] == 0).any()


@pytest.mark.parametrize("row", [row for row in LAYERS if row[0] != Sequential([])], ids=lambda row: f"{row[0]!r:.60}")
def test_every_layer(row):
    layer, shape, inputs = (*row, away_from_zero)[:3]
    model = Model(layer, input_shape=shape, loss=HalfSquaredError(), optimizer=SGD(0.1))
    x = inputs(RNG, (4, *shape))
    step = explain(model, x, np.zeros((4, *model.output_shape)))
    _, grads = Model(layer, input_shape=shape, loss=HalfSquaredError()).gradients(x, np.zeros((4, *model.output_shape)))
    assert sum(name.startswith("∂") for name in step.names) == len(tree.leaves(grads))
    assert len(set(step.names)) == len(step.names)
    assert str(step)
    assert step.markdown().count("$$") == 2 * len(step.names)


@pytest.mark.parametrize("recompute", [False, True])
def test_the_weights_of_attention(recompute, backend):
    """Compute the output from the matrices that are shown."""
    layers = [Dense(12), SelfAttention(2, causal=True, recompute=recompute)]
    model = Model(layers, input_shape=(3, 4), loss=HalfSquaredError(), dtype="float64", backend=backend)
    step = explain(model, RNG.normal(size=(2, 3, 4)), np.zeros((2, 3, 4)))
    q, k, v, p = (step[name] for name in ("Q1", "K1", "V1", "P1"))
    scores = np.where(np.tri(3, dtype=bool), q @ np.swapaxes(k, 2, 3) / np.sqrt(2), -np.inf)
    expected = np.exp(scores) / np.exp(scores).sum(axis=3, keepdims=True)
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    assert p.shape == (2, 2, 3, 3) and not np.triu(p, 1).any()
    np.testing.assert_allclose(step["A1"], np.moveaxis(p @ v, 1, 2).reshape(2, 3, 4), rtol=1e-12)
    assert "P1 = softmax(Q·Kᵀ / √D)   (2, 2, 3, 3) as 12 × 3" in str(step)


def test_the_gates_of_recurrent_layers(backend):
    """Compute each state from the gates that are shown."""
    layers = [LSTM(3), GRU(2, reverse=True), Repeat(LSTM(2), 2)]
    model = Model(layers, input_shape=(4, 5), loss=HalfSquaredError(), dtype="float64", backend=backend)
    step = explain(model, RNG.normal(size=(2, 4, 5)), np.zeros((2, 4, 2)))
    i, f, g, o, c = (step[f"{letter}1"] for letter in "ifgoc")
    before = np.pad(c, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    np.testing.assert_allclose(c, f * before + i * g, rtol=1e-12)
    np.testing.assert_allclose(step["Z1"], o * np.tanh(c), rtol=1e-12)
    h = np.pad(step["Z1"], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    z = step["A0"] @ step["W1"] + h @ step["recurrent_weight1"] + step["b1"]
    np.testing.assert_allclose(i, 1.0 / (1.0 + np.exp(-z[:, :, :3])), rtol=1e-12)
    np.testing.assert_allclose(g, np.tanh(z[:, :, 6:9]), rtol=1e-12)
    r, u, n = (step[f"{letter}2"] for letter in "run")
    after = np.pad(step["Z2"], ((0, 0), (0, 1), (0, 0)))[:, 1:]
    np.testing.assert_allclose(step["Z2"], (1.0 - u) * n + u * after, rtol=1e-12)
    assert (r > 0.0).all() and (r < 1.0).all() and step["c3′"].shape == (2, 4, 2)
    assert "i1 = σ(x·W + h of the position before·U + b), columns i   (2, 4, 3) as 8 × 3" in str(step)
    assert r"{g_{1}} = \tanh(x_t W_g + h_{t-1} U_g + b_g)" in step.markdown()


def test_user_defined_layer(backend):
    model = Model(
        [Dense(3), Scale(), Sigmoid()], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(0.1), backend=backend
    )
    x, y = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 3))
    step = explain(model, x, y)
    assert "Z2 = Scale(Z1)" in str(step)
    assert "∂log_scale2 = δ2 · ∂Z2/∂log_scale2" in str(step)
    assert r"\mathrm{log\_scale}_{2}" in step.markdown()
    np.testing.assert_allclose(
        step["∂log_scale2"], fetch(model.backend, model.gradients(x, y)[1])[1]["log_scale"], rtol=1e-5, atol=1e-7
    )


def test_user_defined_container():
    """The error of a skip's input is the sum over skip and layer."""
    model = Model(
        [Dense(3), Skip(Sequential([Dense(3), ReLU()])), Skip(Sigmoid()), Dense(1)],
        input_shape=2,
        loss=HalfSquaredError(),
        optimizer=SGD(0.1),
        dtype="float64",
    )
    step = explain(model, RNG.normal(size=(4, 2)), RNG.normal(size=(4, 1)))
    np.testing.assert_allclose(step["A2′"], step["Z1"] + step["A2"])
    np.testing.assert_allclose(step["δ1"], step["δ1 via 1.inner.0"] + step["e2"])
    np.testing.assert_allclose(step["e2"], step["e2′ via 2.inner"] + step["e2′′′"])
    assert "A2′ = output of the container" in str(step)


def test_without_an_optimizer_there_is_no_update():
    assert "update" not in str(explain(neuron(optimizer=None), *OR))


def test_text():
    text = str(explain(neuron(), *OR))
    assert "  Z1 = A0·W1 + b1   (4, 1)\n      0.0\n      0.6\n      0.1\n      0.7\n" in text
    assert "  L = HalfSquaredError(A1, y) = 0.08891\n" in text
    assert "δ1 = e1 ⊙ Sigmoid′(Z1)" in text
    assert "W1 new = W1 − 1·∂W1" in text


def test_markdown():
    step = explain(neuron(), *OR)
    assert step._repr_markdown_() == step.markdown()
    assert (
        r"{\delta_{1}} = {e_{1}} \odot \text{Sigmoid}'({Z_{1}}) = \begin{pmatrix} 0.03125 \\ -0.02027"
        in step.markdown()
    )
    for block in re.findall(r"\$\$(.*?)\$\$", step.markdown(), flags=re.S):
        assert block.count("{") == block.count("}")


def test_large_matrices_are_abbreviated():
    model = Model([Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy())
    step = explain(model, RNG.random((50, 784)), RNG.integers(0, 10, 50))
    assert "A0 = X   (50, 784), 7 of 50 rows and 7 of 784 columns shown" in str(step)
    assert len(str(step).splitlines()) < 80
    assert max(map(len, str(step).splitlines())) < 100
    assert step["A0"].shape == (50, 784)
    assert r"\ddots" in step.markdown()
    whole = step.text(rows=784, columns=784)
    assert "shown" not in whole
    assert "…" not in whole


def test_errors():
    with pytest.raises(ValueError, match="expected a loss, got none"):
        explain(Model([Dense(1)], input_shape=2), *OR)
    with pytest.raises(ValueError, match=r"explain: expected x of shape \(N, 2\)"):
        explain(neuron(), [[1.0, 2.0, 3.0]], [0])
    with pytest.raises(KeyError, match=r"expected one of A0, W1, .*, got 'Q'"):
        explain(neuron(), *OR)["Q"]


def test_regularizer_and_half_precision_equal_the_next_training_step():
    settings = {"regularizer": L2(0.1), "compute_dtype": "float16"}
    layers = [Dense(4), ReLU(), Dense(2)]
    model = Model(
        layers, input_shape=3, loss=HalfSquaredError(), optimizer=LossScale(SGD(0.1), initial=64.0), **settings
    )
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    step = explain(model, x, y)
    assert "∂W1 = A0ᵀ·δ1 + ∂R/∂W1" in str(step)
    assert step["L + R"] == pytest.approx(step["L"] + step["R"])
    assert step["δ2"].shape == (5, 2)
    assert step.loss == pytest.approx(float(model.train_step(x, y)), rel=1e-6)
    np.testing.assert_allclose(step["W1 new"], model.params[0]["weight"], rtol=1e-6)


def test_one_layer_used_twice():
    """Its parameters are shown once, and its gradient is the sum over the uses."""
    model = Model([Repeat(Dense(3), 2), Dense(1)], input_shape=3, loss=HalfSquaredError(), dtype="float64")
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1))
    step = explain(model, x, y)
    assert step.names.count("W1") == step.names.count("∂W1") == 1
    assert "Z1′ = Z1·W1 + b1" in str(step)
    np.testing.assert_allclose(step["∂W1"], step["A0"].T @ step["δ1"] + step["Z1"].T @ step["δ1′"], rtol=1e-12)


def test_branches():
    """The branches share one input; the error through each of them is shown."""
    model = Model(
        [Dense(3), Parallel([Dense(2), Tanh()]), Dense(1)], input_shape=3, loss=HalfSquaredError(), dtype="float64"
    )
    step = explain(model, RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1)))
    np.testing.assert_allclose(step["δ1"], step["δ1 via 1.0"] + step["δ1 via 1.1"], rtol=1e-12)
    np.testing.assert_allclose(step["A2′"], np.concatenate([step["Z2"], step["A2"]], axis=1), rtol=1e-12)
    assert "δ1 = Σ over the layers that use it" in str(step)


def test_several_inputs_and_outputs():
    model = Model(
        [Parallel([Dense(3), Embedding(5, 2)]), Tanh(), Parallel([Dense(1), Dense(4)], combine=None)],
        input_shape=((2,), ()),
        loss=Losses([HalfSquaredError(), SoftmaxCrossEntropy()]),
        optimizer=SGD(0.1),
    )
    x, y = (RNG.normal(size=(6, 2)), RNG.integers(0, 5, 6)), (RNG.normal(size=(6, 1)), RNG.integers(0, 4, 6))
    step = explain(model, x, y)
    np.testing.assert_array_equal(step["A0′"], x[1])
    np.testing.assert_array_equal(step["y′"], y[1])
    assert "L = Losses(Z3, Z4, y)" in str(step)
    np.testing.assert_allclose(step["e2′"], step["e2′ via 2.0"] + step["e2′ via 2.1"], rtol=1e-5, atol=1e-7)
    assert step.loss == pytest.approx(float(model.train_step(x, y)), rel=1e-6)
    np.testing.assert_allclose(step["W3 new"], model.params[2][0]["weight"], rtol=1e-6)

"""Layers of ensembles against the package tabm, by numbers that tests/reference/make_members.py stored."""

import numpy as np
import pytest

from anynet import (
    AdamW,
    BatchEnsemble,
    Blocks,
    Dense,
    EachDense,
    EachMember,
    FanInUniform,
    HeNormal,
    Members,
    Model,
    Normal,
    RandomSigns,
    ReLU,
    SoftmaxCrossEntropy,
    Stacked,
)
from tests.reference import reference
from tests.tools import assert_close, fetch, place

STORED = {entry["name"]: entry for entry in reference("members")}
LAYERS = {"Members": Members(3), "BatchEnsemble": BatchEnsemble(6), "EachDense": EachDense(2)}


def here(part, arrays):
    """Return the arrays of a module of PyTorch by their names and in their layout here."""
    arrays = {name.rpartition(".")[2]: np.array(a) for name, a in arrays.items() if name.startswith(part)}
    if arrays["weight"].ndim == 2 and "affine" not in part:
        arrays["weight"] = arrays["weight"].T
    return arrays


@pytest.mark.parametrize("name", LAYERS)
def test_passes_equal_tabm(name, backend):
    stored, layer = STORED[name], LAYERS[name]
    part = "affine" if name == "Members" else ""
    at = place(backend, {key: np.array(stored[key]) for key in ("x", "dy")})
    params = place(backend, here(part, stored["params"]))
    y, cache = layer.forward(params, at["x"])
    dx, grads = layer.backward(params, cache, at["dy"])
    assert_close(fetch(backend, y), np.array(stored["y"]), rtol=1e-13)
    assert_close(fetch(backend, dx), np.array(stored["dx"]), rtol=1e-13)
    assert_close(fetch(backend, grads), here(part, stored["grads"]), rtol=1e-13)


def tabm(params):
    """Return the layers and parameters of a TabM; its first r is the weight of `Members`."""
    blocks = [here(f"backbone.blocks.{i}.0.", params) for i in range(2)]
    first = {"weight": blocks[0].pop("r")}
    layers = [Members(3), BatchEnsemble(6, use_r=False), ReLU(), BatchEnsemble(6), ReLU(), EachDense(3)]
    return layers, [first, blocks[0], {}, blocks[1], {}, here("output", params)]


def tabm_mini(params):
    blocks = [here(f"backbone.blocks.{i}.0.", params) for i in range(2)]
    layers = [Members(3), Dense(6), ReLU(), Dense(6), ReLU(), EachDense(3)]
    return layers, [here("backbone.affine", params), blocks[0], {}, blocks[1], {}, here("output", params)]


@pytest.mark.parametrize(("name", "make"), [("tabm", tabm), ("tabm-mini", tabm_mini)])
def test_training_equals_tabm(name, make, backend):
    stored = STORED[name]
    layers, params = make(stored["params"])
    model = Model(
        layers,
        input_shape=4,
        loss=EachMember(SoftmaxCrossEntropy()),
        optimizer=AdamW(0.01, weight_decay=3e-4),
        backend=backend,
        dtype="float64",
    )
    model.params = params
    x, y = backend.asarray(np.array(stored["x"])), backend.asarray(np.array(stored["y"]))
    losses = [float(model.train_step(x, y)) for _ in stored["losses"]]
    np.testing.assert_allclose(losses, stored["losses"], rtol=1e-12)
    assert_close(fetch(backend, model.params), make(stored["trained"])[1], rtol=1e-9)
    np.testing.assert_allclose(backend.to_numpy(model.predict_proba(x)), stored["probabilities"], rtol=1e-10)


def test_initial_values_are_those_of_tabm():
    """A weight of one row of inputs, an r of signs, factors of ones, and a bias that all members share."""
    layers = [Members(40), BatchEnsemble(50, use_r=False), BatchEnsemble(30), EachDense(20)]
    params = Model(layers, input_shape=100, dtype="float64").params
    assert set(np.unique(params[0]["weight"])) == {-1.0, 1.0} and abs(params[0]["weight"].mean()) < 0.05
    assert "r" not in params[1] and (params[2]["r"] == 1).all() and (params[2]["s"] == 1).all()
    for part, inputs in ((params[1], 100), (params[2], 50), (params[3], 30)):
        limit = inputs**-0.5
        for name in ("weight", "bias"):
            high = np.abs(part[name]).max()
            assert 0.9 * limit < high <= limit and abs(part[name].std() - limit / 3**0.5) < 0.2 * limit, name
    assert (params[1]["bias"] == params[1]["bias"][0]).all() and len(np.unique(params[1]["bias"])) == 50
    assert len(np.unique(params[3]["bias"])) == 40 * 20


def test_each_dense_with_shared_arrays_is_dense(backend):
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(4, 2)), rng.normal(size=2), rng.normal(size=(5, 3, 4))
    one, each = Dense(2), EachDense(2)
    shared = place(backend, {"weight": weight, "bias": bias})
    stacked = place(backend, {"weight": np.stack([weight] * 3), "bias": np.stack([bias] * 3)})
    found, expected = each.forward(stacked, place(backend, x))[0], one.forward(shared, place(backend, x))[0]
    assert_close(fetch(backend, found), fetch(backend, expected), rtol=1e-14)


def test_initializers_of_stacks_and_blocks():
    rng = np.random.default_rng(0)
    each = Stacked(HeNormal())(rng, (50, 8, 9))
    assert each.var() == pytest.approx(2 / 8, rel=0.1) and len(np.unique(each)) == each.size
    assert (np.ptp(Stacked(Normal(1.0), equal=True)(rng, (5, 3)), axis=0) == 0).all()
    assert np.abs(FanInUniform()(rng, (25, 400))).max() == pytest.approx(0.2, rel=0.01)
    blocks = Blocks(Normal(1.0), (1, 3, 2))(rng, (4, 6))
    assert blocks.shape == (4, 6) and (np.ptp(blocks[:, 1:4], axis=1) == 0).all() and len(np.unique(blocks)) == 12
    params, _ = Members(4, weight=Blocks(RandomSigns(), (2, 1))).init(rng, (3,))
    assert (params["weight"][:, 0] == params["weight"][:, 1]).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Members(0), ValueError, "Members: expected count >= 1, got 0"),
        (lambda: BatchEnsemble(0), ValueError, "BatchEnsemble: expected units >= 1, got 0"),
        (lambda: BatchEnsemble(2, use_r=1), TypeError, "BatchEnsemble: expected use_r to be True or False, got 1"),
        (lambda: EachDense(2, weight="glorot"), TypeError, "EachDense: weight: expected an initializer or an array"),
        (
            lambda: Model([Members(2)], input_shape=(3, 4)),
            ValueError,
            r"Members: expected input of shape \(features,\), got \(3, 4\); put Flatten\(\) before it",
        ),
        (
            lambda: Model([BatchEnsemble(2)], input_shape=4),
            ValueError,
            r"BatchEnsemble\(2\): expected input of shape \(members, features\), got \(4,\); put Members\(...\) before it",
        ),
        (
            lambda: Model([EachDense(2)], input_shape=4),
            ValueError,
            r"EachDense\(2\): expected input of shape \(members, f",
        ),
        (
            lambda: Members(2).forward({"weight": np.ones((2, 3))}, np.ones((5, 1))),
            ValueError,
            r"Members: expected x of shape \(N, 3\), got \(5, 1\)",
        ),
        (
            lambda: EachDense(1).forward({"weight": np.ones((2, 3, 1))}, np.ones((5, 1, 3))),
            ValueError,
            r"EachDense: expected x of shape \(N, 2, 3\), got \(5, 1, 3\)",
        ),
        (lambda: Blocks(Normal(), (0, 2)), ValueError, r"Blocks: expected widths of integers >= 1, got \(0, 2\)"),
        (
            lambda: Blocks(Normal(), (1, 2))(np.random.default_rng(0), (4,)),
            ValueError,
            r"Blocks: expected a last axis of length 3, the sum of the widths, got a shape \(4,\)",
        ),
        (lambda: Stacked(Normal)(None, (2,)), TypeError, "Stacked: initializer: expected an initializer"),
    ],
)
def test_invalid_use_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()

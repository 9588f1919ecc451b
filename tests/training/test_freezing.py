"""Test that frozen layers stay as they are while the others train, and that the optimizer state of the others is kept."""

import numpy as np
import pytest

from anynet import (
    EMA,
    SGD,
    Dense,
    Dropout,
    Frozen,
    Groups,
    HalfSquaredError,
    Model,
    Rescale,
    SoftmaxCrossEntropy,
    Tanh,
    load,
)

rng = np.random.default_rng(0)
x = rng.integers(0, 256, (90, 6), dtype=np.uint8)
y = rng.integers(0, 3, 90)


def make(**changes):
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.1, momentum=0.9), "metrics": ["accuracy"], "seed": 2}
    layers = [Rescale(1 / 255), Dense(5), Tanh(), Dropout(0.2), Dense(3)]
    return Model(layers, input_shape=6, **(arguments | changes))


def test_frozen_layers_stay_bit_identical_and_others_go_on(backend):
    model, free = make(backend=backend), make(backend=backend)
    for each in (model, free):
        each.fit(x, y, batch_size=16)
    model.freeze(1)
    before = model.backend.to_numpy(model.params[1]["layer"]["weight"]).tobytes()
    model.fit(x, y, epochs=2, batch_size=16)
    assert model.backend.to_numpy(model.params[1]["layer"]["weight"]).tobytes() == before
    model.unfreeze()
    assert model.layer == free.layer
    model.fit(x, y, batch_size=16)
    assert model.backend.to_numpy(model.params[1]["weight"]).tobytes() != before


def test_the_optimizer_keeps_what_it_knows_of_the_others():
    model = make()
    model.fit(x, y)
    velocity = model.state.opt_state["velocity"][4]["weight"].copy()
    model.freeze(1)
    assert np.array_equal(model.state.opt_state["velocity"][4]["weight"], velocity)
    assert model.state.opt_state["velocity"][1] == {}
    model.unfreeze(1)
    assert not model.state.opt_state["velocity"][1]["weight"].any()


@pytest.mark.parametrize("pattern", ["0.*", "0.weight"])
def test_a_frozen_layer_may_have_a_group_of_its_own(pattern, tmp_path):
    """A group counts layers that are frozen now, in a file too, and has their optimizer again when they are not."""
    slow = Groups(SGD(1e-7, momentum=0.9), {pattern: {"learning_rate": 1e-8}})
    model = Model([Dense(3), Dense(1)], input_shape=6, loss=HalfSquaredError(), optimizer=EMA(slow, decay=0.5))
    model.fit(x, y)
    model.freeze(0)
    before = model.params[0]["layer"]["weight"].copy()
    model.fit(x, y)
    assert np.array_equal(model.params[0]["layer"]["weight"], before)
    model.save(tmp_path / "frozen")
    model = load(tmp_path / "frozen")
    model.unfreeze()
    model.fit(x, y)
    assert not np.array_equal(model.params[0]["weight"], before)
    with pytest.raises(ValueError, match=r"expected parameters that match '2\.\*', got none"):
        Model([Frozen(Dense(3)), Dense(1)], input_shape=6, optimizer=Groups(SGD(), {"2.*": None}))


def test_what_cannot_be_frozen():
    with pytest.raises(ValueError, match="freeze: expected the number of a layer < 5, got 5"):
        make().freeze(5)
    with pytest.raises(TypeError, match="freeze: expected the number of a layer to be an integer, got 'a'"):
        make().freeze("a")
    with pytest.raises(TypeError, match="freeze: expected a model of a list of layers, got one of Dense; write Frozen"):
        Model(Dense(2), input_shape=2).freeze(0)

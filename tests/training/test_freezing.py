"""Test that frozen layers do not change, and that freezing is a pure function."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    EMA,
    LBFGS,
    SGD,
    SWA,
    Accumulate,
    Adam,
    Clip,
    Dense,
    Dropout,
    Frozen,
    Groups,
    HalfSquaredError,
    Model,
    Muon,
    Rescale,
    SoftmaxCrossEntropy,
    Tanh,
    load,
    tree,
)
from anynet.optimizers import lr_factor
from anynet.optimizers.base import out_of_place
from anynet.training.freezing import set_frozen
from anynet.training.state import TrainState
from tests.tools import assert_same

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
    """A group includes frozen layers, also after loading, and trains them after unfreezing."""
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
    with pytest.raises(ValueError, match="freeze: expected the index of a layer below 5, got 5"):
        make().freeze(5)
    with pytest.raises(TypeError, match="freeze: expected the index of a layer to be an integer, got 'a'"):
        make().freeze("a")
    with pytest.raises(TypeError, match="freeze: expected a model of a list of layers, got one of Dense; write Frozen"):
        Model(Dense(2), input_shape=2).freeze(0)


# `set_frozen` ---------------------------------------------------------------------------------------------------------


def trained(**changes):
    model = make(**changes)
    model.fit(x, y, batch_size=16)
    return model.config, model.state


@pytest.mark.parametrize("numbers", [[1], [-1], [1, 4], [0, 2, 3], [1, 1, -4]], ids=str)
def test_arguments_are_unchanged_and_freezing_is_undone_by_unfreezing(numbers):
    config, state = trained()
    layers, params, opt_state = config.layer.layers, list(state.params), {**state.opt_state}
    velocity, copies = list(opt_state["velocity"]), tree.map(np.array, state)
    new, frozen = set_frozen(config, state, numbers, True)
    chosen = {number % 5 for number in numbers}
    assert type(frozen) is TrainState and new != config
    assert [type(layer) is Frozen for layer in new.layer.layers] == [number in chosen for number in range(5)]
    for number in range(5):
        inner = frozen.params[number]["layer"] if number in chosen else frozen.params[number]
        assert inner is params[number]
        kept = {} if number in chosen else velocity[number]
        assert_same(frozen.opt_state.get("velocity", [{}] * 5)[number], kept)  # absent if all layers are frozen
    assert frozen.key is state.key
    back, thawed = set_frozen(new, frozen, numbers, False)
    assert back == config
    assert_same(thawed.params, copies.params)
    # Of the arguments, neither containers nor arrays have changed.
    assert config.layer.layers is layers and config == make().config
    assert all(one is other for one, other in zip(state.params, params, strict=True))
    assert state.opt_state.keys() == opt_state.keys() and state.opt_state["velocity"] == velocity
    assert_same(state, copies)


def test_layers_already_in_the_requested_condition_do_not_change():
    config, state = set_frozen(*trained(), [1], True)
    for numbers, frozen in (([1], True), ([0, 2, 3, 4], False), ([], True)):
        again, same = set_frozen(config, state, numbers, frozen)
        assert again == config
        assert_same(same, state)


def test_other_settings_and_the_learning_rate_factor_are_kept():
    model = make(optimizer=EMA(SGD(0.1, momentum=0.9), decay=0.5), dtype="float64")
    model.learning_rate_factor = 0.25
    model.fit(x, y, batch_size=16)
    config, state = set_frozen(model.config, model.state, [1], True)
    assert dataclasses.replace(config, layer=model.layer) == model.config
    assert float(state.opt_state[lr_factor.KEY]) == 0.25
    assert lr_factor.KEY not in set_frozen(*trained(), [1], True)[1].opt_state


def test_without_an_optimizer_there_is_no_optimizer_state():
    model = make(optimizer=None)
    assert set_frozen(model.config, model.state, [1], True)[1].opt_state == {}


@pytest.mark.parametrize(
    ("numbers", "frozen", "error", "message"),
    [
        ([5], True, ValueError, "^freeze: expected the index of a layer below 5, got 5$"),
        ([1, 5], True, ValueError, "^freeze: expected the index of a layer below 5, got 5$"),
        ([-6], False, ValueError, "^unfreeze: expected the index of a layer >= -5, got -6$"),
        ([1.0], False, TypeError, "^unfreeze: expected the index of a layer to be an integer, got 1.0$"),
    ],
)
def test_a_number_that_does_not_fit_changes_nothing(numbers, frozen, error, message):
    config, state = trained()
    copies = tree.map(np.array, state)
    with pytest.raises(error, match=message):
        set_frozen(config, state, numbers, frozen)
    assert config == make().config
    assert_same(state, copies)


@dataclass(frozen=True)
class Anchored(SGD):
    """SGD whose state begins with the parameters themselves, not with copies."""

    def init(self, params):
        return {**super().init(params), "anchor": params}

    def update(self, params, grads, state, elementwise=out_of_place):
        inner = {name: value for name, value in state.items() if name != "anchor"}
        params, inner = super().update(params, grads, inner, elementwise)
        return params, {**inner, "anchor": state["anchor"]}


def test_a_state_that_begins_with_the_parameters_is_copied(backend):
    model = Model([Dense(3)], input_shape=6, loss=HalfSquaredError(), optimizer=Anchored(0.01), backend=backend)
    before = np.array(backend.to_numpy(model.params[0]["weight"]))
    model.freeze(0)
    model.unfreeze()
    targets = np.ones((90, 3), np.float32)
    model.fit(np.ones((90, 6), np.float32), targets)
    model.fit(np.ones((90, 6), np.float32), targets)
    assert np.array_equal(backend.to_numpy(model.state.opt_state["anchor"][0]["weight"]), before)
    assert not np.array_equal(backend.to_numpy(model.state.params[0]["weight"]), before)


# States of several parameters together --------------------------------------------------------------------------------

targets = np.random.default_rng(1).normal(size=(90, 3))


def regression(optimizer):
    layers = [Dense(5), Tanh(), Dense(3)]
    settings = {"loss": HalfSquaredError(), "optimizer": optimizer, "dtype": "float64", "seed": 2}
    return Model(layers, input_shape=6, **settings)


def fitted(model, epochs=1):
    model.fit(x / 255, targets, epochs=epochs, batch_size=30)
    return model


def averages(model):
    return model.averaged().params


@pytest.mark.parametrize(
    "optimizer",
    [
        EMA(SGD(0.1), decay=0.9),
        SWA(SGD(0.1), start=4, every=2),
        SWA(SGD(0.1), start=100),
        EMA(Accumulate(Clip(Adam(0.01), norm=1.0), steps=2), decay=0.9),
        Accumulate(EMA(Adam(0.01), decay=0.9), steps=2),
        Groups(EMA(Adam(0.01), decay=0.9), {"*bias": EMA(SGD(0.1))}),
        EMA(Muon(0.01), decay=0.9),
    ],
    ids=lambda optimizer: repr(optimizer)[:24],
)
def test_the_average_of_an_unfrozen_layer_starts_at_its_parameters(optimizer):
    model = regression(optimizer)
    model.freeze(0)
    fitted(model, 3).unfreeze(0)
    for name, value in model.params[0].items():
        np.testing.assert_array_equal(averages(model)[0][name], value)
    before = model.copy_params()
    kept = averages(model)[2]["weight"]
    fitted(model)
    for name, value in model.params[0].items():
        spread = np.abs(value - before[0][name]).max()
        assert np.abs(averages(model)[0][name] - before[0][name]).max() <= 3 * spread  # of three steps
    assert not np.array_equal(averages(model)[2]["weight"], kept)


def test_the_average_of_an_unfrozen_layer_is_that_of_all_its_values():
    """SWA counts the updates in which a layer was frozen, with the parameters it had."""
    model = regression(SWA(SGD(0.1)))
    model.freeze(0)
    fitted(model, 2).unfreeze(0)
    points = [model.copy_params()[0]["weight"]] * 6
    for _ in range(2):
        model.train_step(x / 255, targets)
        points.append(model.copy_params()[0]["weight"])
    np.testing.assert_allclose(averages(model)[0]["weight"], np.mean(points, axis=0), rtol=1e-12)


@pytest.mark.parametrize("first", [(), (0,)])
def test_the_pairs_of_lbfgs_start_again(first, tmp_path):
    model = regression(LBFGS(iterations=3))
    model.freeze(*first)
    model.fit(x / 255, targets, epochs=2, batch_size=None)
    assert int(model.state.opt_state["pairs"]) > 0
    model.unfreeze() if first else model.freeze(0)
    state = model.state.opt_state
    assert int(state["pairs"]) == 0 and not state["s"].any() and not state["y"].any()
    model.save(tmp_path / "model")
    fresh = Model.from_config(model.config)
    fresh.params = model.params
    again = load(tmp_path / "model")
    for each in (model, fresh, again):
        each.fit(x / 255, targets, epochs=2, batch_size=None, shuffle=False)
    assert_same(model.params, fresh.params)
    assert_same(model.params, again.params)


def test_the_pairs_of_lbfgs_are_kept_if_the_same_parameters_are_trained():
    model = regression(LBFGS(iterations=3))
    model.fit(x / 255, targets, batch_size=None)
    before = tree.map(np.array, model.state.opt_state)
    model.freeze(1)  # it has no parameters
    assert_same(model.state.opt_state, before)


def test_each_nested_optimizer_carries_its_own_state():
    @dataclass(frozen=True)
    class Restarting(SGD):
        def carried(self, params, state):
            return self.init(params)

    def step_of(state):
        return int(state["step"])

    for optimizer, inner in (
        (Clip(Restarting(0.1), norm=1.0), lambda state: state),
        (EMA(Restarting(0.1)), lambda state: state["optimizer"]),
        (Groups(SGD(0.1), {"2.*": Restarting(0.1)}), lambda state: state["groups"][0]),
        (Muon(0.01, otherwise=Restarting(0.1)), lambda state: state["otherwise"]),
    ):
        model = fitted(regression(optimizer))
        assert step_of(inner(model.state.opt_state)) == 3
        model.freeze(0)
        assert step_of(inner(model.state.opt_state)) == 0

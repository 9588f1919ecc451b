"""Test that a state never changes for its reader, and is copied only for one."""

from itertools import pairwise

import numpy as np
import pytest

from anynet import Adam, Dense, Dropout, Model, ReLU, SoftmaxCrossEntropy, backends, tree
from anynet.config import ModelConfig
from anynet.random import make_key
from anynet.training import state as module
from anynet.training.state import StateOwner, TrainState, initial_state, place_like, place_state
from tests.tools import assert_same, fetch

pytestmark = pytest.mark.without("jax")

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.arange(12) % 3


def make(backend="numpy", **changes):
    layers = [Dense(5), ReLU(), Dropout(0.5), Dense(3)]
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.1), "metrics": ["accuracy"]}
    return Model(layers, input_shape=4, backend=backend, **{**arguments, **changes})


def small(backend):
    """Return a state of a few arrays on a backend."""
    place = backend.asarray
    params = [{"weight": place(np.ones((2, 3), np.float32), copy=True)}, {}]
    return TrainState(params, {"step": place(np.zeros((), np.float32), copy=True)}, place(make_key(1), copy=True))


# Owner ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copies(monkeypatch):
    """Return a list that grows by one for each copy of a state."""
    made = []
    copy = module.place_state
    monkeypatch.setattr(module, "place_state", lambda *arguments: made.append(1) or copy(*arguments))
    return made


def step_of(owner):
    """Take a step that changes nothing, and return the state that it was given."""
    return owner.update(lambda state: (state, state))


def test_a_state_is_copied_only_if_it_was_shared(copies, backend):
    state = small(backend)
    owner = StateOwner(state, backend)
    assert step_of(owner) is state and step_of(owner) is state and not copies
    before = fetch(backend, state)
    assert owner.shared is state and owner.shared is state and not copies
    owned = step_of(owner)
    assert owned is not state and len(copies) == 1
    assert all(a is not b for a, b in zip(tree.leaves(owned), tree.leaves(state), strict=True))
    assert_same(fetch(backend, owned), before)
    assert step_of(owner) is owned and len(copies) == 1
    assert owner.shared is owned and step_of(owner) is not owned and len(copies) == 2


def test_a_state_is_not_copied_after_a_reader_is_done(copies, backend):
    state = small(backend)
    owner = StateOwner(state, backend)
    with owner.read() as read:
        assert read is state and step_of(owner) is not state and len(copies) == 1
    with owner.read() as read:
        pass
    assert step_of(owner) is read and len(copies) == 1


def test_a_new_state_is_not_shared(copies, backend):
    owner, new = StateOwner(small(backend), backend), small(backend)
    assert owner.shared is not new
    owner.replace(new)
    assert step_of(owner) is new and not copies


def test_a_step_may_overwrite_its_arrays_without_a_reader_noticing():
    backend = backends.get("numpy")
    owner = StateOwner(small(backend), backend)
    kept = owner.shared
    for array in tree.leaves(step_of(owner)):
        array[...] = 9
    assert_same(kept, small(backend))
    assert all((array == 9).all() for array in tree.leaves(owner.shared))


# Model ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", ["state", "params", "opt_state and key", "copy_params"])
def test_training_never_overwrites_what_was_read(read, backend):
    """Read before each way of training."""
    model, kept = make(backend), []
    for train in (
        lambda: model.train_step(X, Y),
        lambda: model.fit(X, Y, batch_size=4),
        lambda: [model.train_step(X, Y) for _ in range(3)],
        lambda: model.fit(X, Y, batch_size=12, epochs=2),
        lambda: model.freeze(0),
        lambda: model.train_step(X, Y),
    ):
        reads = {"state": lambda: model.state, "params": lambda: model.params, "copy_params": model.copy_params}
        part = reads.get(read, lambda: model.state[1:])()
        kept.append((part, fetch(backend, part)))
        train()
    for part, copy in kept:
        assert_same(fetch(backend, part), copy)
    ends = [tree.leaves(copy)[-1] for _, copy in kept[:5]]
    assert all(not np.array_equal(one, other) for one, other in pairwise(ends))


def test_methods_that_only_use_the_state_do_not_share_it(copies, backend, tmp_path):
    model = make(backend)
    del copies[:]
    for use in (
        lambda: model.predict(X),
        lambda: model.evaluate(X, Y),
        lambda: model.gradients(X, Y),
        lambda: model.summary(),
        lambda: model.save(tmp_path / "model.safetensors"),
        lambda: model.learning_rate_factor,
        lambda: model.copy_params(),
        lambda: model.train_step(X, Y),
    ):
        use()
        model.train_step(X, Y)
    assert not copies
    _ = model.params
    model.train_step(X, Y)
    model.train_step(X, Y)
    assert len(copies) == 1


def test_a_state_can_be_assigned_from_any_library(backend):
    model, other = make("numpy"), make(backend, seed=5)
    model.train_step(X, Y)
    before = fetch(model.backend, model.state)
    other.state = model.state
    assert isinstance(other.state, TrainState)
    assert_same(fetch(backend, other.state), before)
    other.train_step(X, Y)
    assert_same(fetch(model.backend, model.state), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s._replace(params=s.params[:-1]),
            r"^state\.params: expected 4 arrays as in Model\.state\.params, got 2, without 3\.bias, 3\.weight; assign",
        ),
        (
            lambda s: s._replace(opt_state={}),
            r"^state: expected 10 arrays as in Model\.state, got 1, without opt_state\.m\.0\.bias, opt_state\.m",
        ),
        (lambda s: s._replace(key=s.key[:1]), r"^state: expected key of shape \(2,\), got \(1,\)$"),
    ],
    ids=["params", "opt_state", "key"],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message, backend):
    model = make(backend)
    before = fetch(backend, model.state)
    with pytest.raises(ValueError, match=message):
        model.state = change(TrainState(*before))
    assert_same(fetch(backend, model.state), before)


# Functions --------------------------------------------------------------------------------------------------------------


def test_a_state_stays_a_state_in_tree_functions(backend):
    state = small(backend)
    doubled = tree.map(lambda a: a + a, state)
    assert type(doubled) is TrainState and type(doubled.params) is list and type(doubled.opt_state) is dict
    assert_same(fetch(backend, doubled).params, [{"weight": np.full((2, 3), 2.0, np.float32)}, {}])
    assert type(tree.set_leaves(state, iter(tree.leaves(doubled)), like=state)) is TrainState
    selected = tree.select(state, lambda path, leaf: path[0] == 0)
    assert type(selected) is TrainState and selected.key is None and selected.params[0]["weight"] is not None
    assert [tree.name(path) for path, _ in tree.leaves_with_paths(state)] == ["0.0.weight", "1.step", "2"]
    assert [type(part) for part in (fetch(backend, state), tree.map(lambda a: a, [state])[0])] == [TrainState] * 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_state(dtype, backend):
    config = ModelConfig([Dense(3)], 2, SoftmaxCrossEntropy(), Adam(), dtype=dtype, seed=4)
    params = [{"weight": np.ones((2, 3)), "bias": np.zeros(3)}]
    state = initial_state(config, backend, params)
    assert type(state) is TrainState and state.opt_state.keys() == {"step", "m", "v"}
    assert all(a.dtype == backend.dtype(dtype) for a in tree.leaves((state.params, state.opt_state["m"])))
    assert_same(fetch(backend, state.key), make_key(4))
    assert_same(fetch(backend, state.params), tree.map(lambda a: a.astype(dtype), params))
    assert initial_state(ModelConfig([Dense(3)], 2), backend, params).opt_state == {}


def test_placing_copies_every_array():
    from anynet import backends

    state = small(backends.get("numpy"))
    placed = place_state(state, backends.get("numpy"))
    assert type(placed) is TrainState
    assert not any(np.shares_memory(a, b) for a, b in zip(tree.leaves(placed), tree.leaves(state), strict=True))
    assert_same(placed, state)
    wide = place_state(state, backends.get("numpy"), np.float64)
    assert wide.params[0]["weight"].dtype == np.float64 and wide.opt_state["step"].dtype == np.float32


def test_placing_in_the_structure_of_another_tree():
    old = {"weight": np.zeros((2, 3)), "bias": np.zeros(3), "inner": [{"scale": np.zeros(())}]}
    new = {"inner": [{"scale": 3.0}], "bias": [1.0, 2.0, 3.0], "weight": np.ones((2, 3)).tolist()}
    with pytest.raises(
        ValueError,
        match=r"params: expected 3 arrays as in Model\.params, got 10, without 'bias', 'weight' and with an additional bias\.0",
    ):
        place_like("params", old, new, np.array)
    new |= {"bias": np.array([1.0, 2.0, 3.0]), "weight": np.ones((2, 3))}
    placed = place_like("params", old, new, np.array)
    assert list(placed) == list(old) and placed["inner"] == [{"scale": 3.0}] and placed["weight"] is not new["weight"]
    assert_same(placed["bias"], new["bias"])
    state = TrainState([old], {}, np.zeros(2))
    assert type(place_like("state", state, TrainState([new], {}, np.ones(2)), np.array)) is TrainState


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            {"a": np.zeros(2)},
            r"^params: expected 2 arrays as in Model\.params, got 1, without b\.0; assign \{'a': \.\.\., 'b': \[\.\.\.\]\}$",
        ),
        ({"a": np.zeros(2), "b": [np.zeros(3)], "c": np.zeros(1)}, r"got 3, with an additional 'c'; assign"),
        (
            {"a": np.zeros(2), "b": {"0": np.zeros(3)}},
            r"expected 2 arrays .*, got 2, without b\.0 and with an additional b\.0; ",
        ),
        ({"a": np.zeros((2, 1)), "b": [np.zeros(3)]}, r"^params: expected a of shape \(2,\), got \(2, 1\)$"),
        ({"a": np.zeros(2), "b": [np.zeros(4)]}, r"^params: expected b\.0 of shape \(3,\), got \(4,\)$"),
        (
            {n: np.zeros(1) for n in "cdefghij"},
            r"expected 2 arrays .*, got 8, without 'a', b\.0 and with an additional 'c', 'd', 'e', 'f', 'g', …; ",
        ),
    ],
)
def test_arrays_that_do_not_fit(new, message):
    with pytest.raises(ValueError, match=message):
        place_like("params", {"a": np.zeros(2), "b": [np.zeros(3)]}, new, np.array)


def test_a_transposed_weight_is_recognized():
    params = [{"weight": np.ones((3, 4)), "bias": np.ones(3)}]
    words = r"params: expected 0.weight of shape \(4, 3\), got \(3, 4\); it is transposed: .*; pass array.T"
    with pytest.raises(ValueError, match=words):
        Model([Dense(3)], input_shape=4).params = params


def test_weights_with_other_names_show_the_structure():
    words = r"without 0.bias, 0.weight and with an additional '0.bias', '0.weight'; assign \[\{'weight': ..., 'bias': ...\}\]"
    with pytest.raises(ValueError, match=words):
        Model([Dense(3)], input_shape=4).params = {"0.weight": np.ones((4, 3)), "0.bias": np.ones(3)}


def test_copied_parameters_are_independent(backend):
    model = make(backend)
    model.train_step(X, Y)
    copied, params = model.copy_params(), model.params
    assert_same(fetch(backend, copied), fetch(backend, params))
    for one, other in zip(tree.leaves(copied), tree.leaves(params), strict=True):
        assert type(one) is type(other) and not backend.shares_memory(one, other)

"""Test that JAX passes the arrays of a small network as one, invisibly."""

import logging

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

from anynet import SGD, Adam, BatchNorm, Dense, Dropout, Model, Optimizer, SoftmaxCrossEntropy, Tanh, tree
from anynet.backends import jax_carry
from anynet.backends.carry import Carry, opened
from anynet.backends.jax import JaxBackend
from anynet.backends.jax_carry import Layout, as_carry, pack, run_joined, unpack

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6)).astype(np.float32)
Y = rng.integers(0, 3, 40)


def make(backend, optimizer=None, width=5):
    layers = [Dense(width), Tanh(), BatchNorm(), Dropout(0.5), Dense(3)]
    return Model(
        layers,
        input_shape=6,
        loss=SoftmaxCrossEntropy(),
        optimizer=optimizer or SGD(0.01, momentum=0.9),
        backend=backend,
    )


def state(numbers=3):
    """Return a tree of arrays of several dtypes, with values that a conversion would change."""
    odd = np.array([np.nan, -0.0, np.inf, 1e-45, -7.25], np.float32)
    arrays = {
        "weight": np.arange(2.0 * numbers, dtype=np.float32).reshape(2, numbers),
        "bias": odd,
        "step": np.array(-3, np.int32),
        "wide": np.array([0.1, np.nan]),
        "mask": np.array([True, False, True]),
        "empty": np.zeros((0, 2), np.float32),
    }
    return tree.map(jax.numpy.asarray, [arrays, {}, (np.array([5, -6], np.int32), None)])


def compiled_functions(action):
    """Return the names of the functions that JAX compiles during an action."""
    names, logger = [], logging.getLogger("jax._src.dispatch")
    handler = logging.Handler()
    handler.emit = lambda record: names.append(record.getMessage().partition("compilation of ")[2].partition(" in ")[0])
    logger.addHandler(handler)
    try:
        with jax.log_compiles():
            action()
    finally:
        logger.removeHandler(handler)
    return [name for name in names if name]


# Carries ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_a_carry_keeps_every_bit(compiled):
    given = state()
    carry = as_carry(given) if compiled else pack(given)
    kept = opened(carry) if compiled else unpack(carry)
    assert jax.tree.structure(kept) == jax.tree.structure(given)
    for ours, theirs in zip(jax.tree.leaves(kept), jax.tree.leaves(given), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    assert opened(carry) is not given and opened(given) is given and as_carry(carry) is carry


def test_arrays_are_joined_up_to_a_number(monkeypatch):
    carry = as_carry(state())
    assert {str(a.dtype) for a in carry.arrays} == {"int32", "float64", "bool"} and len(carry.arrays) == 3
    monkeypatch.setattr(jax_carry, "MAX_NUMBERS", 30)
    given = state(numbers=50)
    carry = as_carry(given)
    assert all(a is b for a, b in zip(tree.leaves(carry.tree), tree.leaves(given), strict=True))


def test_layouts_do_not_depend_on_the_order_of_keys():
    one, other = ({"weight": 1.0, "bias": 2.0}, {"bias": 3.0, "weight": 4.0})
    trees = [tree.map(jax.numpy.float32, {"params": part, "m": {"bias": 5.0, "weight": 6.0}}) for part in (one, other)]
    layout = Layout.of(trees[0])
    assert Layout.of(trees[1]) is layout
    assert list(layout.like["m"]) == list(layout.like["params"])
    assert float(unpack(pack(trees[1]))["params"]["bias"]) == 3.0


def test_slots_have_the_order_of_the_parameters():
    model = make(JaxBackend(), Adam())
    params, opt_state, _ = Layout.of(model.state).like
    paths = [path for path, _ in tree.leaves_with_paths(model.layer.trainable(params))]
    assert [path for path, _ in tree.leaves_with_paths(opt_state["m"])] == paths


def test_a_rule_runs_once_on_small_arrays(monkeypatch):
    calls = []

    def rule(p, g, m, rate):
        calls.append(p.shape)
        m = m + g
        return p - rate * m, m

    groups = [tuple(jax.numpy.asarray(rng.normal(size=shape)) for _ in range(3)) for shape in ((2, 3), (), (4,))]
    joined = run_joined(rule)(groups, (0.5,))
    assert calls == [(11,)]
    monkeypatch.setattr(jax_carry, "MAX_NUMBERS", 10)
    single = run_joined(rule)(groups, (0.5,))
    assert calls[1:] == [(2, 3), (), (4,)]
    for ours, theirs in zip(joined, single, strict=True):
        assert all(a.shape == b.shape and (a == b).all() for a, b in zip(ours, theirs, strict=True))


# Models -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "limit"), [(5, 2**15), (7, 0)], ids=["joined", "separate"])
def test_a_model_trains_as_on_numpy(width, limit, monkeypatch):
    """Read and change the state between steps of all kinds."""
    monkeypatch.setattr(jax_carry, "MAX_NUMBERS", limit)
    models = make("jax", width=width), make("numpy", width=width)
    assert Layout.of(models[0].state).is_joined == (limit > 0)
    kept = []
    for model in models:
        for _ in range(3):
            model.train_step(X[:8], Y[:8])
        kept.append(model.params)
        model.learning_rate_factor = 0.5
        model.fit(X, Y, batch_size=7, epochs=2, validation_data=(X[:9], Y[:9]))
        model.train_step(X, Y)
        kept.append(model.state)
        model.params = tree.map(lambda a: a * 0.5, model.params)
        model.train_step(X, Y)
        kept.append(model.state)
    for ours, theirs in zip(kept[:3], kept[3:], strict=True):
        found = dict(tree.leaves_with_paths(ours))
        for path, array in tree.leaves_with_paths(theirs):
            np.testing.assert_allclose(
                np.asarray(found.pop(path)), array, rtol=1e-4, atol=1e-5, err_msg=tree.name(path)
            )
        assert not found


def test_reading_does_not_end_a_carry():
    model = make("jax")
    model.train_step(X, Y)
    carry = model._owner._state
    assert isinstance(carry, Carry) and len(carry.arrays) == 1
    model.predict(X)
    assert model._owner._state is carry and model.params is model.params
    before = np.array(model.params[0]["weight"])
    params = model.params
    model.train_step(X, Y)
    assert (np.asarray(params[0]["weight"]) == before).all() and not params[0]["weight"].is_deleted()


class Late(Optimizer):
    """An optimizer whose state gets an entry in the first step."""

    def init(self, params):
        return {}

    def update(self, params, grads, state, elementwise=None):
        count = state.get("count", 0.0 * tree.leaves(grads)[0].sum()) + 1.0
        new = tree.map(lambda g, p: p - 0.1 * g, grads, params)
        return tree.set_leaves(params, iter(tree.leaves(new)), like=grads), {"count": count}


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")  # in the first step, whose result is longer
def test_a_step_may_change_the_structure_of_its_state():
    model = make("jax", Late())
    for _ in range(3):
        model.train_step(X, Y)
    assert float(model.state.opt_state["count"]) == 3.0


def test_batches_of_one_size_are_compiled_once():
    """Take 32 and 8 batches in one call each, then a last batch of another size."""
    backend = JaxBackend()
    model = make(backend, SGD(0.1))
    names = compiled_functions(lambda: model.fit(X, Y, batch_size=1, epochs=2))
    assert [name for name in names if "many" in name or "one" in name] == ["jit(many)"]
    names = compiled_functions(lambda: model.fit(X[:38], Y[:38], batch_size=4, epochs=2))
    assert sorted(name for name in names if "many" in name or "one" in name) == ["jit(many)", "jit(one)"]
    names = compiled_functions(lambda: model.fit(X, Y, batch_size=None, epochs=2))
    assert [name for name in names if "many" in name or "one" in name] == ["jit(one)"]


def test_the_calls_of_a_loop_are_those_of_steps():
    model, other = make("jax", SGD(0.1)), make("jax", SGD(0.1))
    losses = [float(model.train_step(X[i : i + 1], Y[i : i + 1])) for i in range(40)]
    history = other.fit(X, Y, batch_size=1, shuffle=False)
    np.testing.assert_allclose(history["loss"], [np.mean(losses)], rtol=1e-5)
    for a, b in zip(tree.leaves(model.params), tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)

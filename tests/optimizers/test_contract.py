"""Test the contract of `anynet.optimizers.base` for every row of `tests.optimizers.cases`."""

import json

import numpy as np
import pytest
from array_api_compat import is_array_api_obj

import anynet
from anynet import tree
from anynet.checkpoint.serialize import from_config, to_config
from anynet.optimizers.base import out_of_place
from tests.optimizers.cases import OPTIMIZERS
from tests.tools import PUBLIC, assert_close, assert_same, fetch, place

NUMPY = anynet.backends.get("numpy")
TARGET, CURVATURE = np.array([1.0, -2.0, 3.0]), np.array([0.5, 1.0, 2.0])


@pytest.fixture(params=OPTIMIZERS, ids=lambda row: repr(row[0]).replace(" ", "")[:70])
def row(request):
    return request.param


@pytest.fixture
def optimizer(row):
    return row[0]


def parameters():
    """Return nested parameters, one of them larger than a tile, and a buffer without gradient."""
    rng = np.random.default_rng(0)
    layers = [
        {"weight": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)},
        {},
        {"weight": rng.normal(size=(300, 120))},
    ]
    return [*layers, {"scale": np.ones(2), "mean": np.array([5.0, 6.0])}]


def gradients(step):
    """Return random gradients of the same structure, without the buffer, for a step."""
    rng = np.random.default_rng((1, step))
    grads = tree.map(lambda a: rng.normal(size=a.shape), parameters())
    del grads[3]["mean"]
    return grads


def trainable(params):
    return [*params[:3], {"scale": params[3]["scale"]}]


def trajectory(backend, optimizer, steps, dtype="float64", *, elementwise=out_of_place, compiled=False):
    """Return the parameters and state after some steps, on the host."""

    def update(params, grads, state):
        return optimizer.update(params, grads, state, elementwise)

    if compiled:
        update = backend.compile(update)
    params = tree.map(lambda a: backend.asarray(a, backend.dtype(dtype), copy=True), parameters())
    state = optimizer.init(trainable(params))
    for step in range(steps):
        params, state = update(params, place(backend, gradients(step), dtype), state)
    return fetch(backend, params), fetch(backend, state)


def test_descends_a_parabola(row, backend):
    optimizer, steps = row
    target, curvature = place(backend, (TARGET, CURVATURE))
    params = {"p": place(backend, np.zeros(3))}
    state = optimizer.init(params)
    update = backend.compile(lambda *args: optimizer.update(*args))
    for _ in range(steps):
        params, state = update(params, {"p": curvature * (params["p"] - target)}, state)
    loss = 0.5 * np.sum(CURVATURE * (fetch(backend, params["p"]) - TARGET) ** 2)
    assert loss < 1e-3 * 0.5 * np.sum(CURVATURE * TARGET**2)


def test_keeps_dtype_and_tree(optimizer, backend):
    for dtype in ("float32", "float64"):
        params = place(backend, parameters(), dtype)
        state = optimizer.init(trainable(params))
        new, new_state = optimizer.update(params, place(backend, gradients(0), dtype), state)
        for old, now in ((params, new), (state, new_state)):
            before = {path: (a.shape, a.dtype) for path, a in tree.leaves_with_paths(old)}
            assert {path: (a.shape, a.dtype) for path, a in tree.leaves_with_paths(now)} == before
        assert all(is_array_api_obj(a) for a in tree.leaves(new_state))


def test_parameters_without_gradient_are_unchanged(optimizer, backend):
    params = place(backend, parameters())
    state = optimizer.init(params)  # a frozen layer has slots but no gradient
    grads = place(backend, gradients(0))
    grads[0] = {}
    new, _ = optimizer.update(params, grads, state)
    assert new[3]["mean"] is params[3]["mean"] and new[0]["weight"] is params[0]["weight"]
    assert not np.array_equal(fetch(backend, new[3]["scale"]), fetch(backend, params[3]["scale"]))


def test_nothing_to_train_is_no_error(optimizer, backend):
    params = [{}, {"mean": place(backend, np.ones(2))}]
    state = optimizer.init([{}, {}])
    assert optimizer.update(params, [{}, {}], state)[0] == params


def test_is_pure(optimizer, backend):
    at = place(backend, {"params": parameters(), "grads": gradients(0)})
    state = optimizer.init(trainable(at["params"]))
    _, state = optimizer.update(at["params"], at["grads"], state)
    before = fetch(backend, {**at, "state": state})
    first = optimizer.update(at["params"], at["grads"], state)
    second = optimizer.update(at["params"], at["grads"], state)
    assert_same(fetch(backend, first), fetch(backend, second))
    assert_same(fetch(backend, {**at, "state": state}), before)


def test_counts_steps_in_an_array(optimizer, backend):
    params = {"p": place(backend, np.ones(3))}
    state = optimizer.init(params)
    for expected in range(3):
        step = next(a for path, a in tree.leaves_with_paths(state) if path[-1] == "step")
        assert tuple(step.shape) == () and backend.xp.isdtype(step.dtype, "integral") and int(step) == expected
        params, state = optimizer.update(params, params, state)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 1e-6)])
def test_all_runners_agree(optimizer, dtype, rtol, backend):
    """Compare the backend's own runner, compiled where possible, with plain functions on NumPy."""
    expected = trajectory(NUMPY, optimizer, 5, dtype)
    actual = trajectory(backend, optimizer, 5, dtype, elementwise=backend.elementwise, compiled=True)
    plain = trajectory(backend, optimizer, 5, dtype)
    for found in (actual, plain):
        assert_close(found, expected, rtol=rtol)


def test_is_a_value(optimizer):
    again = eval(repr(optimizer), PUBLIC)
    assert again == optimizer and hash(again) == hash(optimizer)
    assert from_config(json.loads(json.dumps(to_config(optimizer)))) == optimizer

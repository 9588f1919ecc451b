"""The contract of `anynet.layers.base`, tested for every row of `tests.layers.cases`."""

import functools
import json
import threading

import numpy as np
import pytest
from array_api_compat import is_array_api_obj

import anynet
from anynet import check_gradients, tree
from anynet.checkpoint.serialize import from_config, to_config
from tests.layers.cases import LAYERS
from tests.tools import PUBLIC, assert_close, assert_same, away_from_zero, fetch, key, place

N = 3


class Case:
    """A layer with parameters, a batch and an upstream gradient, on the host in float64."""

    def __init__(self, layer, shape, inputs=away_from_zero, *, seed=0, count=N):
        rng = np.random.default_rng(seed)
        self.layer, self.shape = layer, shape
        self.params, self.output_shape = layer.init(rng, shape)
        # Initial zeros and ones would hide errors, so move the trained parameters away from them.
        trained = tree.map(lambda a: a + rng.uniform(-0.1, 0.1, a.shape), layer.trainable(self.params))
        self.params = tree.set_leaves(self.params, iter(tree.leaves(trained)), like=trained)
        self.x = inputs(rng, (count, *shape))
        self.dy = rng.normal(size=(count, *self.output_shape))

    def on(self, backend, dtype="float64", *, training=True):
        """Return params, x, key and dy on a backend."""
        values = {"params": self.params, "x": self.x, "key": key() if training else None, "dy": self.dy}
        return place(backend, values, dtype)

    def run(self, backend, dtype="float64", *, training=True, need_dx=True):
        """Return y, cache, dx and grads, from separately compiled forward and backward passes."""
        at = self.on(backend, dtype, training=training)
        y, cache = forward(backend, self.layer)(at["params"], at["x"], at["key"])
        dx, grads = backward(backend, self.layer, need_dx=need_dx)(at["params"], cache, at["dy"])
        return y, cache, dx, grads


@functools.cache
def forward(backend, layer):
    """Return the compiled forward pass of a layer, the same function in all tests: compilation dominates."""
    return backend.compile(lambda params, x, key: layer.forward(params, x, key=key))


@functools.cache
def backward(backend, layer, *, need_dx):
    return backend.compile(lambda params, cache, dy: layer.backward(params, cache, dy, need_dx=need_dx))


@pytest.fixture(params=LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def row(request):
    return request.param


@pytest.fixture
def case(row):
    return Case(*row)


both = pytest.mark.parametrize("training", [True, False], ids=["training", "using"])


@both
def test_gradients(case, backend, training):
    report = check_gradients(case.layer, place(backend, case.x), backend=backend, training=training)
    assert report.worst <= 1e-7
    expected = len(tree.leaves(case.layer.trainable(case.params))) + (not case.layer.integer_input)
    assert len(report.errors) == expected


@both
def test_autodiff_of_forward(case, autodiff, training):
    at = {"params": case.layer.trainable(case.params), "x": case.x}

    def f(at):
        params = tree.set_leaves(place_like(case.params, at["x"]), iter(tree.leaves(at["params"])), like=at["params"])
        return case.layer.forward(params, at["x"], key=place_like(key(), at["x"]) if training else None)[0]

    y, expected = autodiff(f, at, case.dy)
    numpy = anynet.backends.get("numpy")
    ours_y, _, dx, grads = case.run(numpy, training=training)
    assert_close(ours_y, y, rtol=1e-10)
    if not case.layer.integer_input:
        assert_close(dx, expected["x"], rtol=1e-10)
    assert_close(grads, expected["params"], rtol=1e-10)


def place_like(values, x):
    """Convert host arrays to the library of x, inside a differentiated function."""
    xp = anynet.arrays.namespace.namespace(x)
    return tree.map(lambda a: xp.asarray(a), values)


@both
def test_equals_numpy(case, backend, training):
    expected = case.run(anynet.backends.get("numpy"), training=training)
    for dtype, rtol in (("float64", 1e-13), ("float32", 2e-6)):
        actual = case.run(backend, dtype, training=training)
        for ours, theirs in zip(
            (actual[0], actual[2], actual[3]), (expected[0], expected[2], expected[3]), strict=True
        ):
            assert_close(fetch(backend, ours), fetch(anynet.backends.get("numpy"), theirs), rtol=rtol)


@both
def test_float32_stays_float32(case, backend, training):
    for path, array in tree.leaves_with_paths(case.run(backend, "float32", training=training)):
        floating = backend.xp.isdtype(array.dtype, "real floating")
        assert not floating or array.dtype == backend.dtype("float32"), path


@both
def test_cache_holds_arrays_of_the_backend_only(case, backend, training):
    at = case.on(backend, training=training)
    _, cache = case.layer.forward(at["params"], at["x"], key=at["key"])
    for path, leaf in tree.leaves_with_paths(cache):
        assert is_array_api_obj(leaf) and isinstance(leaf, (type(at["dy"]), np.generic)), path


@both
def test_shapes_in_the_cache_keep_no_memory(case, training):
    """An array without elements carries a shape; as a slice it would keep the array that it was cut from."""
    at = case.on(anynet.backends.get("numpy"), training=training)
    _, cache = case.layer.forward(at["params"], at["x"], key=at["key"])
    assert all(leaf.base is None for leaf in tree.leaves(cache) if isinstance(leaf, np.ndarray) and leaf.size == 0)


@both
def test_grads_mirror_the_trained_parameters(case, backend, training):
    *_, dx, grads = case.run(backend, training=training)
    trained = dict(tree.leaves_with_paths(case.layer.trainable(case.params)))
    assert {path: tuple(g.shape) for path, g in tree.leaves_with_paths(grads)} == {
        p: a.shape for p, a in trained.items()
    }
    assert case.layer.integer_input or tuple(dx.shape) == case.x.shape


@both
def test_arguments_are_unchanged(case, backend, training):
    at = case.on(backend, training=training)
    before = fetch(backend, at)
    _, cache = case.layer.forward(at["params"], at["x"], key=at["key"])
    remembered = fetch(backend, cache)
    case.layer.backward(at["params"], cache, at["dy"])
    case.layer.update_buffers(at["params"], cache)
    assert_same(fetch(backend, at), before)
    assert_same(fetch(backend, cache), remembered)


def test_without_dx(case, backend):
    _, _, _, expected = case.run(backend)
    _, _, dx, grads = case.run(backend, need_dx=False)
    assert dx is None
    assert_same(fetch(backend, grads), fetch(backend, expected))


def test_used_twice(row, backend):
    first, second = Case(*row), Case(*row, seed=1)
    alone = [fetch(backend, c.run(backend)[2:]) for c in (first, second)]
    ats = [c.on(backend) for c in (first, second)]
    go, back = forward(backend, first.layer), backward(backend, first.layer, need_dx=True)
    caches = [go(at["params"], at["x"], at["key"])[1] for at in ats]
    go(ats[0]["params"], ats[1]["x"], None)  # an evaluation between forward and backward
    for at, cache, expected in zip(ats, caches, alone, strict=True):
        assert_same(fetch(backend, back(at["params"], cache, at["dy"])), expected)


def test_two_threads(row, backend):
    cases = [Case(*row, seed=seed) for seed in range(2)]
    expected = [fetch(backend, c.run(backend)) for c in cases]
    go, back = forward(backend, cases[0].layer), backward(backend, cases[0].layer, need_dx=True)
    wrong = []

    def work(case, wanted):
        try:
            for _ in range(3):
                at = case.on(backend)
                y, cache = go(at["params"], at["x"], at["key"])
                assert_same(fetch(backend, (y, cache, *back(at["params"], cache, at["dy"]))), wanted)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=args) for args in zip(cases, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


@both
def test_a_batch_of_no_examples(case, backend, training):
    """It has an output and derivatives without rows, gradients of zero, and moves no running average."""
    at = case.on(backend, training=training)
    x, dy = (place(backend, a[:0]) for a in (case.x, case.dy))
    y, cache = forward(backend, case.layer)(at["params"], x, at["key"])
    assert tuple(y.shape) == (0, *case.output_shape)
    dx, grads = backward(backend, case.layer, need_dx=True)(at["params"], cache, dy)
    assert case.layer.integer_input or tuple(dx.shape) == x.shape
    assert_same(fetch(backend, grads), tree.map(np.zeros_like, case.layer.trainable(case.params)))
    assert_same(fetch(backend, case.layer.update_buffers(at["params"], cache)), fetch(backend, at["params"]))


@pytest.mark.parametrize("count", [1, 5])
def test_output_shape_equals_that_of_init(case, backend, count):
    x = np.resize(case.x, (count, *case.shape))
    for seed in (key(), None):
        y, _ = case.layer.forward(place(backend, case.params), place(backend, x), key=place(backend, seed))
        assert tuple(y.shape) == (count, *case.output_shape)


def test_init_is_a_function_of_the_seed(row):
    layer, shape = row[:2]
    first, second = (layer.init(np.random.default_rng(3), shape) for _ in range(2))
    assert_same(first[0], second[0])
    assert all(type(a) is np.ndarray for a in tree.leaves(first[0]))
    assert first[1] == second[1] and isinstance(first[1], tuple)


def test_is_a_value(row):
    layer = row[0]
    again = eval(repr(layer), PUBLIC)
    assert again == layer and hash(again) == hash(layer) and repr(again) == repr(layer)
    assert layer != Ellipsis
    with pytest.raises(AttributeError):
        layer.anything = 1


def test_config_round_trip(row):
    layer = row[0]
    assert from_config(json.loads(json.dumps(to_config(layer)))) == layer

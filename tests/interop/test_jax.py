"""`anynet.interop.jax.function` against JAX's own differentiation of the layers' forward pass."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from anynet import (
    SGD,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    HalfSquaredError,
    Identity,
    Model,
    Parallel,
    Rescale,
    Sequential,
    Tanh,
    tree,
)
from anynet.interop.jax import function
from anynet.random import make_key, next_key
from tests.layers.cases import LAYERS
from tests.layers.test_contract import Case, both
from tests.tools import assert_close, assert_same

NETWORK = Sequential([Dense(5), BatchNorm(), Tanh(), Dropout(0.3), Dense(2)])


def placed(values):
    return tree.map(jnp.asarray, values)


def host(values):
    return tree.map(np.asarray, values)


def by_jax(layer):
    """Return the same function, differentiated by JAX."""
    return lambda params, x, key=None: layer.forward(params, x, key=key)[0]


@pytest.fixture
def case():
    return Case(NETWORK, (4,), count=6)


@both
@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def test_gradients_equal_those_of_jax(row, training):
    case = Case(*row)
    params, x, dy = placed((case.params, case.x, case.dy))
    key = jnp.asarray(make_key(1)) if training else None

    def gradients(f):
        def loss(params, x):
            return jnp.sum(f(params, x, key) * dy)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), allow_int=True))(params, x)

    value, (grads, dx) = gradients(function(case.layer))
    expected_value, (expected, expected_dx) = gradients(by_jax(case.layer))
    assert abs(value - expected_value) <= 1e-12 * max(1.0, abs(expected_value))
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    trained = case.layer.trainable(params)
    assert_close(*(host(tree.map(lambda a, g: g, trained, g)) for g in (grads, expected)), rtol=1e-9, atol=1e-12)
    if case.layer.integer_input:
        assert dx.dtype == jax.dtypes.float0
    else:
        assert_close(host(dx), host(expected_dx), rtol=1e-9, atol=1e-12)
    rest = {path for path, _ in tree.leaves_with_paths(params)} - {path for path, _ in tree.leaves_with_paths(trained)}
    assert all(not np.any(tree.get(grads, path)) for path in rest)


def loss_of(f, key=None):
    return lambda params, x: jnp.sum(jnp.sin(f(params, x, key)))


def test_vmap_of_grad_gives_the_gradient_of_each_example(case):
    params, x = placed((case.params, case.x))
    loss = loss_of(function(NETWORK))
    found = jax.vmap(jax.grad(loss), (None, 0))(params, x[:, None])
    expected = [jax.grad(loss)(params, x[i : i + 1]) for i in range(len(x))]
    assert_close(host(found), host(tree.map(lambda *a: jnp.stack(a), *expected)), rtol=1e-12, atol=1e-15)


def test_vmap_over_parameters_is_an_ensemble(case):
    x, keys = jnp.asarray(case.x), jnp.asarray([make_key(n) for n in range(3)])
    members = [placed(Case(NETWORK, (4,), seed=seed).params) for seed in range(3)]
    params = tree.map(lambda *a: jnp.stack(a), *members)
    f = function(NETWORK, buffers=True)
    y, moved = jax.vmap(f, (0, None, 0))(params, x, keys)
    for n, member in enumerate(members):
        expected = f(member, x, keys[n])
        assert_close(host((y[n], tree.map(lambda a: a[n], moved))), host(expected), rtol=1e-12)  # noqa: B023


def test_a_loop_of_scan_equals_a_model(case):
    """Dropout masks and running statistics included."""
    settings = {"input_shape": 4, "loss": HalfSquaredError(), "dtype": "float64", "backend": "jax", "seed": 3}
    model = Model(NETWORK, optimizer=SGD(0.1), **settings)
    params, _, key = model.state
    x, y = np.random.default_rng(0).normal(size=(5, 8, 4)), np.random.default_rng(1).normal(size=(5, 8, 2))
    f = function(NETWORK, buffers=True)

    def step(carry, batch):
        params, key = carry

        def loss(params):
            y, moved = f(params, batch[0], key)
            return jnp.sum(0.5 * (y - batch[1]) ** 2) / len(y), moved

        (value, moved), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, moved, grads), next_key(key)), value

    (params, key), losses = jax.jit(lambda carry: jax.lax.scan(step, carry, (x, y)))((params, key))
    expected = [float(model.train_step(*batch)) for batch in zip(x, y, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    assert_close(host(params), host(model.params), rtol=1e-12)
    assert_same(host(key), host(model.state.key))


def test_buffers_have_no_derivative_but_other_parameters_keep_theirs(case):
    params, x = placed((case.params, case.x))
    key = jnp.asarray(make_key(0))
    f, plain = function(NETWORK, buffers=True), function(NETWORK)

    def twice(f, params):
        y, moved = f(params, x, key)
        return jnp.sum(jnp.sin(y)) + jnp.sum(jnp.cos(f(moved, x, key)[0])) + jnp.sum(moved[1]["running_mean"])

    found = jax.grad(lambda p: twice(f, p))(params)
    expected = jax.grad(lambda p: jnp.sum(jnp.sin(plain(p, x, key)) + jnp.cos(plain(p, x, key))))(params)
    assert_close(host(found), host(expected), rtol=1e-12)
    y, same = f(params, x)
    assert_same(host((y, same)), host((plain(params, x), params)))


def test_remat(case):
    params, x = placed((case.params, case.x))
    key = jnp.asarray(make_key(0))
    f = function(NETWORK)
    found = jax.grad(loss_of(jax.checkpoint(f), key), argnums=(0, 1))(params, x)
    assert_close(host(found), host(jax.grad(loss_of(f, key), argnums=(0, 1))(params, x)), rtol=1e-12)


def test_second_derivatives_equal_those_of_jax():
    layer = Sequential([Dense(3), Tanh(), Dense(1)])
    params, x = placed((Case(layer, (4,)).params, Case(layer, (4,)).x))

    def forward_over_reverse(f):
        return jax.jacfwd(jax.grad(loss_of(f), argnums=1), argnums=(0, 1))(params, x)

    def reverse_over_reverse(f):
        return jax.grad(lambda p: jnp.sum(jax.grad(loss_of(f))(p, x)[0]["weight"] ** 2))(params)

    for second in (forward_over_reverse, reverse_over_reverse):
        assert_close(host(second(function(layer))), host(second(by_jax(layer))), rtol=1e-9, atol=1e-12)


FORWARD_MODES = {
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "linearize": lambda f, x: jax.linearize(f, x)[1](x),
    "jacfwd": lambda f, x: jax.jacfwd(f)(x),
}


@pytest.mark.parametrize("mode", FORWARD_MODES)
def test_forward_mode_raises(case, mode):
    params = placed(case.params)
    with pytest.raises(TypeError, match="custom_vjp"):
        FORWARD_MODES[mode](lambda x: function(NETWORK)(params, x), jnp.asarray(case.x))


def test_several_inputs_and_outputs_one_of_integers():
    layer = Sequential(
        [Parallel([Embedding(5, 3), Dense(3)], combine=None), Parallel([Tanh(), Identity()], combine=None)]
    )
    params = placed(layer.init(np.random.default_rng(0), ((), (2,)))[0])
    x = jnp.asarray([1, 4, 1]), jnp.asarray(np.random.default_rng(1).normal(size=(3, 2)))

    def loss(f):
        def of(params, x):
            a, b = f(params, x)
            return jnp.sum(a * b)

        return jax.grad(of, argnums=(0, 1), allow_int=True)(params, x)

    (grads, (none, dx)), (expected, (_, expected_dx)) = loss(function(layer)), loss(by_jax(layer))
    assert none.dtype == jax.dtypes.float0 and none.shape == (3,)
    assert_close(host((grads, dx)), host((expected, expected_dx)), rtol=1e-12)


def test_bytes_as_input():
    layer = Sequential([Rescale(1 / 255), Dense(2)])
    params, f = placed(layer.init(np.random.default_rng(0), (3,))[0]), function(layer)
    y = f(params, np.full((1, 3), 255, np.uint8))
    np.testing.assert_allclose(y[0], params[1]["weight"].sum(0), rtol=1e-6)
    assert jax.grad(lambda p: f(p, np.ones((1, 3), np.uint8)).sum())(params)[1]["bias"].tolist() == [1.0, 1.0]


def test_keys_of_jax_are_keys():
    f = function(Dropout(0.5))
    x = jnp.ones((4, 50))
    words = jax.random.key_data(jax.random.key(5))
    expected = f({}, x, np.asarray(words).view(np.int32))
    for key in (jax.random.key(5), jax.random.PRNGKey(5), np.asarray(words)):
        assert_same(host(f({}, x, key)), host(expected))
        assert_same(host(jax.jit(f)({}, x, key)), host(expected))
    assert not np.array_equal(f({}, x, jax.random.key(6)), expected)


@pytest.mark.parametrize(
    "key", [0, np.zeros(2), np.zeros(4, np.int32), jnp.zeros((1, 2), jnp.int32), np.zeros(2, np.int64)]
)
def test_other_keys_raise(key):
    with pytest.raises(TypeError, match="expected a key of two 32-bit words"):
        function(Dropout(0.5))({}, jnp.ones((4, 5)), key)


def test_parameters_of_numpy_keep_their_dtype():
    params, _ = Dense(2).init(np.random.default_rng(0), (3,))
    for dtype in (np.float32, np.float64):
        assert function(Dense(2))(tree.map(dtype, params), np.ones((1, 3), dtype)).dtype == dtype


@pytest.mark.parametrize("layers", [[Dense], [lambda x: x], 3])
def test_something_else_than_layers_raises(layers):
    with pytest.raises(TypeError):
        function(layers)


def test_wrong_shapes_raise_the_error_of_the_layer(case):
    with pytest.raises(ValueError, match=r"layer 0: Dense: expected x of shape \(N, ..., 4\), got \(6, 3\)"):
        jax.jit(function(NETWORK))(placed(case.params), jnp.ones((6, 3)))


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Mesh
from anynet import BatchNorm, Dense, Dropout, Sequential
from anynet.interop.jax import function
from anynet.random import make_key
assert len(jax.devices()) == 2
network = Sequential([Dense(5), BatchNorm(), Dropout(0.3), Dense(2)])
params = jax.tree.map(jnp.float32, network.init(np.random.default_rng(0), (4,))[0])
x = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
f = function(network)
gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(jnp.sin(f(p, x, make_key(0))))))
expected = gradient(params, x)
mesh = Mesh(np.array(jax.devices()), ("batch",))
found = gradient(params, jax.device_put(x, NamedSharding(mesh, PartitionSpec("batch"))))
print(max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected))))
"""


def test_a_batch_on_several_devices(monkeypatch):
    """The batch is split; statistics and masks are those of the whole."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = subprocess.run([sys.executable, "-W", "error", "-c", SHARDED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-5

"""What a backend promises: names, transfers, and the ways in which it may go faster."""

import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest

from anynet import Adam, Dense, Model, ReLU, Sequential, backends, tree
from anynet.arrays.blas import openblas
from anynet.backends import available, get, of, to_numpy
from anynet.backends.numpy import NumpyBackend
from anynet.optimizers.base import out_of_place
from tests.tools import assert_close, assert_same, fetch

X = np.random.default_rng(0).normal(size=(6, 3))


def test_names():
    assert {"numpy", "strict"} <= set(available()) <= set(backends.NAMES)
    assert get("numpy:cpu").name == "numpy:cpu" or get("numpy:cpu").name == "numpy"
    assert get("strict", "device1").name == get("strict:device1").name == "strict:device1"


def test_a_backend_is_taken_as_it_is(backend):
    assert get(backend) is backend
    with pytest.raises(ValueError, match="device: expected None with a Backend object, got 'cpu'"):
        get(backend, "cpu")


def test_unknown_backend_and_two_devices():
    with pytest.raises(
        ValueError, match="backend: expected one of 'numpy', 'cupy', 'torch', 'jax', 'strict', got 'tensorflow'"
    ):
        Model([Dense(1)], input_shape=1, backend="tensorflow")
    with pytest.raises(TypeError, match="backend: expected a name or a Backend, got 3"):
        Model([Dense(1)], input_shape=1, backend=3)
    with pytest.raises(
        ValueError, match="device: expected 'device1', as in backend='strict:device1', or None, got 'device2'"
    ):
        Model([Dense(1)], input_shape=1, backend="strict:device1", device="device2")


def test_a_name_leads_back(backend):
    again = get(backend.name)
    assert again.name == backend.name and again.device == backend.device
    assert of(backend.asarray(X)).device == backend.device
    assert repr(backend) == f"<Backend {backend.name}>"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_there_and_back(dtype, backend):
    x = (np.abs(X) * 10).astype(dtype)
    assert_same(np.asarray(backend.to_numpy(backend.asarray(x))), x)
    assert_same(np.asarray(to_numpy(backend.asarray(x))), x)
    for odd in (x[::-1], x[:, ::2], x.T, np.asfortranarray(x), x[:0], x[0, 0]):
        assert_same(np.asarray(backend.to_numpy(backend.asarray(odd))), np.asarray(odd))


def test_a_copy_is_ones_own(backend):
    for original in (X.copy(), backend.asarray(X.copy())):
        before = np.array(to_numpy(original))
        copy = backend.asarray(original, copy=True)
        copy *= 2.0  # rebinds where arrays cannot change
        assert_same(np.array(to_numpy(original)), before)


def test_dtypes(backend):
    assert backend.asarray(X, backend.dtype("float32")).dtype == backend.dtype("float32")
    assert backend.asarray(backend.asarray(X), backend.dtype("float32")).dtype == backend.dtype("float32")
    for bad in ("float16", "double", None, 32):
        with pytest.raises(ValueError, match="dtype: expected one of 'float32', 'float64', got"):
            backend.dtype(bad)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sign_of_zero_is_zero_and_of_nan_is_nan(dtype, backend):
    x = np.array([-np.inf, -2.0, -0.0, 0.0, 3.0, np.inf, np.nan], dtype)
    for part in (x, x[::2], x[:0], x[-1]):
        found = backend.xp.sign(backend.asarray(part))
        assert found.dtype == backend.dtype(dtype)
        np.testing.assert_array_equal(backend.to_numpy(found), np.sign(part))


def test_synchronize_waits_without_a_word(backend):
    assert backend.synchronize() is None


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_a_copy_lies_in_the_order_of_its_axes(dtype, backend):
    """In-place update rules flatten what they own; flattening anything else makes another copy."""
    wide = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 3, 5)))
    placed = backend.asarray(wide.T.copy())
    axes = (2, 1, 0)
    for original in (wide, wide[::-1, :, ::2], backend.xp.permute_dims(placed, axes), wide[0, 0, :1], np.array(2.5)):
        copy = backend.asarray(original, backend.dtype(dtype) if dtype else None, copy=True)
        np.testing.assert_allclose(backend.to_numpy(copy), to_numpy(original), rtol=1e-6)
        assert backend.to_numpy(copy).shape == to_numpy(original).shape
        assert backend.to_numpy(copy).flags.c_contiguous


@pytest.mark.parametrize("shape", [(3,), (5, 7), (200, 300), (70_001,), (3, 40, 500)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_runner_of_rules_takes_every_shape(shape, dtype, backend):
    """Tiles, their rests, compilers and plain functions come to the same."""
    rng = np.random.default_rng(0)
    host = {"p": rng.normal(size=shape), "q": rng.normal(size=(2, 2))}
    grads = tree.map(lambda a: rng.normal(size=a.shape), host)
    optimizer, found = Adam(0.1), []
    for which, elementwise in ((backend, backend.elementwise), (get("numpy"), out_of_place)):

        def place(values, which=which):
            return tree.map(lambda a: which.asarray(a, which.dtype(dtype), copy=True), values)

        params = place(host)
        state = optimizer.init(params)
        for _ in range(3):
            params, state = optimizer.update(params, place(grads), state, elementwise)
        found.append(fetch(which, (params, state)))
    assert_close(found[0], found[1], rtol=1e-6 if dtype == "float32" else 1e-13)


def test_bad_devices():
    with pytest.raises(ValueError, match=r"backend 'strict': expected .*device.*, got 'device9'"):
        get("strict:device9")
    with pytest.raises(ValueError, match=r"backend 'numpy': expected .*'cpu', got 'cuda'"):
        get("numpy", "cuda")
    pytest.importorskip("jax", reason="needs jax")
    with pytest.raises(ValueError, match=r"backend 'jax': expected .*'cpu:0'.*, got 'cpu:7'"):
        get("jax:cpu:7")


@pytest.mark.parametrize("threads", [2.0, "2", True])
def test_threads_of_a_wrong_type_are_refused(threads):
    with pytest.raises(TypeError, match="NumpyBackend: threads: expected an int or None, got"):
        NumpyBackend(threads=threads)


def test_at_least_one_thread_is_needed():
    with pytest.raises(ValueError, match=r"threads: expected a number in \[1, inf\), got 0"):
        NumpyBackend(threads=0)


def test_threads_can_be_set_only_for_openblas(monkeypatch):
    monkeypatch.setattr("anynet.backends.numpy.openblas", lambda: None)
    assert NumpyBackend().options["threads"] is None
    with pytest.raises(ValueError, match=r"threads: expected None, because NumPy's BLAS .* got 2; set an environment"):
        NumpyBackend(threads=2)


@pytest.mark.skipif(openblas() is None, reason="needs NumPy with OpenBLAS's own threads")
def test_threads_are_pickled():
    assert pickle.loads(pickle.dumps(NumpyBackend(threads=3))).options["threads"] == 3


def test_layers_and_optimisers_can_be_pickled_by_who_wants_to():
    """They are values; a pool of processes may send them."""
    for value in (Adam(0.1), Sequential([Dense(3), ReLU()])):
        assert pickle.loads(pickle.dumps(value)) == value


PAGES = """
import resource

import numpy as np

from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
from anynet.arrays import background

layers = [Dense(512), ReLU(), Dense(512), ReLU(), Dense(10)]
model = Model(layers, input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam())
rng = np.random.default_rng(0)
x, y = rng.normal(size=(128, 784)).astype("float32"), rng.integers(0, 10, 128)
for _ in range(100):
    model.train_step(x, y)
background.wait()  # the compiler needs memory
for _ in range(5):
    model.train_step(x, y)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    model.train_step(x, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_a_step_asks_the_system_for_no_memory():
    """Before, each step paid for 1 300 pages anew."""
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10

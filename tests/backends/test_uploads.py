"""Copies of data to a GPU: cast on the host, and none for arrays that are already there."""

import numpy as np
import pytest

from anynet import Adam, Dense, Model, SoftmaxCrossEntropy
from anynet.arrays.convert import is_on_gpu
from anynet.backends import cupy as cupy_backend
from anynet.data.convert import as_inputs
from tests.conftest import KINDS

on_cupy = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))


class GpuArray:
    """An array of another library on a GPU, with DLPack but no conversion to NumPy."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


def test_arrays_on_the_host_are_not_on_a_gpu():
    assert not is_on_gpu(np.ones(3)) and not is_on_gpu([1, 2]) and not is_on_gpu(None)


def test_an_array_that_cannot_be_shared_is_not_on_a_gpu():
    class Sparse:
        def __dlpack_device__(self):
            raise BufferError("no strides")

    assert not is_on_gpu(Sparse()) and not is_on_gpu(type(np.ones(3)))


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "bool", "float32", "uint8"])
def test_inputs_on_the_host_have_the_dtype_of_the_model_before_they_are_moved(dtype, backend, monkeypatch):
    moved, asarray = [], backend.asarray
    monkeypatch.setattr(backend, "asarray", lambda x, dtype=None, **options: moved.append(dtype) or asarray(x, dtype))
    x = as_inputs(
        backend, "fit", np.arange(6).reshape(2, 3).astype(dtype), (3,), backend.dtype("float32"), integers=False
    )
    assert moved == [None if dtype == "uint8" else backend.dtype("float32")]
    assert x.dtype == (backend.xp.uint8 if dtype == "uint8" else backend.dtype("float32"))


@on_cupy
@pytest.mark.parametrize("limit", [0, 2**30])
def test_float64_is_cast_before_the_upload(limit, backend, monkeypatch):
    """Neither the device nor pinned memory holds more than the array in float32."""
    import cupy

    fakegpu = pytest.importorskip("fakegpu", reason="only an emulated GPU counts bytes")
    monkeypatch.setattr(cupy_backend, "MAX_PINNED_BYTES", limit)
    x = np.random.default_rng(0).normal(size=(1024, 256))
    with backend.activate():
        pool, pinned = cupy.get_default_memory_pool(), cupy.get_default_pinned_memory_pool()
        pool.free_all_blocks()
        pinned.free_all_blocks()
        held, before = pool.total_bytes(), fakegpu.counters()
        placed = as_inputs(backend, "fit", x, (256,), backend.dtype("float32"), integers=False)
        assert fakegpu.counters()["h2d_bytes"] - before["h2d_bytes"] == x.nbytes // 2
        assert pool.total_bytes() - held == x.nbytes // 2
        assert limit > 0 or pinned.n_free_blocks() == 0
    np.testing.assert_array_equal(backend.to_numpy(placed), x.astype(np.float32))


@on_cupy
@pytest.mark.parametrize("copy", [None, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_of_another_library_on_the_gpu_does_not_pass_the_host(copy, dtype, backend):
    fakegpu = pytest.importorskip("fakegpu", reason="only an emulated GPU counts copies")
    x = backend.asarray(np.arange(6.0).reshape(2, 3))
    before = fakegpu.counters()
    placed = backend.asarray(GpuArray(x), backend.dtype(dtype), copy=copy)
    after = fakegpu.counters()
    assert (after["d2h"], after["h2d"]) == (before["d2h"], before["h2d"])
    assert (placed.data.ptr == x.data.ptr) == (dtype == "float64" and copy is None)
    np.testing.assert_array_equal(backend.to_numpy(placed), np.arange(6.0).reshape(2, 3))


@on_cupy
def test_training_on_arrays_of_another_library_on_the_gpu(backend):
    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.arange(8) % 2

    def loss(x, y):
        model = Model([Dense(2)], input_shape=3, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend)
        return model.fit(x, y, epochs=2)["loss"]

    assert loss(GpuArray(backend.asarray(x)), GpuArray(backend.asarray(y))) == loss(x, y)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_other_libraries_take_an_array_on_the_gpu_by_dlpack(library, monkeypatch):
    """Without a GPU, the library's `from_dlpack` and the device of its backend are stand-ins."""
    module = pytest.importorskip(library)
    from anynet import backends

    backend, taken = backends.get(library), []
    device = "device" if library == "torch" else "_first"

    class OnGpu:
        def __dlpack_device__(self):
            return (2, 0)

    class Device:
        type, platform = "cuda", "gpu"

    def from_dlpack(x):
        taken.append(x)
        monkeypatch.setattr(backend, device, real)
        return backend.xp.ones(3)

    real, x = getattr(backend, device), OnGpu()
    monkeypatch.setattr(backend, device, Device)
    monkeypatch.setattr(module if library == "torch" else module.dlpack, "from_dlpack", from_dlpack)
    assert backend.to_numpy(backend.asarray(x)).tolist() == [1, 1, 1] and taken == [x]

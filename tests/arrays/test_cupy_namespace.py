"""Functions of CuPy's namespace that this project replaces, against NumPy's."""

import numpy as np
import pytest

from anynet.arrays.cupy_products import replaced_by
from tests.conftest import KINDS

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_take_along_axis(axis, layout, dtype, backend):
    rng = np.random.default_rng(0)
    x = (100 * rng.normal(size=(4, 6, 5))).astype(dtype)
    place = {"contiguous": lambda a: a, "strided": lambda a: a[::2, 1::2, ::-1], "transposed": lambda a: a.T}[layout]
    shape = list(place(x).shape)
    shape[axis] = 3
    index = rng.integers(-place(x).shape[axis], place(x).shape[axis], shape)
    with backend.activate():
        actual = backend.xp.take_along_axis(place(backend.asarray(x)), backend.asarray(index), axis=axis)
    np.testing.assert_array_equal(backend.to_numpy(actual), np.take_along_axis(place(x), index, axis))
    assert actual.dtype == dtype


def test_take_along_axis_broadcasts(backend):
    x, index = np.arange(12.0).reshape(3, 4), np.array([[2], [0]])
    with backend.activate():
        actual = backend.xp.take_along_axis(backend.asarray(x), backend.asarray(index.T), axis=1)
        np.testing.assert_array_equal(backend.to_numpy(actual), x[:, [2, 0]])


@pytest.mark.parametrize(
    "values", [[0.1, 2], (3,), np.arange(6.0).reshape(2, 3)[:, ::2], np.ones((20, 20)), []], ids=str
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_asarray_of_numbers_of_the_host(values, dtype, backend):
    with backend.activate():
        actual = backend.xp.asarray(values, dtype=getattr(np, dtype), device=backend.device)
    assert actual.dtype == dtype and actual.device == backend.device
    np.testing.assert_array_equal(backend.to_numpy(actual), np.asarray(values, dtype))


def test_a_few_numbers_need_no_upload(backend):
    fakegpu = pytest.importorskip("fakegpu", reason="only an emulated GPU counts uploads")
    with backend.activate():
        before = fakegpu.counters()["h2d"]
        backend.xp.asarray((0.5, 2.0, 1.0), dtype=np.float32, device=backend.device)
        assert fakegpu.counters()["h2d"] == before


@pytest.mark.parametrize("layout", ["contiguous", "columns of one matrix"])
def test_a_matrix_times_a_stack_is_one_plain_product(layout, backend):
    """A graph cannot record others; the matrices of a stack may be columns of one, which is then not copied."""
    rng = np.random.default_rng(0)
    x, whole = rng.normal(size=(5, 3)), rng.normal(size=(3, 8))
    with backend.activate():
        columns = backend.asarray(whole)
        stack = columns.reshape(3, 4, 2).swapaxes(0, 1)
        given = stack if layout != "contiguous" else stack.copy()
        products = []
        with replaced_by(lambda a, b: products.append((a.shape, b.shape, b.data.ptr)) or a @ b):
            actual = backend.xp.matmul(backend.asarray(x), given)
    assert [shapes for *shapes, _ in products] == [[(5, 3), (3, 8)]]
    assert (products[0][2] == columns.data.ptr) == (layout != "contiguous")
    np.testing.assert_allclose(backend.to_numpy(actual), x @ whole.reshape(3, 4, 2).swapaxes(0, 1), rtol=1e-12)

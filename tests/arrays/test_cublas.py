"""Products by direct calls of cuBLAS have the bits of CuPy's."""

import numpy as np
import pytest

from anynet.arrays import cupy_products
from tests.conftest import KINDS

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))

LAYOUTS = {
    "rows": lambda a: a,
    "columns": lambda a: a.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    "strided": lambda a: a.repeat(2, axis=-1)[..., ::2],
}


@pytest.fixture
def blas(backend):
    """Return cuBLAS, bound to a stream of its own."""
    import cupy

    from anynet.arrays.cublas import Cublas

    found = Cublas()
    stream, workspace = cupy.cuda.Stream(non_blocking=True), cupy.empty(found.workspace_bytes, "uint8")
    found.bind(stream, workspace)
    yield found
    stream.synchronize()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layouts", [(a, b) for a in LAYOUTS for b in LAYOUTS], ids="-".join)
@pytest.mark.parametrize(
    "shapes",
    [((5, 3), (3, 4)), ((1, 3), (3, 4)), ((5, 3), (3, 1)), ((5, 1), (1, 4)), ((1, 3), (3, 1)), ((3, 5, 2), (3, 2, 4))],
    ids=str,
)
def test_products(shapes, layouts, dtype, backend, blas):
    rng = np.random.default_rng(0)
    a, b = (
        LAYOUTS[layout](backend.asarray(rng.normal(size=shape).astype(dtype)))
        for shape, layout in zip(shapes, layouts, strict=True)
    )
    actual, expected = backend.to_numpy(blas.matmul(a, b)), backend.to_numpy(a @ b)
    assert actual.dtype == expected.dtype and actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shapes", [((0, 3), (3, 4)), ((5, 0), (0, 4)), ((3,), (3,))], ids=str)
def test_products_that_need_no_call(shapes, backend, blas):
    a, b = (backend.asarray(np.ones(shape, np.float32)) for shape in shapes)
    np.testing.assert_array_equal(backend.to_numpy(blas.matmul(a, b)), backend.to_numpy(a @ b))


@pytest.mark.parametrize("compute_type", [2, 7])
def test_the_precision_that_is_set_in_cupy(compute_type, backend, blas, monkeypatch):
    """Compute types 2 and 7 are CuPy's for full and for TF32 precision."""
    from cupy._core import get_compute_type, set_compute_type
    from cupy.cuda import cublas

    before, calls = get_compute_type("float32"), []
    monkeypatch.setitem(blas._functions, "cublasGemmEx", lambda *arguments: calls.append(arguments[-2]) or 0)
    set_compute_type("float32", compute_type)
    try:
        blas.matmul(*[backend.asarray(np.ones((2, 2), np.float32))] * 2)
    finally:
        set_compute_type("float32", before)
    assert calls == [cublas.CUBLAS_COMPUTE_32F_PEDANTIC if compute_type == 2 else cublas.CUBLAS_COMPUTE_32F_FAST_TF32]


def test_a_call_that_fails(backend, blas):
    from anynet.arrays.cublas import CublasError

    blas._functions["cublasGemmEx"] = lambda *arguments: 13
    with pytest.raises(CublasError, match="cublasGemmEx returned status 13"):
        blas.matmul(*[backend.asarray(np.ones((2, 2), np.float32))] * 2)


def test_the_products_of_the_namespace_can_be_replaced(backend):
    x = backend.asarray(np.ones((2, 2), np.float32))
    with cupy_products.replaced_by(lambda a, b: "replaced"):
        assert backend.xp.matmul(x, x) == "replaced"
    assert backend.xp.matmul(x, x).shape == (2, 2)

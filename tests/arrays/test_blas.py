"""Find NumPy's OpenBLAS through its extension, and compare with the library that threadpoolctl finds."""

import ctypes

import numpy as np
import pytest

from anynet.arrays import blas

pytestmark = pytest.mark.skipif(blas.openblas() is None, reason="needs NumPy with OpenBLAS's own threads")


def addresses(found):
    return [ctypes.cast(function, ctypes.c_void_p).value for function in (found.get_threads, found.set_threads)]


def test_the_library_is_the_one_that_threadpoolctl_finds():
    loaded = blas.loaded_blas()
    assert loaded["internal_api"] == "openblas" and loaded["threading_layer"] == "pthreads"
    assert addresses(blas.openblas()) == addresses(blas.OpenBlas(loaded["filepath"]))


@pytest.mark.parametrize("error", [ImportError, OSError, AttributeError])
def test_threadpoolctl_finds_the_library_where_the_extension_does_not_lead_to_it(error, monkeypatch):
    def fail(name):
        raise error(name)

    expected = addresses(blas.openblas())
    monkeypatch.setattr(blas, "import_module", fail)
    assert addresses(blas.openblas.__wrapped__()) == expected
    monkeypatch.setattr(blas, "loaded_blas", lambda: None)
    assert blas.openblas.__wrapped__() is None


def test_another_blas_is_not_controlled(monkeypatch):
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {"name": "mkl-sdl"}}})
    assert blas.openblas.__wrapped__() is None


def test_openmp_is_not_controlled(monkeypatch):
    class WithOpenMP(blas.OpenBlas):
        def __init__(self, path):
            super().__init__(path)
            self.has_own_threads = False

    monkeypatch.setattr(blas, "OpenBlas", WithOpenMP)
    assert blas.openblas.__wrapped__() is None

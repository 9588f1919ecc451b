"""Scatter-add against `np.add.at`, and what a namespace may bring."""

import numpy as np
import pytest

from anynet.arrays.scatter import scatter_add


@pytest.mark.parametrize("count", [0, 1, 7, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_added(backend, count, dtype):
    rng = np.random.default_rng(count)
    index, values = rng.integers(0, 9, count), rng.normal(size=(count, 3)).astype(dtype)
    expected = np.zeros((9, 3), dtype)
    np.add.at(expected, index, values)
    actual = backend.to_numpy(scatter_add(backend.asarray(index), backend.asarray(values), 9))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_no_argument_changes(backend):
    index, values = backend.asarray(np.asarray([1, 1, 0])), backend.asarray(np.arange(6.0).reshape(3, 2))
    scatter_add(index, values, 4)
    np.testing.assert_array_equal(backend.to_numpy(index), [1, 1, 0])
    np.testing.assert_array_equal(backend.to_numpy(values), np.arange(6.0).reshape(3, 2))


def test_a_namespace_may_bring_its_own():
    class Namespace:
        @staticmethod
        def scatter_add(index, values, rows):
            return "its own", rows

    class Kind:
        def __array_namespace__(self, api_version=None):
            return Namespace

    assert scatter_add(Kind(), Kind(), 3) == ("its own", 3)

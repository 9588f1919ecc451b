"""Test orthogonalization of matrices, and of arrays of other shapes."""

import numpy as np
import pytest

from anynet import LBFGS, Muon
from anynet.optimizers.muon import orthogonalized
from tests.tools import fetch, place


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3), (1, 5)])
def test_singular_vectors_stay_and_values_come_near_one(shape, backend):
    u = np.random.default_rng(0).normal(size=shape)
    found = backend.to_numpy(orthogonalized(backend.asarray(u), 10))
    left, _, right = np.linalg.svd(u, full_matrices=False)
    inside = left.T @ found @ right.T
    np.testing.assert_allclose(inside - np.diag(np.diag(inside)), 0.0, atol=1e-10)
    assert np.diag(inside).min() > 0.6 and np.diag(inside).max() < 1.3


def test_a_kernel_is_a_matrix_with_a_column_for_each_unit(backend):
    rng = np.random.default_rng(0)
    kernel, g = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(3, 3, 2, 4))
    optimizer, ends = Muon(0.1), []
    for shape in ((3, 3, 2, 4), (18, 4)):
        params = place(backend, [kernel.reshape(shape)])
        new, _ = optimizer.update(params, place(backend, [g.reshape(shape)]), optimizer.init(params))
        ends.append(fetch(backend, new)[0].reshape(-1))
    np.testing.assert_array_equal(*ends)


def test_a_gradient_of_zero_moves_nothing(backend):
    params = place(backend, [np.ones((2, 3))])
    optimizer = Muon(0.1, weight_decay=0.0)
    new, _ = optimizer.update(params, place(backend, [np.zeros((2, 3))]), optimizer.init(params))
    np.testing.assert_array_equal(fetch(backend, new)[0], np.ones((2, 3)))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Muon(-1.0), ValueError),
        (lambda: Muon(momentum=1.0), ValueError),
        (lambda: Muon(iterations=0), ValueError),
        (lambda: Muon(otherwise=0.1), TypeError),
        (lambda: Muon(otherwise=LBFGS()), ValueError),
    ],
)
def test_bad_arguments_are_refused(make, error):
    with pytest.raises(error, match="Muon: expected"):
        make()

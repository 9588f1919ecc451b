from pathlib import Path

import numpy as np
import pytest

import anynet.datasets
from anynet.datasets import load_digits


@pytest.fixture(scope="module")
def everything():
    return load_digits(split=False)


def test_shapes_types_and_ranges(everything):
    x, y = everything
    assert x.shape == (1797, 64) and x.dtype == np.uint8 and (x.min(), x.max()) == (0, 16)
    assert y.shape == (1797,) and y.dtype == np.int64
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_split_is_the_first_1415_and_the_last_382(everything):
    (x_train, y_train), (x_test, y_test) = load_digits()
    assert x_train.shape == (1415, 64) and x_test.shape == (382, 64)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), everything[0], strict=True)
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), everything[1], strict=True)


def test_the_split_falls_between_two_forms(everything):
    # Each form starts with three times 0 to 9; the digit before is the last of the previous form.
    _, y = everything
    start = np.concatenate([np.tile(np.arange(10), 3), [0, 9, 5, 5, 6, 5, 0, 9, 8, 9]])
    assert [k for k in range(len(y) - 40) if (y[k : k + 40] == start).all()] == [
        0, 130, 256, 386, 516, 646, 776, 1029, 1157, 1287, 1415, 1667,
    ]  # fmt: skip


def test_the_nearest_neighbor_figure_of_the_docstring():
    (x_train, y_train), (x_test, y_test) = load_digits()
    a, b = x_test.astype(float), x_train.astype(float)
    distance = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    assert np.mean(y_train[distance.argmin(1)] == y_test) == pytest.approx(0.958, abs=0.0005)


def test_images_are_the_rows_reshaped(everything):
    images, y = load_digits(flatten=False, split=False)
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.flags.c_contiguous
    np.testing.assert_array_equal(images.reshape(-1, 64), everything[0])
    np.testing.assert_array_equal(y, everything[1])
    (x_train, _), (x_test, _) = load_digits(flatten=False)
    assert x_train.shape == (1415, 8, 8) and x_test.shape == (382, 8, 8)


def test_callers_may_modify_the_arrays(everything):
    x, y = load_digits(split=False)
    x[:], y[:] = 0, 0
    np.testing.assert_array_equal(load_digits(split=False)[0], everything[0])


def test_equal_to_scikit_learn(everything):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    np.testing.assert_array_equal(everything[0], theirs.data)
    np.testing.assert_array_equal(everything[1], theirs.target)


def test_origin_and_license_are_next_to_the_data():
    text = (Path(anynet.datasets.__file__).parent / "digits.idx.txt").read_text(encoding="utf-8")
    for needed in ["Alpaydin", "Kaynak", "1998", "10.24432/C50P49", "creativecommons.org/licenses/by/4.0", "Changes"]:
        assert needed in text

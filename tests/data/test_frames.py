"""Data frames of pandas and polars."""

import numpy as np
import pytest

from anynet import SGD, Dense, MeanSquaredError, Model

Y = np.arange(3.0)


def model(columns):
    return Model([Dense(1)], input_shape=columns, loss=MeanSquaredError(), optimizer=SGD(0.01))


def pandas():
    return pytest.importorskip("pandas")


def test_bool_beside_float():
    frame = pandas().DataFrame({"a": [1.0, 2.0, 3.0], "b": [True, False, True], "c": [1, 2, 3]})
    expected = model(3).predict(np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 2.0], [3.0, 1.0, 3.0]]))
    np.testing.assert_array_equal(model(3).predict(frame), expected)
    np.testing.assert_array_equal(model(3).predict(frame.convert_dtypes()), expected)
    assert np.isfinite(model(3).fit(frame, frame["a"], progress=False)["loss"][0])


def test_columns_that_are_not_numbers_are_named():
    frame = pandas().DataFrame({"a": [1.0, 2.0, 3.0], "city": ["x", "y", "z"], "day": pandas().Timestamp(0)})
    with pytest.raises(
        TypeError, match=r"fit: expected x .*2 of 3 columns are not numeric: 'city' \(.*\), 'day' \(date"
    ):
        model(3).fit(frame, Y)


def test_missing_values_are_named():
    frame = pandas().DataFrame({"a": [1.0, np.nan, np.nan], "b": [1, 2, 3], "c": [np.inf, 0.0, 0.0]})
    words = (
        r"fit: expected finite values in x, got NaN or infinity in 2 columns: 'a' \(2 rows\), 'c' \(1 row\); fill them"
    )
    for one in (frame, frame.convert_dtypes()):
        with pytest.raises(ValueError, match=words):
            model(3).fit(one, Y)


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.0, 2.0, None], "b": [True, False, True]})
    with pytest.raises(ValueError, match=r"in 1 column: 'a' \(1 row\)"):
        model(2).fit(frame, Y)
    with pytest.raises(TypeError, match=r"1 of 3 columns is not numeric: 'c' \(String\)"):
        model(3).fit(frame.with_columns(c=polars.lit("x")), Y)
    assert model(2).predict(frame.fill_null(0.0)).shape == (3, 1)


@pytest.mark.parametrize("dtype", ["object", "category", "string"])
def test_a_series_of_text_as_targets(dtype):
    labels = pandas().Series(["cat", "dog", "cat"], dtype=dtype)
    with pytest.raises(TypeError, match=rf"got Series of shape \(3,\) \(its dtype is {labels.dtype}\); number classes"):
        model(1).fit(np.ones((3, 1)), labels)
    assert np.unique(labels, return_inverse=True)[1].tolist() == [0, 1, 0]  # the remedy


def test_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    for make in (sparse.csr_matrix, sparse.coo_array):
        with pytest.raises(TypeError, match=r"got \w+ of shape \(3, 2\), which is sparse; write x.toarray\(\)"):
            model(2).fit(make(np.ones((3, 2))), Y)


def test_a_data_set_of_pytorch():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    pairs = data.TensorDataset(torch.ones(3, 1), torch.ones(3))
    with pytest.raises(ValueError, match=r"wrap it in a torch.utils.data.DataLoader"):
        model(1).fit(pairs)
    assert model(1).fit(data.DataLoader(pairs, batch_size=2)).epochs == 1

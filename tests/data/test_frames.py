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
        r"fit: expected finite values in x, got NaN or infinity in 2 columns: 'a' \(2 rows\), 'c' \(1 rows\); fill them"
    )
    for one in (frame, frame.convert_dtypes()):
        with pytest.raises(ValueError, match=words):
            model(3).fit(one, Y)


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.0, 2.0, None], "b": [True, False, True]})
    with pytest.raises(ValueError, match=r"in 1 columns: 'a' \(1 rows\)"):
        model(2).fit(frame, Y)
    with pytest.raises(TypeError, match=r"1 of 3 columns are not numeric: 'c' \(String\)"):
        model(3).fit(frame.with_columns(c=polars.lit("x")), Y)
    assert model(2).predict(frame.fill_null(0.0)).shape == (3, 1)

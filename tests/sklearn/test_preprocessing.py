"""`TablePreprocessor` against scikit-learn's transformers, and every kind of column and missing value."""

import datetime
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, QuantileTransformer, RobustScaler
from sklearn.utils.estimator_checks import check_estimator

from anynet import backends
from anynet.sklearn import TablePreprocessor

pandas = pytest.importorskip("pandas")


def table(rows=400, seed=0):
    """Return three columns of numbers and three of categories, with missing values."""
    rng = np.random.default_rng(seed)
    frame = pandas.DataFrame(
        {
            "age": rng.integers(18, 80, rows).astype(float),
            "color": rng.choice(["red", "green", "blue"], rows),
            "income": rng.lognormal(10, 1, rows),
            "rank": rng.choice(np.arange(5), rows),
            "plan": rng.choice(["basic", "plus"], rows),
            "city": rng.choice([f"city {i:02}" for i in range(30)], rows, p=np.arange(1, 31) / 465),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "income"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "color"] = None
    return frame


NUMBERS = ["age", "income", "rank"]
CLIP = FunctionTransformer(lambda s: s / np.sqrt(1 + (s / 3) ** 2))
ZERO = SimpleImputer(strategy="constant", fill_value=0.0)


def reference(scale, most=64):
    """Return the same transformation, made of scikit-learn's parts."""
    text = SimpleImputer(strategy="constant", fill_value="")
    missing = OneHotEncoder(categories=[["blue", "green", "red"]], handle_unknown="ignore", sparse_output=False)
    two = OneHotEncoder(drop="first", sparse_output=False)
    several = OneHotEncoder(max_categories=most, handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (scale, NUMBERS),
        (make_pipeline(MissingIndicator(features="all"), FunctionTransformer(lambda x: x.astype(float))), ["income"]),
        (make_pipeline(text, missing), ["color"]),
        (make_pipeline(two, FunctionTransformer(lambda x: 2 * x - 1)), ["plan"]),
        (several, ["city"]),
    )


@pytest.mark.parametrize("most", [64, 8])
def test_robust_scaling_equals_that_of_scikit_learn(most):
    frame, new = table(), table(50, seed=1)
    ours = TablePreprocessor(max_categories=most).fit(frame)
    theirs = reference(make_pipeline(RobustScaler(), CLIP, ZERO), most).fit(frame)
    for rows in (frame, new):
        np.testing.assert_allclose(ours.transform(rows), theirs.transform(rows), rtol=1e-12, atol=1e-14)
    assert len(ours.get_feature_names_out()) == theirs.transform(new).shape[1]


@pytest.mark.parametrize("rows", [50, 900])
def test_quantile_scaling_equals_that_of_scikit_learn(rows):
    frame, new = table(rows).drop(columns=["rank"]), table(50, seed=1).drop(columns=["rank"])
    quantiles = QuantileTransformer(n_quantiles=max(rows // 30, 10), output_distribution="normal")
    filled = make_pipeline(SimpleImputer(strategy="median"), quantiles.fit(frame[["age", "income"]].to_numpy()))
    expected = quantiles.transform(
        filled[0].fit(frame[["age", "income"]].to_numpy()).transform(new[["age", "income"]].to_numpy())
    )
    found = TablePreprocessor(scaling="quantile").fit(frame).transform(new)[:, :2]
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the quantiles here have noise
    assert np.abs(found).max() <= 5.2
    far = new.assign(age=1e9, income=-1e9)
    np.testing.assert_allclose(
        TablePreprocessor(scaling="quantile").fit(frame).transform(far)[0, :2], [5.2, -5.2], atol=1e-3
    )


def test_a_column_of_equal_quartiles_has_the_scale_of_its_range():
    x = np.array([0.0] * 9 + [4.0])[:, None]
    s = 4.0 / (0.5 * 4.0)
    np.testing.assert_allclose(TablePreprocessor().fit_transform(x)[-1, 0], s / np.sqrt(1 + (s / 3) ** 2))


@pytest.mark.parametrize("scaling", ["robust", "quantile"])
@pytest.mark.parametrize("value", [3.0, np.nan])
def test_a_constant_column_is_zero(scaling, value):
    x = np.stack([np.full(12, value), np.arange(12.0)], axis=1)
    preprocessor = TablePreprocessor(scaling=scaling).fit(x)
    new = preprocessor.transform([[7.0, 1.0], [np.nan, 1.0]])
    assert np.isfinite(new).all()
    assert new[:, 0].tolist() == [0.0, 0.0]
    assert preprocessor.get_feature_names_out().tolist() == [
        "x0",
        "x1",
        *(["x0 is missing"] if np.isnan(value) else []),
    ]
    if np.isnan(value):
        assert new[:, 2].tolist() == [0.0, 1.0]


MISSING = {"None": None, "NaN": np.nan, "pandas.NA": pandas.NA, "empty text": "", "NaT": pandas.NaT}


@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
def test_every_kind_of_missing_value(value):
    texts = pandas.Series(["a", "b", "c", value] * 5, dtype=object)
    numbers = pandas.Series([1, 2.5, 4, value] * 5, dtype=object)
    found = TablePreprocessor().fit_transform(pandas.DataFrame({"text": texts, "number": numbers}))
    expected = TablePreprocessor().fit_transform([["a", 1.0], ["b", 2.5], ["c", 4.0], [None, np.nan]] * 5)
    np.testing.assert_array_equal(found, expected)
    assert found[3].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_a_value_that_is_missing_or_unknown_only_later():
    frame = table().fillna({"income": 1.0, "color": "red"})
    preprocessor = TablePreprocessor().fit(frame)
    names = preprocessor.get_feature_names_out().tolist()
    row = preprocessor.transform(frame.iloc[:1].assign(income=None, color="black", plan=None, city=np.nan))
    assert row.shape == (1, len(names)) and "income is missing" not in names
    assert not row[0, 1] and not row[0, 3:].any()


def test_a_category_column_without_values_has_no_columns():
    frame = table().assign(empty=None)
    with_empty, without = (TablePreprocessor().fit(f) for f in (frame, frame.drop(columns="empty")))
    np.testing.assert_array_equal(with_empty.transform(frame), without.transform(frame.drop(columns="empty")))
    with pytest.raises(ValueError, match="expected a column with values"):
        TablePreprocessor().fit(frame[["empty"]])


def test_arrays_frames_and_lists_give_the_same_matrix(backend):
    frame = table().drop(columns=["color", "plan", "city"])
    expected = TablePreprocessor().fit_transform(frame)
    X = backend.asarray(frame.to_numpy())
    found = TablePreprocessor().fit_transform(X)
    assert type(found) is type(X)
    np.testing.assert_array_equal(backends.to_numpy(found), expected)


def test_polars_and_pandas_give_the_same_matrix():
    polars = pytest.importorskip("polars")
    frame = table()
    expected = TablePreprocessor().fit(frame)
    columns = {name: [None if pandas.isna(v) else v for v in frame[name].tolist()] for name in frame}
    theirs = polars.DataFrame(columns).with_columns(polars.col("city").cast(polars.Categorical), polars.col("rank"))
    found = TablePreprocessor().fit(theirs)
    np.testing.assert_array_equal(found.transform(theirs), expected.transform(frame))
    np.testing.assert_array_equal(found.transform(frame), expected.transform(theirs))
    nested = TablePreprocessor().fit(frame.to_numpy().tolist())
    np.testing.assert_array_equal(nested.transform(frame.to_numpy()), expected.transform(frame))


def test_data_types_decide_which_columns_are_categories():
    frame = pandas.DataFrame(
        {
            "float": [1.0, 2.0, 3.0],
            "integer": [1, 2, 3],
            "nullable": pandas.array([1, None, 3], dtype="Int64"),
            "objects": pandas.Series([1, 2, None], dtype=object),
            "flag": [True, False, True],
            "nullable flag": pandas.array([True, None, False], dtype="boolean"),
            "category": pandas.Categorical([3, 1, 2]),
            "text": ["a", "b", "c"],
            "mixed": pandas.Series(["a", 1, True], dtype=object),
        }
    )
    fitted = TablePreprocessor().fit(frame)
    assert fitted.numbers_ == [0, 1, 2, 3]
    assert fitted.incomplete_ == [2, 3]
    assert [kept for _, kept, _ in fitted.categories_] == [
        ["False", "True"],
        ["False", "True"],
        ["1", "2", "3"],
        ["a", "b", "c"],
        ["1", "True", "a"],
    ]


def test_given_categories():
    frame = table().drop(columns=["color", "plan", "city"])
    expected = TablePreprocessor(categorical_features=["rank"]).fit(frame)
    assert [kept for _, kept, _ in expected.categories_] == [["0", "1", "2", "3", "4"]]
    for given in ([2], [False, False, True], np.array([2])):
        fitted = TablePreprocessor(categorical_features=given).fit(frame)
        np.testing.assert_array_equal(fitted.transform(frame), expected.transform(frame))
    floats = frame.astype({"rank": float})  # as pandas reads integers with missing values
    np.testing.assert_array_equal(expected.transform(floats), expected.transform(frame))
    assert TablePreprocessor(categorical_features=None).fit(frame).numbers_ == [0, 1, 2]
    assert TablePreprocessor(categorical_features=[]).fit(frame).numbers_ == [0, 1, 2]
    for wrong in (["size"], [7], [-1], [True], [[0]]):
        with pytest.raises(ValueError, match="categorical_features"):
            TablePreprocessor(categorical_features=wrong).fit(frame)


def test_columns_are_found_by_name():
    frame = table()
    fitted = TablePreprocessor().fit(frame)
    np.testing.assert_array_equal(fitted.transform(frame[frame.columns[::-1]]), fitted.transform(frame))
    with pytest.warns(UserWarning, match=r"only the columns of fit in X, got also \['extra'\]"):
        np.testing.assert_array_equal(fitted.transform(frame.assign(extra=1.0)), fitted.transform(frame))
    with pytest.raises(ValueError, match="expected the columns of fit in X, got none of 'plan'"):
        fitted.transform(frame.drop(columns="plan"))
    with pytest.raises(ValueError, match="X has 2 features, but TablePreprocessor is expecting 6"):
        fitted.transform(np.zeros((3, 2)))


@pytest.mark.parametrize("dates", [pandas.date_range("2020", periods=400), [datetime.date(2020, 1, 1)] * 400])
def test_an_additional_column_of_dates_is_ignored(dates):
    frame = table()
    fitted = TablePreprocessor().fit(frame)
    with pytest.warns(UserWarning, match=r"only the columns of fit in X, got also \['day'\]; ignoring"):
        np.testing.assert_array_equal(fitted.transform(frame.assign(day=dates)), fitted.transform(frame))
    with pytest.raises(TypeError, match="column 'age' of X, got dates or durations"):
        fitted.transform(frame.assign(age=dates))


@pytest.mark.parametrize("wrong", [[[np.inf, "a"]], [[None, None]]], ids=["infinity", "nothing"])
def test_a_failed_refit_changes_nothing(wrong):
    frame = table()
    fitted = TablePreprocessor().fit(frame)
    before, expected = dict(vars(fitted)), fitted.transform(frame)
    with pytest.raises(ValueError):
        fitted.set_params(max_categories=3).fit(pandas.DataFrame(wrong, columns=["n", "c"]))
    assert vars(fitted) == {**before, "max_categories": 3}
    np.testing.assert_array_equal(fitted.transform(frame), expected)


def test_a_refit_forgets_names():
    fitted = TablePreprocessor().fit(table()).fit(np.arange(6.0).reshape(3, 2))
    assert not hasattr(fitted, "feature_names_in_") and fitted.n_features_in_ == 2


BAD = {
    "infinity": (
        pandas.DataFrame({"a": [1.0, np.inf]}),
        ValueError,
        "finite values or NaN in column 'a' of X, got inf in row 1",
    ),
    "text": (np.array([[1, "x"], [2, 3.0]], dtype=object), ValueError, "numbers in column 1 of X, got 'x' in row 0"),
    "dates": (pandas.DataFrame({"a": pandas.to_datetime(["2020-01-01"])}), TypeError, "column 'a' of X, got dates"),
    "date objects": ([[datetime.date(2020, 1, 1)]], TypeError, "column 0 of X, got dates"),
    "equal names": (
        pandas.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "a"]),
        ValueError,
        "different names of columns in X, got 'a' more than once; rename or drop",
    ),
    "sparse": (sparse.csr_matrix(np.eye(3)), TypeError, "sparse"),
    "one axis": (np.arange(3.0), ValueError, "2D array"),
    "complex": (np.full((2, 2), 1j), ValueError, "Complex data not supported"),
    "no rows": (pandas.DataFrame({"a": []}), ValueError, "minimum of 1 is required"),
    "no columns": (pandas.DataFrame(index=[0, 1]), ValueError, "minimum of 1 is required"),
}


@pytest.mark.parametrize(("data", "kind", "message"), BAD.values(), ids=BAD)
def test_bad_data(data, kind, message):
    with pytest.raises(kind, match=message):
        TablePreprocessor(categorical_features=None).fit(data)


def test_bad_later_data():
    fitted = TablePreprocessor().fit(table())
    with pytest.raises(ValueError, match="different names of columns in X, got 'age' more than once"):
        fitted.transform(pandas.concat([table(), table()[["age"]]], axis=1))
    with pytest.raises(ValueError, match="numbers in column 'age' of X, got 'old' in row 2; convert it"):
        fitted.transform(table().assign(age=[1, 2, "old"] + [3] * 397))


@pytest.mark.parametrize(
    "params", [{"scaling": "log"}, {"max_categories": 1}, {"categorical_features": "all"}], ids=str
)
def test_bad_parameters(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        TablePreprocessor(**params).fit([[1.0], [2.0]])


@pytest.mark.parametrize("scaling", ["robust", "quantile"])
def test_estimator_checks(scaling):
    results = check_estimator(TablePreprocessor(scaling=scaling), on_fail=None, on_skip=None)
    bad = [(r["check_name"], repr(r["exception"])) for r in results if r["status"] not in ("passed", "skipped")]
    assert not bad


def test_pickles_and_output_frames():
    frame = table()
    fitted = TablePreprocessor().fit(frame)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(frame), fitted.transform(frame))
    named = TablePreprocessor().set_output(transform="pandas").fit_transform(frame)
    assert named.columns.tolist() == fitted.get_feature_names_out().tolist()
    assert "city=city 29" in named and "plan=plus" in named and "income is missing" in named

"""Conversion of tables to matrices: indicators of categories and missing values, and scaled numbers.

Legend: N rows, F columns of the table, Q quantiles.
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from anynet import backends
from anynet.arrays.namespace import Array
from anynet.sklearn.rollback import unchanged_on_error
from anynet.sklearn.table import Table, as_numbers, as_text, read_table, without_dates

NOISE = 1e-5
"""Standard deviation of the noise, relative to that of the column, that separates equal values before their quantiles."""

LARGEST_SCORE = 5.2
"""Upper bound of the absolute value of a normal score, as in scikit-learn: that of a probability of 1e-7."""


class TablePreprocessor(TransformerMixin, BaseEstimator):
    """Convert a table with categories and missing values to a matrix of numbers.

    Parameters
    ----------
    scaling : {"robust", "quantile"}
        "robust" maps a number x to s / √(1 + (s/3)²) with s = (x − median) / (q₇₅ − q₂₅), which is between −3 and 3. Where the
        quartiles are equal, their difference is replaced by ½ (max − min), and a constant column becomes 0. "quantile" maps x
        to the normal score of its rank, by interpolation between max(min(N/30, 1000), 10) quantiles.
    categorical_features : "from_dtype", sequence of str, int or bool, or None
        Columns of categories, as names, indices or a mask; "from_dtype" are those whose data type is not a number (text, bool
        or pandas' category), and None are none.
    max_categories : int, in [2, inf)
        Maximum number of indicators per column; the rarest categories share the last one.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of the table.
    feature_names_in_ : array of str
        Names of the columns, if the table has names.
    n_numbers_ : int
        Number of columns of scaled numbers, which come first in the result.
    numbers_ : list of int
        Indices of the columns of numbers.
    centers_, scales_ : array (n_numbers,)
        Median, and divisor of the deviation from it.
    quantiles_ : array (n_numbers, Q)
        Quantiles of each column of numbers; Q is 0 for "robust".
    incomplete_ : list of int
        Indices of the columns of numbers with missing values in training.
    categories_ : list of (index, categories, rare categories)
        Text of the categories of each column of categories.

    Notes
    -----
    The result has the scaled numbers, one column of 0 and 1 for each number that had missing values in `fit`, and the
    categories: one column of 0 and 1 per category, or one column of −1 and 1 if there are two. A missing number is replaced
    by the median; a missing or unknown category is 0 in all its columns. Missing values are None, NaN, ``pandas.NA`` and
    the empty text. Categories of mixed types are compared as text.

    `transform` takes columns by name, ignores additional ones with a warning, and returns the same kind of array as X,
    NumPy's for a data frame. The computation takes place on the host in float64.

    Raises
    ------
    TypeError, ValueError
        If a number is infinite, or a column that should hold numbers holds text; the message names column and row.

    References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted trees on tabular data",
    section 3. Gorishniy, Kotelnikov, Babenko (2025), "TabM: Advancing tabular deep learning with parameter-efficient
    ensembling", appendix D.

    Examples
    --------
    >>> import numpy as np
    >>> table = [[1.0, "red"], [2.0, "blue"], [np.nan, "red"], [4.0, None]]
    >>> preprocessor = TablePreprocessor().fit(table)
    >>> preprocessor.get_feature_names_out().tolist()
    ['x0', 'x0 is missing', 'x1=red']
    >>> preprocessor.transform(table).round(2)
    array([[-0.65,  0.  ,  1.  ],
           [ 0.  ,  0.  , -1.  ],
           [ 0.  ,  1.  ,  1.  ],
           [ 1.22,  0.  ,  0.  ]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "scaling": [StrOptions({"robust", "quantile"})],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self, *, scaling: str = "robust", categorical_features: Any = "from_dtype", max_categories: int = 64
    ) -> None:
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.max_categories = max_categories

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn scales and categories.

        Parameters
        ----------
        X : data frame, array of any library or nested list, of shape (N, F)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        where = type(self).__name__
        table = without_dates(where, read_table(where, X))
        with unchanged_on_error(self):
            self._fit(where, table)
        return self

    def _fit(self, where: str, table: Table) -> None:
        self.n_features_in_ = len(table.columns)
        self.__dict__.pop("feature_names_in_", None)
        if table.names is not None:
            self.feature_names_in_ = np.array(table.names, dtype=object)
        categorical = self._categorical(where, table)
        self.numbers_ = [index for index in range(self.n_features_in_) if index not in categorical]
        numbers = [as_numbers(where, table, index) for index in self.numbers_]
        self.n_numbers_ = len(numbers)
        self.incomplete_ = [i for i, x in zip(self.numbers_, numbers, strict=True) if np.isnan(x).any()]
        ranges = [_center_and_scale(x[~np.isnan(x)]) for x in numbers]
        self.centers_, self.scales_ = np.array(ranges).reshape(len(numbers), 2).T
        levels = (
            np.linspace(0.0, 1.0, max(min(len(table.columns[0]) // 30, 1000), 10))
            if self.scaling == "quantile"
            else np.empty(0)
        )
        self.quantiles_ = np.array([_quantiles(x[~np.isnan(x)], levels) for x in numbers]).reshape(
            len(numbers), len(levels)
        )
        self.categories_ = [(i, *_frequent(as_text(table, i), self.max_categories)) for i in sorted(categorical)]
        if not len(self.get_feature_names_out()):
            raise ValueError(f"{where}: expected a column with values in X, got only missing categories")

    def transform(self, X: Any) -> Array:
        """Return the table as a matrix of numbers.

        Parameters
        ----------
        X : data frame, array of any library or nested list, with the columns of `fit`

        Returns
        -------
        array of shape (N, number of names of `get_feature_names_out`), in float64
        """
        check_is_fitted(self)
        where, kind = type(self).__name__, backends.of(X)
        table = without_dates(where, self._align(where, read_table(where, X)))
        numbers = [as_numbers(where, table, index) for index in self.numbers_]
        columns = [self._scaled(number, x) for number, x in enumerate(numbers)]
        columns += [np.isnan(x) for i, x in zip(self.numbers_, numbers, strict=True) if i in self.incomplete_]
        parts = [np.stack(columns, axis=1)] if columns else []
        parts += [_indicators(as_text(table, i), kept, rare) for i, kept, rare in self.categories_]
        return kind.asarray(np.concatenate(parts, axis=1, dtype=np.float64))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return names of the result's columns, such as "age", "age is missing" and "city=Oslo".

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns of the table, if it has none; "x0", "x1" etc. by default.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", input_features)
        names = [f"x{i}" for i in range(self.n_features_in_)] if names is None else list(names)
        if len(names) != self.n_features_in_:
            raise ValueError(
                f"input_features: expected {self.n_features_in_} names, got {len(names)}; input_features should have length "
                "equal to number of features"
            )
        found = [names[i] for i in self.numbers_] + [f"{names[i]} is missing" for i in self.incomplete_]
        for (i, *_), groups in zip(self.categories_, self._groups(), strict=True):
            found += [f"{names[i]}={group}" for group in groups]
        return np.array(found, dtype=object)

    @property
    def widths(self) -> list[int]:
        """Number of columns of the result per number, indicator and column of categories."""
        check_is_fitted(self)
        return [1] * (self.n_numbers_ + len(self.incomplete_)) + [len(groups) for groups in self._groups() if groups]

    def _groups(self) -> list[list[str]]:
        """Return the name of each column of the result, for each column of categories."""
        groups = [[*kept, *(["other"] if rare else [])] for _, kept, rare in self.categories_]
        return [names[1:] if len(names) == 2 else names for names in groups]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    # -- columns ------------------------------------------------------------------------------------------------------

    def _categorical(self, where: str, table: Table) -> set[int]:
        """Return the indices of the columns of categories."""
        given, count = self.categorical_features, len(table.columns)
        if given is None:
            return set()
        if isinstance(given, str):
            return {index for index, categorical in enumerate(table.categorical) if categorical}
        given = np.asarray(given)
        if given.dtype.kind == "b" and given.shape == (count,):
            return set(np.flatnonzero(given).tolist())
        if given.size == 0:
            return set()
        if given.dtype.kind in "iu" and given.ndim == 1 and given.min() >= 0 and given.max() < count:
            return set(given.tolist())
        if given.dtype.kind in "UO" and table.names is not None and set(given.tolist()) <= set(table.names):
            return {table.names.index(name) for name in given.tolist()}
        known = f"names among {table.names}" if table.names is not None else f"indices in [0, {count})"
        raise ValueError(
            f"{where}: expected categorical_features to be {known}, or a mask of {count}, got {given.tolist()}"
        )

    def _align(self, where: str, table: Table) -> Table:
        """Return the columns of `fit` in their order."""
        names = getattr(self, "feature_names_in_", None)
        if names is None or table.names is None:
            if len(table.columns) != self.n_features_in_:
                raise ValueError(
                    f"X has {len(table.columns)} features, but {where} is expecting {self.n_features_in_} features as input."
                )
            return table
        missing = [name for name in names if name not in table.names]
        if missing:
            raise ValueError(f"{where}: expected the columns of fit in X, got none of {', '.join(map(repr, missing))}")
        if len(table.names) > len(names):
            more = sorted(set(table.names) - set(names))
            warnings.warn(
                f"{where}: expected only the columns of fit in X, got also {more}; ignoring them", stacklevel=4
            )
        return table.select([table.names.index(name) for name in names])

    def _scaled(self, number: int, x: np.ndarray) -> np.ndarray:
        """Return a column of numbers on the common scale, with the median for missing values."""
        x = np.where(np.isnan(x), self.centers_[number], x)
        if self.scaling == "quantile":
            return _normal_scores(x, self.quantiles_[number]) if self.scales_[number] < np.inf else np.zeros(len(x))
        s = (x - self.centers_[number]) / self.scales_[number]
        return s / np.sqrt(1.0 + (s / 3.0) ** 2)


def _center_and_scale(x: np.ndarray) -> tuple[float, float]:
    """Return the median and the divisor of a column, which is infinite for a constant."""
    if not len(x):
        return 0.0, np.inf
    low, center, high = np.quantile(x, (0.25, 0.5, 0.75))
    return center, (high - low) or 0.5 * (x.max() - x.min()) or np.inf


def _quantiles(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the increasing quantiles (Q,) of a column at levels (Q,)."""
    if not len(x) or not len(levels):
        return np.zeros_like(levels)
    noise = np.random.default_rng(0).normal(0.0, NOISE, len(x)) * x.std()
    return np.maximum.accumulate(np.quantile(x + noise, levels))


def _normal_scores(x: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return the standard normal quantiles of the ranks of x; equal quantiles have the mean of their ranks."""
    levels = np.linspace(0.0, 1.0, len(quantiles))
    below, above = np.interp(x, quantiles, levels), np.interp(-x, -quantiles[::-1], -levels[::-1])
    return np.clip(ndtri(0.5 * (below - above)), -LARGEST_SCORE, LARGEST_SCORE)


def _frequent(texts: np.ndarray, most: int) -> tuple[list[str], list[str]]:
    """Return the sorted categories with a column of their own, and the rare ones that share a column."""
    found, counts = np.unique(texts[texts != ""].astype(str), return_counts=True)
    rare = np.sort(np.argsort(counts, kind="stable")[: len(found) - most + 1 if len(found) > most else 0])
    return np.delete(found, rare).tolist(), found[rare].tolist()


def _indicators(texts: np.ndarray, kept: list[str], rare: list[str]) -> np.ndarray:
    """Return one column of 0 and 1 per category and one for the rare ones, or one of −1 and 1 for two."""
    codes = {text: code for code, text in enumerate(kept)} | dict.fromkeys(rare, len(kept))
    code, count = np.array([codes.get(text, -1) for text in texts.tolist()]), len(kept) + bool(rare)
    if count == 2:
        return np.where(code < 0, 0, 2 * code - 1)[:, None]
    return code[:, None] == np.arange(count)

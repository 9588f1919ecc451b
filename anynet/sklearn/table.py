"""Columns of data frames and arrays of any library, on the host."""

from __future__ import annotations

import datetime
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from anynet.data.frames import is_frame
from anynet.sklearn.validation import to_host

NUMERIC = "iuf"
"""Kinds of NumPy dtypes whose columns are numbers, unless they are declared as categories."""


MAX_COPIES = 10
"""Largest of the weights that can become copies of rows."""


class Table(NamedTuple):
    """The columns of a table.

    Attributes
    ----------
    columns : list of numpy.ndarray
        One array (N,) per column, with the values as given.
    names : list of str, or None
        Names of the columns of a data frame; None for an array, or if a name is not text.
    categorical : list of bool
        Whether the data type of a column is that of categories: anything but numbers.
    rows : numpy.ndarray, or None
        Numbers (N,) of the rows in the original table, for messages; None if they are those here.
    """

    columns: list[np.ndarray]
    names: list[str] | None
    categorical: list[bool]
    rows: np.ndarray | None = None

    def row(self, index: int) -> int:
        """Return the number of a row in the original table."""
        return index if self.rows is None else int(self.rows[index])

    def label(self, index: int) -> str:
        """Return the description of a column for messages."""
        return f"column {index}" if self.names is None else f"column {self.names[index]!r}"

    def select(self, indices: list[int]) -> Table:
        """Return the given columns."""
        names = None if self.names is None else [self.names[i] for i in indices]
        return Table([self.columns[i] for i in indices], names, [self.categorical[i] for i in indices], self.rows)


def read_table(where: str, X: Any) -> Table:
    """Return the columns of a data frame, an array or a nested list.

    Raises
    ------
    TypeError, ValueError
        If X is sparse, complex or empty, has another number of axes than two, or has two columns of one name.
    """
    if isinstance(X, Table):
        return X
    if issparse(X):
        raise TypeError(f"{where}: expected a dense array or a data frame, got a sparse matrix; pass X.toarray()")
    if is_frame(X):
        names = list(X.columns) if all(isinstance(name, str) for name in X.columns) else None
        if names is not None and len(set(names)) < len(names):
            twice = max(names, key=names.count)
            raise ValueError(
                f"{where}: expected different names of columns in X, got {twice!r} more than once; rename or drop one of them"
            )
        columns = [np.asarray(X.iloc[:, i] if hasattr(X, "iloc") else X[name]) for i, name in enumerate(X.columns)]
        categorical = [is_categorical(c) or str(d) == "category" for c, d in zip(columns, X.dtypes, strict=True)]
        if not columns or not len(columns[0]):
            check_array(np.empty((len(X), len(columns))), estimator=where)  # raises
        return Table(columns, names, categorical)
    X = to_host(X)
    if not hasattr(X, "dtype") and np.asarray(X).dtype.kind in "US":  # text next to numbers
        X = np.array(X, dtype=object)
    array = check_array(X, dtype=None, ensure_all_finite=False, estimator=where, input_name="X")
    columns = list(array.T)
    return Table(columns, None, [is_categorical(column) for column in columns])


def without_dates(where: str, table: Table) -> Table:
    """Return a table; raise TypeError if a column holds dates or durations."""
    for index, column in enumerate(table.columns):
        if column.dtype.kind in "mM" or _has_dates(column):
            raise TypeError(
                f"{where}: expected numbers or categories in {table.label(index)} of X, got dates or durations; convert "
                "them to numbers, for example to days"
            )
    return table


def is_categorical(column: np.ndarray) -> bool:
    """Return whether a column holds categories: values other than numbers."""
    if column.dtype.kind != "O":
        return column.dtype.kind not in NUMERIC
    present = [value for value in column.tolist() if not is_missing(value)]
    return not present or not all(_is_number(value) for value in present)


def as_numbers(where: str, table: Table, index: int) -> np.ndarray:
    """Return a column as float64 (N,), with NaN for missing values.

    Raises
    ------
    ValueError
        If a value is not a number, or infinite.
    """
    column, label = table.columns[index], table.label(index)
    if column.dtype.kind in NUMERIC + "b":
        numbers = column.astype(np.float64)
    else:
        values = [np.nan if is_missing(value) else value for value in column.tolist()]
        odd = next(
            (row for row, value in enumerate(values) if not _is_number(value) and not isinstance(value, bool)), None
        )
        if odd is not None:
            raise ValueError(
                f"{where}: expected numbers in {label} of X, got {values[odd]!r} in row {table.row(odd)}; convert it, or declare "
                "the column in categorical_features"
            )
        numbers = np.array(values, dtype=np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise ValueError(
            f"{where}: expected finite values or NaN in {label} of X, got {numbers[infinite[0]]} in row "
            f"{table.row(infinite[0])}; "
            "mark missing values with NaN"
        )
    return numbers


def as_text(table: Table, index: int) -> np.ndarray:
    """Return the categories of a column (N,) as text, with "" for missing values.

    Whole numbers have the same text as integers and as floats, which a column with missing values holds.
    """
    texts = ["" if is_missing(value) else _text(value) for value in table.columns[index].tolist()]
    return np.array(texts, dtype=object)


def counted(
    where: str, table: Table, y: np.ndarray, weight: np.ndarray | None
) -> tuple[Table, np.ndarray, np.ndarray | None]:
    """Return sorted rows with targets and weights; small whole weights become copies of rows.

    The result depends neither on the order of the rows nor on whether a row is repeated or has a whole weight, and so does
    every network that is trained on it. Rows of weight 0 are left out.
    """
    weight = np.ones(len(y)) if weight is None else weight
    whole = bool(np.all(weight == np.floor(weight)) and weight.max() <= MAX_COPIES)
    rows = np.repeat(np.arange(len(y)), weight.astype(np.int64)) if whole else np.flatnonzero(weight > 0.0)
    keys = [
        as_text(table, i).astype(str) if categorical else as_numbers(where, table, i)
        for i, categorical in enumerate(table.categorical)
    ]
    rows = rows[np.lexsort([weight[rows], *y.reshape(len(y), -1)[rows].T, *(key[rows] for key in reversed(keys))])]
    columns = [column[rows] for column in table.columns]
    return table._replace(columns=columns, rows=rows), y[rows], None if whole else weight[rows]


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, pandas.NA, NaT or an empty text."""
    try:
        return value is None or value == "" or bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _has_dates(column: np.ndarray) -> bool:
    if column.dtype.kind != "O":
        return False
    return any(isinstance(v, (datetime.date, datetime.timedelta)) and not is_missing(v) for v in column.tolist())

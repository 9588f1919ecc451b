"""Data frames of pandas and polars, without importing either."""

from __future__ import annotations

from typing import Any

import numpy as np

from anynet.checks import plural

NAMED = 5
"""Maximum number of columns that a message names."""


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame with named columns."""
    return hasattr(value, "columns") and hasattr(value, "dtypes") and hasattr(value, "__array__")


def frame_to_numpy(frame: Any) -> np.ndarray:
    """Return a data frame as a matrix of numbers, with NaN for missing values.

    Raises
    ------
    TypeError
        If a column is not numeric; the message names it.
    """
    columns = [(name, _column(frame[name])) for name in frame.columns]
    odd = [f"{name!r} ({frame[name].dtype})" for name, column in columns if column.dtype.kind not in "biuf"]
    if odd:
        verb = "is" if len(odd) == 1 else "are"
        raise TypeError(
            f"{len(odd)} of {plural(len(columns), 'column')} {verb} not numeric: {_listed(odd)}; encode or drop them, for "
            "example with pandas.get_dummies"
        )
    return np.stack([column for _, column in columns], axis=1)


def check_finite_columns(where: str, name: str, frame: Any, array: np.ndarray) -> None:
    """Raise ValueError if a column holds NaN or infinity; the message names it."""
    bad = np.count_nonzero(~np.isfinite(array), axis=0) if array.dtype.kind == "f" and array.ndim == 2 else np.zeros(0)
    if bad.any():
        columns = [
            f"{column!r} ({plural(count, 'row')})" for column, count in zip(frame.columns, bad, strict=True) if count
        ]
        raise ValueError(
            f"{where}: expected finite values in {name}, got NaN or infinity in {plural(len(columns), 'column')}: "
            f"{_listed(columns)}; fill them, for example by {name}.fillna({name}.median()), or drop those rows"
        )


def _column(series: Any) -> np.ndarray:
    column = np.asarray(series)
    if column.dtype.kind == "O" and not isinstance(series.dtype, np.dtype):  # numbers with missing values
        try:
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            return column
    return column


def _listed(items: list[str]) -> str:
    return ", ".join(items[:NAMED]) + (", …" if len(items) > NAMED else "")

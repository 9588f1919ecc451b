"""Tables: targets, rows to hold out, and columns that are probably mistakes."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anynet.cli.errors import WrongArgument, did_you_mean
from anynet.cli.reading import read

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MAX_CLASSES = 20
"""Maximum number of different whole numbers that are classes by default."""

ALMOST = 0.99
"""Fraction of the rows from which a target is almost constant."""

EQUAL = 1.0 - 1e-9
"""Absolute correlation from which a column of numbers equals the target."""

FEW = 0.1
"""Fraction of texts in a column of numbers below which they are probably marks of missing values."""

LISTED = 20
"""Maximum number of classes or columns in a text."""


class Rows(NamedTuple):
    """Inputs, targets and weights."""

    x: DataFrame
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Rows:
        """Return the rows with the given indices."""
        return Rows(self.x.iloc[rows], self.y[rows], None if self.weight is None else self.weight[rows])


@dataclass(frozen=True)
class Task:
    """The columns of a prediction.

    Parameters
    ----------
    target : str
        Column to predict.
    classes : list, optional
        Sorted classes; None for numbers.
    weight : str, optional
        Column with the weights of the rows.
    left_out : list of str
        Columns that are not inputs, among them `target` and `weight`.
    text : list of str
        Columns that were text in training. Other tables may contain none of the values that are no numbers.
    """

    target: str
    classes: list[Any] | None
    weight: str | None
    left_out: list[str]
    text: Collection[str] = ()

    def rows(self, table: DataFrame) -> Rows:
        """Return the rows of a table with targets; weights are optional."""
        y = values(table[self.target], self.classes)
        weight = None
        if self.weight in table:
            column = table[self.weight]
            wrong = column if not is_number(column) else column[~(column >= 0)]
            if len(wrong):
                raise ValueError(f"expected weights in [0, inf) in {self.weight!r}, got {wrong.iloc[0]}")
            weight = column.to_numpy(np.float64)
        return Rows(self.inputs(table), y, weight)

    def inputs(self, table: DataFrame) -> DataFrame:
        """Return the inputs of a table, which may lack the other columns.

        Raises
        ------
        ValueError
            If a number is infinite; the message names its column and its row, from 1.
        """
        x = table.drop(columns=self.left_out, errors="ignore")
        for name, column in x.items():
            wrong = column[np.isinf(column)] if column.dtype.kind == "f" else column[:0]
            if len(wrong):
                row = wrong.index[0] + 1
                raise ValueError(
                    f"expected finite numbers in {name!r}, got {wrong.iloc[0]} in row {row}; leave missing ones empty"
                )
        return x


# -- columns -----------------------------------------------------------------------------------------------------------


def read_with_target(path: str, target: str, option: str = "--target", text: Collection[str] = ()) -> DataFrame:
    """Return the rows of a table that have a target, and warn of others."""
    table = read(path, text)
    check_columns(table, path, option, [target])
    kept = table[table[target].notna()]
    if not len(kept):
        raise ValueError(f"expected values in {target!r}, got none in {len(table)} rows of {path}")
    if len(kept) < len(table):
        warnings.warn(f"left out {len(table) - len(kept)} rows without {target!r}", stacklevel=2)
    return kept


def check_columns(table: DataFrame, path: str, option: str, names: list[str]) -> None:
    """Raise WrongArgument unless the values of an option are columns."""
    for name in names:
        if name not in table.columns:
            advice = did_you_mean(name, table.columns)
            raise WrongArgument(f"expected {option} to be a column of {Path(path).name}, got {name!r}{advice}")


# -- targets -----------------------------------------------------------------------------------------------------------


def is_number(column: Series) -> bool:
    """Return whether the data type of a column is that of numbers."""
    return column.dtype.kind in "iuf"


def values(target: Series, classes: list[Any] | None) -> np.ndarray:
    """Return targets as an array of numbers, or of classes with the same text."""
    if classes is None:
        return target.to_numpy(np.float64)
    texts, labels = target.map(_label), {str(label): label for label in classes}
    unknown = texts[~texts.isin(labels)]
    if len(unknown):
        raise ValueError(
            f"expected the classes {listed(classes)} in {target.name!r}, got {unknown.iloc[0]} in {len(unknown)} rows"
        )
    return np.array([labels[text] for text in texts])


def _label(value: Any) -> str:
    """Return the text of a class, equal for a whole number as integer and as float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def find_classes(target: Series, task: str | None) -> list[Any] | None:
    """Return the classes of a target, or None for numbers.

    By default, text, booleans and up to 20 whole numbers are classes, unless they have about as many values as rows.

    Raises
    ------
    WrongArgument
        If `task` is "regression" and the target is not a number.
    ValueError
        If there is only one class or number, or a class for almost every row.
    """
    numbers, name = is_number(target), target.name
    if task == "regression" and not numbers:
        raise WrongArgument(f"expected numbers in {name!r} for --task regression, got {target.iloc[0]!r}")
    count = target.nunique()
    if count == 1:
        raise ValueError(f"expected at least two different values in {name!r}, got only {target.iloc[0]}")
    many = count > max(2, len(target) // 2)
    few = numbers and count <= MAX_CLASSES and not many and (target % 1 == 0).all()
    if task == "regression" or (task is None and numbers and not few):
        return None
    if many:
        raise ValueError(
            f"expected classes of several rows in {name!r}, got {count} different values in {len(target)} rows"
        )
    target = target.infer_objects()  # booleans with missing values are objects
    if target.dtype.kind != "b":
        target = target.astype(np.int64) if numbers and (target % 1 == 0).all() else target.map(_label)
    return sorted(target.unique().tolist())


# -- rows --------------------------------------------------------------------------------------------------------------


def groups(column: Series) -> np.ndarray:
    """Return a number per row, equal for equal values, except missing ones."""
    import pandas

    codes = pandas.factorize(column)[0]
    return np.where(codes < 0, len(codes) + np.arange(len(codes)), codes)


def split(y: np.ndarray, classes: bool, groups: np.ndarray | None, fraction: float, seed: int) -> tuple[Any, Any]:
    """Return the indices of the rows to train on and to hold out.

    Rows of a group stay together. Classes have equal fractions in both parts if there are enough rows; a class without rows to
    train on is never held out.
    """
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    rows = np.arange(len(y))
    if groups is None:
        counts = np.unique(y, return_counts=True)[1]
        enough = classes and counts.min() > 1 and len(y) * min(fraction, 1.0 - fraction) > len(counts)
        kept, held = train_test_split(rows, test_size=fraction, random_state=seed, stratify=y if enough else None)
    else:
        kept, held = next(GroupShuffleSplit(1, test_size=fraction, random_state=seed).split(rows, groups=groups))
    if classes:
        groups = rows if groups is None else groups
        moved = np.isin(groups[held], groups[held][~np.isin(y[held], y[kept])])
        kept, held = np.concatenate([kept, held[moved]]), held[~moved]
    if not len(held):
        raise ValueError(f"expected some of {len(y)} rows to be held out, got none; increase --validation, or add rows")
    return kept, held


def summary(task: Task, training: Rows, held: Rows) -> str:
    """Return a line about the data of a training."""
    import pandas

    x = pandas.concat([training.x, held.x])
    categories = sum(not is_number(column) for _, column in x.items())
    what = f"regression of {task.target!r}"
    if task.classes is not None:
        what = f"{len(task.classes)} classes of {task.target!r}"
        what += "" if len(task.classes) == 2 or isinstance(task.classes[0], str) else " (--task regression for numbers)"
    missing = int(x.isna().sum().sum())
    return (
        f"{what} from {len(x.columns)} columns ({categories} categorical, {missing} missing), {len(training.y)} rows, "
        f"{len(held.y)} held out"
    )


def notices(x: DataFrame, target: Series, classes: bool) -> Iterator[str]:
    """Yield a sentence about each probable mistake in the columns and the target."""
    import pandas

    common = target.value_counts(normalize=True)
    if common.iloc[0] >= ALMOST:
        yield f"{common.iloc[0]:.1%} of {target.name!r} are {common.index[0]}; there is little to learn from so few others"
    codes = pandas.factorize(target)[0]
    for name, column in x.items():
        number, leave_out = is_number(column), f"--ignore {quote(str(name))} leaves it out"
        if classes:
            same = (pandas.factorize(column)[0] == codes).all()
        else:
            same = number and column.nunique() > 1 and abs(column.corr(target)) >= EQUAL
        if same:
            yield f"{name!r} equals the target {target.name!r}; if it is unknown at prediction, {leave_out}"
        elif column.dtype.kind != "f" and column.nunique() == len(column):
            yield f"{name!r} has another value in every row, as an identifier has; {leave_out}"
        elif not number and column.dtype.kind != "b":
            present = column.dropna()
            texts = present[pandas.to_numeric(present, errors="coerce").isna()]
            if 0 < len(texts) < FEW * len(present):
                yield f"{name!r} is text because of {len(texts)} values such as {texts.iloc[0]!r}; empty them to use numbers"


def listed(values: list[Any] | None) -> str:
    """Return the first few values as text."""
    values = values or []
    return ", ".join(map(str, values[:LISTED])) + (", ..." if len(values) > LISTED else "")

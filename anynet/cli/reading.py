"""Files of tables, in CSV and other formats."""

from __future__ import annotations

import gzip
import sys
import warnings
import zlib
from collections.abc import Collection
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from anynet.cli.errors import WrongArgument

if TYPE_CHECKING:
    from pandas import DataFrame

GZIP = b"\x1f\x8b"
"""First bytes of a file that gzip has compressed."""


def read(path: str, text: Collection[str] = ()) -> DataFrame:
    """Return the table in a file, or in standard input for ``-``.

    The columns in `text` remain as written in CSV, even if all of their values are numbers.

    Raises
    ------
    WrongArgument
        If there is no such file, or its format is unknown.
    ValueError, ImportError
        If it contains no table, or a package that reads it is missing.
    """
    name, suffix = ("standard input", ".csv") if path == "-" else (path, Path(path.removesuffix(".gz")).suffix.lower())
    if suffix not in (".csv", ".tsv", ".parquet"):
        raise WrongArgument(f"expected a table as .csv, .tsv or .parquet, also with .gz, got {path}; convert it to CSV")
    if path != "-" and not Path(path).is_file():
        raise WrongArgument(f"expected an existing file, got {path}")
    for package in ("pandas", "pyarrow") if suffix == ".parquet" else ("pandas",):
        if find_spec(package) is None:
            raise ImportError(
                f"{name}: expected the package {package} to be installed, got none; run: pip install {package}"
            )
    import pandas

    separator = "\t" if suffix == ".tsv" else ","
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        file = BytesIO(gzip.decompress(content) if content[:2] == GZIP else content)
        table = pandas.read_parquet(file) if suffix == ".parquet" else _read_csv(file, separator, text)
    except pandas.errors.ParserWarning:
        raise ValueError(
            f"expected as many values in each row of {name} as names in its first line, got more; name each column"
        ) from None
    except pandas.errors.EmptyDataError:
        raise ValueError(f"expected a table in {name}, got an empty file") from None
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(
            f"expected a table as {suffix} in UTF-8 in {name}, got an error: {str(error).strip()}"
        ) from None
    table.columns = table.columns.astype(str)
    if len(table.columns) == 1 and (other := next((mark for mark in ";\t," if mark in table.columns[0]), "")):
        raise ValueError(
            f"expected columns separated by {separator!r} in {name}, got one column {table.columns[0][:40]!r}; change the "
            f"separator, for example with: tr {other!r} ,"
        )
    if not len(table):
        raise ValueError(f"expected rows in {name}, got only the names of columns")
    return table


def _read_csv(file: BytesIO, separator: str, text: Collection[str]) -> DataFrame:
    """Return a table, without taking its first column for an index if rows are longer than the first line.

    One empty value at the end of each row is left out; ParserWarning if a row has more.
    """
    import pandas

    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        return pandas.read_csv(file, sep=separator, index_col=False, dtype=dict.fromkeys(text, str), low_memory=False)


def text_columns(table: DataFrame) -> list[str]:
    """Return the names of the columns with text."""
    return [
        name for name, column in table.items() if column.dtype.kind == "O" and any(isinstance(v, str) for v in column)
    ]

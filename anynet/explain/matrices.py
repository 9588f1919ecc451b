"""Matrices as aligned text and as LaTeX; large ones are abbreviated."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

DECIMALS = 4
"""Maximum number of decimals, unless the largest number needs more to show four significant digits."""


def text(a: np.ndarray, rows: int, columns: int) -> list[str]:
    """Return a matrix as lines of text.

    Examples
    --------
    >>> print("\\n".join(text(np.array([[0.125, -20.0]]), 8, 8)))
    0.125  -20.000
    >>> print("\\n".join(text(np.arange(30.0).reshape(3, 10), 8, 4)))
     0   1  …   9
    10  11  …  19
    20  21  …  29
    """
    cells = _cells(a, rows, columns, right="…", down="⋮", both="⋱")
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def latex(a: np.ndarray, rows: int, columns: int) -> str:
    """Return a matrix as LaTeX.

    Examples
    --------
    >>> print(latex(np.array([[1.0, 2.0], [3.0, 4.0]]), 8, 8))
    \\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}
    """
    cells = _cells(a, rows, columns, right=r"\cdots", down=r"\vdots", both=r"\ddots")
    body = r" \\ ".join(" & ".join(map(_latex_number, row)) for row in cells)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def number(value: float) -> str:
    """Return a single number as text.

    Examples
    --------
    >>> number(0.0888571)
    '0.08886'
    """
    return _number_format([value])(value)


def shape(a: np.ndarray) -> str:
    """Return the shape of an array and, if it differs, that of the displayed matrix.

    Examples
    --------
    >>> shape(np.zeros(3)), shape(np.zeros((2, 5, 5, 3)))
    ('(3,)', '(2, 5, 5, 3) as 50 × 3')
    """
    whole = f"({', '.join(map(str, a.shape))}{',' if a.ndim == 1 else ''})"
    return f"{whole} as {' × '.join(map(str, _matrix(a).shape))}" if a.ndim > 2 else whole


def left_out(a: np.ndarray, rows: int, columns: int) -> str:
    """Return text on the rows and columns shown, or an empty string if all are.

    Examples
    --------
    >>> left_out(np.zeros((20, 10)), 8, 4), left_out(np.zeros((3, 4)), 8, 4)
    ('7 of 20 rows and 3 of 10 columns shown', '')
    """
    m, n = _matrix(a).shape
    names = " rows", "" if a.ndim == 1 else " columns"
    parts = [
        f"{len(shown) - 1} of {count}{name}"
        for count, shown, name in zip((m, n), (_shown(m, rows), _shown(n, columns)), names, strict=True)
        if None in shown
    ]
    return f"{' and '.join(parts)} shown" if parts else ""


def _matrix(a: np.ndarray) -> np.ndarray:
    """Return an array as a matrix: a vector as one row, and all axes but the last of a larger array as rows."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) if a.ndim else a.reshape(1, 1)


def _shown(count: int, limit: int) -> list[int | None]:
    """Return the indices to show, with None in place of those left out, which are at least two."""
    limit = max(limit, 3)
    return [*range(count)] if count <= limit else [*range(limit - 2), None, count - 1]


def _cells(a: np.ndarray, rows: int, columns: int, *, right: str, down: str, both: str) -> list[list[str]]:
    matrix = _matrix(a)
    at_rows, at_columns = _shown(matrix.shape[0], rows), _shown(matrix.shape[1], columns)
    kept = [i for i in at_rows if i is not None], [j for j in at_columns if j is not None]
    write = _number_format(matrix[np.ix_(*kept)].ravel().tolist())

    def cell(i: int | None, j: int | None) -> str:
        if i is None:
            return both if j is None else down
        return right if j is None else write(matrix[i, j].item())

    return [[cell(i, j) for j in at_columns] for i in at_rows]


def _number_format(values: list[float]) -> Callable[[float], str]:
    """Return a function that formats numbers with the same decimals: the fewest that show all of them."""
    finite = [abs(v) for v in values if math.isfinite(v)]
    largest = max(finite, default=0.0)
    if largest and not 1e-4 <= largest < 1e6:
        return lambda v: f"{v:.{DECIMALS - 1}e}"
    decimals = max(DECIMALS, DECIMALS - 1 - math.floor(math.log10(largest))) if largest else 0
    while decimals and all(round(v, decimals - 1) == round(v, decimals) for v in finite):
        decimals -= 1
    return lambda v: f"{round(v, decimals) + 0.0:.{decimals}f}"  # + 0.0 turns −0 into 0


def _latex_number(cell: str) -> str:
    mantissa, e, exponent = cell.partition("e")
    if e and exponent.lstrip("+-").isdigit():
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return {"nan": r"\text{nan}", "inf": r"\infty", "-inf": r"-\infty"}.get(cell, cell)

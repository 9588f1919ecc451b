"""History of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet.checks import plural
from anynet.display import html_table
from anynet.names.text import ALIASES, advice
from anynet.plots import plot_history

SHOWN = 20
"""Maximum number of epochs in the table of a notebook."""


class History(Mapping[str, list[Any]]):
    """Mapping from names of quantities to their values per epoch, numbers or nested lists.

    Examples
    --------
    >>> history = History()
    >>> history.append({"loss": 0.5, "accuracy": 0.9})
    >>> history["loss"], len(history)
    ([0.5], 2)
    """

    def __init__(self, columns: Mapping[str, list[Any]] | None = None) -> None:
        self._columns = {name: list(values) for name, values in (columns or {}).items()}

    @property
    def epochs(self) -> int:
        """Number of recorded epochs."""
        return max((len(values) for values in self._columns.values()), default=0)

    def complete(self) -> History:
        """Return a copy of the complete epochs, while another thread may append one."""
        columns = dict(self._columns)
        epochs = min((len(values) for values in columns.values()), default=0)
        return History({name: values[:epochs] for name, values in columns.items()})

    def append(self, values: Mapping[str, Any]) -> None:
        """Add the values of an epoch, with NaN for missing values and earlier epochs."""
        done = self.epochs
        for name in [name for name in values if name not in self._columns]:
            self._columns[name] = [float("nan")] * done
        for name, column in self._columns.items():
            column.append(_plain(values.get(name, float("nan"))))

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a row per epoch and a column per quantity."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas: expected pandas to be installed, got none; run: pip install pandas") from None
        return pandas.DataFrame(self._columns, index=pandas.RangeIndex(1, self.epochs + 1, name="epoch"))

    def plot(self, names: Sequence[str] | None = None, *, log: bool = False, ax: Any = None) -> Any:
        """Plot quantities over epochs with `anynet.plots.plot_history`."""
        return plot_history(self, names, log=log, ax=ax)

    def __getitem__(self, name: str) -> list[Any]:
        try:
            return self._columns[name]
        except KeyError:
            known = ", ".join(self._columns)
            only = f"one of {known}" if known else "a call of fit, which records values"
            hint = advice((), ALIASES.get(name, name), self._columns)
            raise KeyError(f"History: expected {only}, got {name!r}{hint}") from None

    if not TYPE_CHECKING:  # a type checker reports unknown attributes itself

        def __getattr__(self, name):
            known = [one for one in dir(type(self)) if one[0] != "_"]
            hint = "" if name[:1] == "_" else advice(("History",), name, known)
            raise AttributeError(f"History: expected one of its attributes, got {name!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _repr_html_(self) -> str:
        names = [name for name, column in self._columns.items() if column and isinstance(column[-1], float)]
        shown = [i for i in range(self.epochs) if i < SHOWN // 2 or i >= self.epochs - SHOWN // 2]
        rows = [[str(i + 1), *(f"{self._columns[name][i]:.4g}" for name in names)] for i in shown]
        if len(shown) < self.epochs:
            rows.insert(SHOWN // 2, ["…"] * (len(names) + 1))
        return html_table(["epoch", *names], rows, f"History of {plural(self.epochs, 'epoch')}")

    def __repr__(self) -> str:
        last = ", ".join(
            f"{name}={column[-1]:.4g}"
            for name, column in self._columns.items()
            if column and isinstance(column[-1], float)
        )
        return f"<History of {plural(self.epochs, 'epoch')}{': ' + last if last else ''}>"


def _plain(value: Any) -> Any:
    """Convert a number to a float, and an array to nested lists of floats."""
    array = np.asarray(value, dtype=np.float64)
    return array.tolist()

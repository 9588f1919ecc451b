"""What training recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class History(Mapping[str, list[float]]):
    """A mapping from the name of a quantity to its values, one for each epoch.

    Examples
    --------
    >>> history = History()
    >>> history.append({"loss": 0.5, "accuracy": 0.9})
    >>> history["loss"], len(history)
    ([0.5], 2)
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self._columns = {name: list(values) for name, values in (columns or {}).items()}

    @property
    def epochs(self) -> int:
        """Number of epochs recorded."""
        return max((len(values) for values in self._columns.values()), default=0)

    def append(self, values: Mapping[str, float]) -> None:
        """Add one epoch. A quantity that begins later is filled with NaN before it, one that is missing gets NaN."""
        done = self.epochs
        for name in [name for name in values if name not in self._columns]:
            self._columns[name] = [float("nan")] * done
        for name, column in self._columns.items():
            column.append(float(values.get(name, float("nan"))))

    def __getitem__(self, name: str) -> list[float]:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(
                f"History: expected one of {', '.join(self._columns) or 'nothing yet'}, got {name!r}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={column[-1]:.4g}" for name, column in self._columns.items() if column)
        return f"<History of {self.epochs} epochs{': ' + last if last else ''}>"

"""The report of a self-check: one row per comparison, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    group : str
        Such as ``"networks"``.
    name : str
        Such as ``"convolution"`` or ``"Adam"``.
    quantity : str
        Such as ``"gradients"``.
    dtype : str
        The dtype of the computation.
    passed : bool
    gap, limit : float, optional
        Largest relative difference, and its upper bound; None for a comparison of bits.
    reason : str
        Reason of a failure that is not a number.
    """

    group: str
    name: str
    quantity: str
    dtype: str
    passed: bool
    gap: float | None = None
    limit: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Gap and limit, or the outcome."""
        if self.gap is None or self.limit is None:
            return "ok" if self.passed else "FAILED"
        return f"{self.gap:.1e} ≤ {self.limit:.0e}" if self.passed else f"{self.gap:.1e} > {self.limit:.0e} FAILED"

    @property
    def title(self) -> str:
        """Group, name, quantity and dtype."""
        return ", ".join(part for part in (self.group, self.name, self.quantity, self.dtype) if part)


@dataclass(frozen=True)
class CheckReport:
    """The result of `anynet.backends.check`.

    Attributes
    ----------
    backend : str
        Name of the backend.
    facts : dict
        Versions, devices and settings of the library.
    rows : list of Row
        The comparisons.
    speed : dict
        ``microseconds`` per step of a network 784-128-10 with batches of 64 and Adam; ``launches`` and ``synchronizations`` per
        step, None if the library does not report them; ``graph``, whether steps run in a CUDA graph or the reason why not.
    skipped : list of str
        Comparisons that the backend does not support, each with the reason.
    seconds : float
        Duration of the check.
    """

    backend: str
    facts: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    speed: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failures(self) -> list[Row]:
        """The rows that failed."""
        return [row for row in self.rows if not row.passed]

    @property
    def passed(self) -> bool:
        """Whether every comparison passed."""
        return not self.failures

    @property
    def outcome(self) -> str:
        """One line per failure, and one with their number."""
        lines = [f"FAILED: {row.title}: {row.reason or str(row).removesuffix(' FAILED')}" for row in self.failures]
        result = f"{len(lines)} FAILED" if lines else "all passed"
        return "\n".join([*lines, f"{self.backend}: {len(self.rows)} comparisons, {result}, {self.seconds:.0f} s"])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; a gap that is not finite becomes text."""
        rows = [{key: _finite(value) for key, value in asdict(row).items()} for row in self.rows]
        return {**asdict(self), "rows": rows, "passed": self.passed}

    def __str__(self) -> str:
        facts = "; ".join(f"{key} {value}" for key, value in self.facts.items())
        lines = [f"{self.backend}: {facts}", ""]
        for group, rows in groupby(self.rows, lambda row: row.group):
            lines += [*_table(group, list(rows)), ""]
        lines += [_speed(self.speed)] if self.speed else []
        lines += [f"skipped: {text}" for text in self.skipped]
        return "\n".join([*lines, self.outcome])

    __repr__ = __str__


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _table(group: str, rows: list[Row]) -> Iterator[str]:
    """Yield a line per name and dtype, with one column per quantity."""
    columns = list(dict.fromkeys(row.quantity for row in rows))
    lines = [[group, "", *columns]]
    for (name, dtype), cells in groupby(rows, lambda row: (row.name, row.dtype)):
        texts = {row.quantity: str(row) for row in cells}
        lines.append([name, dtype, *(texts.get(column, "") for column in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _speed(speed: dict[str, Any]) -> str:
    def known(name: str) -> Any:
        value = speed[name]
        return "unknown" if value is None else f"{value:.3g}" if isinstance(value, float) else value

    return (
        f"784-128-10, batch 64, Adam: {speed['microseconds']:.0f} µs per step; launches per step: {known('launches')}; "
        f"synchronizations per step: {known('synchronizations')}; CUDA graph: {speed['graph']}"
    )

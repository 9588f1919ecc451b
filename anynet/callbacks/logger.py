"""Logging of the history to a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from anynet.callbacks.base import Callback, Run
from anynet.checks import check_path


class CSVLogger(Callback):
    """Write the numbers of the history to a CSV file, one row per epoch.

    Parameters
    ----------
    path : str or Path
        The file. Each `fit` overwrites it; a resumed fit rewrites the earlier epochs and continues.

    Notes
    -----
    Each row has the epoch and all numbers in full precision, without matrices, and is written when its epoch ends.

    Raises
    ------
    OSError
        From `fit`, before the first epoch, if the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_path("CSVLogger", "path", path)

    def on_fit_begin(self, run: Run) -> None:
        rows = [_line(["epoch", *_numbers(run)])] if run.history.epochs else []
        for i in range(run.history.epochs):
            rows.append(_line([i + 1, *(run.history[name][i] for name in _numbers(run))]))
        if run.writes:
            if not self.path.parent.is_dir():
                raise FileNotFoundError(
                    f"CSVLogger: expected an existing folder, got {self.path.parent}; create it before training"
                )
            self.path.write_text("".join(rows), encoding="utf-8", newline="")

    def on_epoch_end(self, run: Run) -> None:
        if not run.writes:
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if run.history.epochs == 1:
                file.write(_line(["epoch", *_numbers(run)]))
            file.write(_line([run.epoch, *(run.history[name][-1] for name in _numbers(run))]))


def _numbers(run: Run) -> list[str]:
    return [name for name, column in run.history.items() if isinstance(column[-1], float)]


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()

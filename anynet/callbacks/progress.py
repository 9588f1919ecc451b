"""Progress display: a line per epoch, and a bar for the whole fit."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from anynet.callbacks.base import Callback, Run
from anynet.display import in_notebook

EVERY = 0.1
"""Minimum number of seconds between updates of the values, each of which waits for the device."""


class ProgressBar(Callback):
    """Print a line of results per epoch, with a progress bar in terminals and notebooks.

    The lines go to stdout. The bar goes to stderr, only if that is a terminal, or into the output of a notebook's cell. It shows
    the epoch's loss and metrics so far, the speed and the remaining time.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._looked = self._began = 0.0
        self._before = 0

    def on_epoch_begin(self, run: Run) -> None:
        self._began = time.monotonic()
        self._before = (run.epoch - 1) * (run.batches or 0)
        if self._bar is not None:
            self._bar.set_description_str(_place(run), refresh=False)
            if run.batches is not None:
                self._bar.total = run.epochs * run.batches
        elif sys.stderr.isatty() or in_notebook():
            self._bar = _tqdm()(
                total=None if run.batches is None else run.epochs * run.batches,
                desc=_place(run),
                bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left{postfix}",
                unit=" batches",
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
            )

    def on_batch_end(self, run: Run) -> None:
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._looked >= EVERY:
            self._looked = now
            self._bar.set_postfix_str(_values(run.running()), refresh=False)
        self._bar.update(self._before + run.batch - self._bar.n)

    def on_epoch_end(self, run: Run) -> None:
        line = "  ".join([_place(run), _values(run.logs), f"{time.monotonic() - self._began:.2f} s"])
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)

    def on_fit_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _tqdm() -> Any:
    """Return tqdm's bar for this place: a widget in a notebook with ipywidgets, text elsewhere."""
    from tqdm import tqdm

    if in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets, tqdm recommends to install them
            from tqdm.auto import tqdm
    return tqdm


def _values(logs: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if isinstance(value, (int, float)))


def _place(run: Run) -> str:
    return f"epoch {run.epoch:{len(str(run.epochs))}}/{run.epochs}"


def should_show(progress: bool | None) -> bool:
    """Return whether to show progress; None means in notebooks and in terminals."""
    return in_notebook() or (sys.stderr.isatty() and sys.stdout.isatty()) if progress is None else progress

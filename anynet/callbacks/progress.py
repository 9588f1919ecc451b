"""A progress bar."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from anynet.callbacks.base import Callback, Run

EVERY = 0.1  # seconds between looks at the loss: each look waits for the device


class ProgressBar(Callback):
    """Show each epoch as a bar of tqdm, with the loss as it falls, and leave a line of its results."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._looked = 0.0

    def on_epoch_begin(self, run: Run) -> None:
        from tqdm.auto import tqdm

        width = len(str(run.epochs))
        self._bar = tqdm(
            total=run.batches,
            desc=f"epoch {run.epoch:{width}}/{run.epochs}",
            unit="batch",
            file=sys.stderr,
            dynamic_ncols=True,
        )

    def on_batch_end(self, run: Run) -> None:
        now = time.monotonic()
        if now - self._looked >= EVERY:
            self._looked = now
            self._bar.set_postfix_str(f"loss {float(np.mean(run.model.backend.to_numpy(run.loss))):.4f}", refresh=False)
        self._bar.update(run.batch - self._bar.n)

    def on_epoch_end(self, run: Run) -> None:
        self._bar.set_postfix_str("  ".join(f"{name} {value:.4f}" for name, value in run.logs.items()), refresh=False)
        self._bar.close()
        self._bar = None

    def on_fit_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def wanted(progress: bool | None) -> bool:
    """Return whether to show a bar: as asked, or if someone sits at a terminal."""
    return sys.stderr.isatty() if progress is None else progress

"""Keep training on the disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anynet.callbacks.base import Callback, Run
from anynet.callbacks.monitor import Monitor
from anynet.checks import check_int, check_number


class Checkpoint(Callback):
    """Write the model and where its training is, for ``fit(..., resume=path)`` and `anynet.load`.

    Parameters
    ----------
    path : str or Path
        The file. It is replaced only by a whole one, so after a crash at any moment there is the old one or the new.
    every_n_epochs : int >= 1, or None
        Write at the end of every so many epochs.
    every_n_seconds : float > 0, optional
        Write when so much time has passed, in the middle of an epoch too.
    monitor : str, optional
        Write only when this quantity of the history is better than it was in any file before: the best, not the last.
    keep : int >= 1
        How many files to keep. The last is always ``path``; with ``keep=3`` those before it are ``model.1.safetensors``
        and ``model.2.safetensors`` beside ``model.safetensors``.
    mode : "auto", "min" or "max"
        Whether less or more of the monitored quantity is better; "auto" asks the metric.

    Notes
    -----
    It is told after all other callbacks, so that the file holds what they decided. Ctrl-C writes one too, unless `monitor` is
    given. A folder that cannot be written to is found out before the first epoch.

    Raises
    ------
    OSError
        From `fit`, if the file cannot be written; an earlier one stays as it is.

    Examples
    --------
    >>> Checkpoint("run.safetensors", every_n_seconds=60).path.name
    'run.safetensors'
    """

    last = True

    def __init__(
        self,
        path: str | Path,
        *,
        every_n_epochs: int | None = 1,
        every_n_seconds: float | None = None,
        monitor: str | None = None,
        keep: int = 1,
        mode: str = "auto",
    ) -> None:
        where = "Checkpoint"
        self.path = Path(path)
        if every_n_epochs is not None:
            check_int(where, "every_n_epochs", every_n_epochs, at_least=1)
        if every_n_seconds is not None:
            check_number(where, "every_n_seconds", every_n_seconds, "(0, inf)")
            if monitor is not None:
                raise ValueError(
                    f"{where}: expected every_n_seconds or monitor, got both; a quantity is known only when an epoch ends"
                )
        elif every_n_epochs is None:
            raise ValueError(f"{where}: expected every_n_epochs or every_n_seconds, got neither")
        self.keep = check_int(where, "keep", keep, at_least=1)
        self.every_n_epochs, self.every_n_seconds = every_n_epochs, every_n_seconds
        self.monitor = None if monitor is None else Monitor(where, monitor, mode)
        self._written = 0.0

    def on_fit_begin(self, run: Run) -> None:
        if self.path.is_dir():
            raise IsADirectoryError(f"Checkpoint: expected the path of a file, got the folder {self.path}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"Checkpoint: expected a folder that is there, got {self.path.parent}; make it before training"
            )
        if not os.access(self.path.parent, os.W_OK):
            raise PermissionError(f"Checkpoint: expected a folder that can be written to, got {self.path.parent}")
        if self.monitor is not None:
            self.monitor.begin(run)
        self._written = time.monotonic()

    def on_batch_end(self, run: Run) -> None:
        if self.every_n_seconds is not None and time.monotonic() - self._written >= self.every_n_seconds:
            self._write(run)

    def on_epoch_end(self, run: Run) -> None:
        if self.every_n_epochs is None or run.epoch % self.every_n_epochs:
            self.on_batch_end(run)
        elif self.monitor is None or self.monitor.better(run):
            self._write(run)

    def on_fit_end(self, run: Run) -> None:
        if run.interrupted and self.monitor is None:
            self._write(run)

    def _write(self, run: Run) -> None:
        for number in range(self.keep - 1, 0, -1):
            older, newer = self.kept(number), self.kept(number - 1)
            if newer.exists():
                if number == 1:  # path itself must be there at every moment
                    older.unlink(missing_ok=True)
                    _link(newer, older)
                else:
                    os.replace(newer, older)
        run.model.save(self.path)
        self._written = time.monotonic()

    def kept(self, number: int) -> Path:
        """Return the path of the file that is so many writes old."""
        return self.path if number == 0 else self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def state(self) -> dict[str, Any]:
        return {} if self.monitor is None else self.monitor.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        if self.monitor is not None and state:
            self.monitor.restore(state)


def _link(old: Path, new: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)

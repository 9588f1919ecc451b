"""Checkpoints of a training run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anynet import files
from anynet.callbacks.base import Callback, Run
from anynet.callbacks.monitor import Monitor
from anynet.checks import check_int, check_number, check_path


class Checkpoint(Callback):
    """Save the model and the training state, for ``fit(..., resume=path)`` and `anynet.load`.

    Parameters
    ----------
    path : str or Path
        The file. It is replaced atomically, so after a crash it holds either the previous or the new checkpoint.
    every_n_epochs : int or None, in [1, inf)
        Write every this many epochs.
    every_n_seconds : float, in (0, inf), optional
        Also write every this many seconds, even mid-epoch.
    monitor : str, optional
        Write only when this quantity of the history is better than in all previous files, so that the best is kept.
    keep : int, in [1, inf)
        Number of files to keep. The latest is always ``path``; with ``keep=3`` the previous ones are
        ``model.1.safetensors`` and ``model.2.safetensors``, next to ``model.safetensors``.
    mode : "auto", "min" or "max"
        Whether a lower or a higher value is better; "auto" uses the metric's direction.

    Notes
    -----
    It runs after all other callbacks, so that the file includes their changes. Ctrl-C also writes a checkpoint, unless
    `monitor` is given. Before the first epoch, it checks that the folder is writable.

    Raises
    ------
    OSError
        From `fit`, if the file cannot be written; the previous file is kept.

    Examples
    --------
    >>> Checkpoint("run.safetensors", every_n_seconds=60).path.name
    'run.safetensors'
    """

    last = saves = True

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
        self.path = check_path(where, "path", path)
        if every_n_epochs is not None:
            check_int(where, "every_n_epochs", every_n_epochs, at_least=1)
        if every_n_seconds is not None:
            check_number(where, "every_n_seconds", every_n_seconds, "(0, inf)")
            if monitor is not None:
                raise ValueError(
                    f"{where}: expected every_n_seconds or monitor, got both; the quantity is known only at the end of an epoch"
                )
        elif every_n_epochs is None:
            raise ValueError(f"{where}: expected every_n_epochs or every_n_seconds, got neither")
        self.keep = check_int(where, "keep", keep, at_least=1)
        self.every_n_epochs, self.every_n_seconds = every_n_epochs, every_n_seconds
        self.monitor = None if monitor is None else Monitor(where, monitor, mode)
        self._written = 0.0

    def on_fit_begin(self, run: Run) -> None:
        if run.writes:
            self._check_path()
        if self.monitor is not None:
            self.monitor.begin(run)
        self._written = time.monotonic()

    def _check_path(self) -> None:
        if self.path.is_dir():
            raise IsADirectoryError(f"Checkpoint: expected the path of a file, got the folder {self.path}")
        folder = Path(os.path.realpath(self.path)).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"Checkpoint: expected an existing folder, got {folder}; create it before training")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"Checkpoint: expected a writable folder, got {folder}")

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
        if not run.writes:
            return
        for number in range(self.keep - 1, 0, -1):
            older, newer = self.kept(number), self.kept(number - 1)
            if newer.exists():
                if number == 1:  # path itself must exist at all times
                    files.link(newer, older)
                else:
                    os.replace(newer, older)
        run.model.save(self.path)
        self._written = time.monotonic()

    def kept(self, number: int) -> Path:
        """Return the path of the checkpoint `number` writes ago."""
        return self.path if number == 0 else self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def state(self) -> dict[str, Any]:
        return {} if self.monitor is None else self.monitor.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        if self.monitor is not None and state:
            self.monitor.restore(state)

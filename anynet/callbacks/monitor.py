"""Best value of a monitored quantity."""

from __future__ import annotations

import math
from typing import Any

from anynet.callbacks.base import Run
from anynet.checks import check_number
from anynet.names.text import ALIASES, advice, plain

MODES = ("auto", "min", "max")


class Monitor:
    """A monitored quantity of the history, with its best value so far.

    Parameters
    ----------
    where : str
        Prefix of error messages.
    name : str
        Key in the history, such as ``"val_loss"``.
    mode : "auto", "min" or "max"
        Whether a lower or a higher value is better; "auto" uses the metric's direction.
    min_delta : float, in [0, inf)
        Changes of at most this size do not count as improvement.
    """

    def __init__(self, where: str, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(name, str):
            hint = f"; write patience={name}" if isinstance(name, int) else ""
            raise TypeError(
                f"{where}: expected monitor to be the name of a quantity in the history, got {name!r}{hint}"
            )
        if mode not in MODES:
            raise ValueError(f"{where}: expected mode 'auto', 'min' or 'max', got {mode!r}")
        check_number(where, "min_delta", min_delta, "[0, inf)")
        self.name, self.best = name, math.nan
        self._where, self._mode, self._min_delta = where, mode, float(min_delta)
        self._sign = -1.0 if mode == "max" else 1.0
        self._restored = False

    def begin(self, run: Run) -> None:
        """Raise ValueError unless the run records the quantity, and its direction of improvement is known."""
        if self.name not in run.names:
            raise ValueError(
                f"{self._where}: expected monitor to be one of {', '.join(run.names)}, got {self.name!r}{self._remedy(run)}"
            )
        if self._mode == "auto":
            added = {metric.name: metric for metric in run.validation_metrics}
            more = (run.metrics.metrics | added)[self.name.removeprefix("val_")].greater_is_better
            if more is None:
                raise ValueError(
                    f"{self._where}: expected mode 'min' or 'max' with {self.name!r}, got 'auto'; the metric "
                    "does not define which is better"
                )
            self._sign = -1.0 if more else 1.0

    def _remedy(self, run: Run) -> str:
        """Return the end of a message about a quantity that the run does not record."""
        short = self.name.replace("validation_", "val_", 1)
        if short != self.name and short in run.names:
            return f"; did you mean {short}?"
        measured = self.name.removeprefix("val_")
        if measured in run.metrics.metrics:
            return "; pass validation_data or validation_split"
        meant = plain(ALIASES.get(plain(measured), measured))
        prefix = self.name[: -len(measured)]
        validation = " and validation_data to fit" if prefix and not run.validated else ""
        return advice((), prefix + meant, run.names) or f"; pass metrics=[{measured!r}] to Model{validation}"

    def better(self, run: Run) -> bool:
        """Store the epoch's value if it is the best, and return whether it is. NaN never is."""
        value = float(run.logs[self.name])
        if math.isnan(value) or self._sign * value >= self._sign * self.best - self._min_delta:
            return False
        self.best = value
        return True

    def reset_unless_restored(self) -> bool:
        """Forget the best value and return True, unless it was restored for this fit."""
        fresh, self._restored = not self._restored, False
        if fresh:
            self.best = math.nan
        return fresh

    def state(self) -> dict[str, Any]:
        """Return the state to save for resuming."""
        return {"best": self.best}

    def restore(self, state: Any) -> None:
        """Restore a saved state."""
        self.best, self._restored = float(state["best"]), True

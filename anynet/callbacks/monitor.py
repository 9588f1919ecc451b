"""Which of two values of a quantity is better."""

from __future__ import annotations

import math
from typing import Any

from anynet.callbacks.base import Run
from anynet.checks import check_number

MODES = ("auto", "min", "max")


class Monitor:
    """A quantity of the history, and the best value it has had.

    Parameters
    ----------
    where : str
        Who watches, for errors.
    name : str
        Key in the history, such as ``"val_loss"``.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" asks the metric.
    min_delta : float >= 0
        A value must be better than the best by more than this.
    """

    def __init__(self, where: str, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{where}: expected monitor to be the name of a quantity in the history, got {name!r}")
        if mode not in MODES:
            raise ValueError(f"{where}: expected mode 'auto', 'min' or 'max', got {mode!r}")
        check_number(where, "min_delta", min_delta, "[0, inf)")
        self.name, self.best = name, math.nan
        self._where, self._mode, self._min_delta = where, mode, float(min_delta)
        self._sign = -1.0 if mode == "max" else 1.0

    def begin(self, run: Run) -> None:
        """Look at the run; ValueError if it does not record the quantity, or nobody knows which way is better."""
        if self.name not in run.names:
            hint = "; pass validation_data or validation_split" if self.name.startswith("val_") else ""
            raise ValueError(
                f"{self._where}: expected monitor to be one of {', '.join(run.names)}, got {self.name!r}{hint}"
            )
        if self._mode == "auto":
            more = run.totals.metrics[self.name.removeprefix("val_")].greater_is_better
            if more is None:
                raise ValueError(
                    f"{self._where}: expected mode 'min' or 'max' with {self.name!r}, got 'auto'; which way is better "
                    "cannot be told from the metric"
                )
            self._sign = -1.0 if more else 1.0

    def better(self, run: Run) -> bool:
        """Return whether the epoch's value is the best so far, and remember it if so. NaN is never better."""
        value = float(run.logs[self.name])
        if math.isnan(value) or self._sign * value >= self._sign * self.best - self._min_delta:
            return False
        self.best = value
        return True

    def state(self) -> dict[str, Any]:
        """Return what to remember."""
        return {"best": self.best}

    def restore(self, state: Any) -> None:
        """Take it back."""
        self.best = float(state["best"])

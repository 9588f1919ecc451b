"""Base class of schedules whose length is given in steps or in epochs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from anynet.checks import check_int, check_number
from anynet.durations import fields_in_steps
from anynet.names.constructors import Value


@dataclass(frozen=True)
class TimedSchedule(metaclass=Value):
    """Base class of schedules with a length in steps or in epochs.

    A schedule is a function of the step. A length in epochs is converted once, by the first `Model.fit`; from then on the
    schedule of the model is in steps.
    """

    in_steps_field: ClassVar[str] = "steps"
    """Name of the field with the length in steps."""

    least: ClassVar[int] = 1
    """Minimum number of steps."""

    def check_length(self) -> None:
        """Raise unless exactly one of both lengths is given, and in its range."""
        where, name, (steps, epochs) = type(self).__name__, self.in_steps_field, self._lengths()
        if (steps is None) == (epochs is None):
            given = "neither" if steps is None else f"{name}={steps!r} and epochs={epochs!r}"
            raise ValueError(f"{where}: expected {name} or epochs, got {given}")
        if steps is not None:
            check_int(where, name, steps, at_least=self.least)
        else:
            check_number(where, "epochs", epochs, "(0, inf)")

    @property
    def length(self) -> int:
        """Length in steps; ValueError if it is still in epochs."""
        steps, epochs = self._lengths()
        if steps is None:
            raise ValueError(
                f"{type(self).__name__}: expected a length in steps, got epochs={epochs!r}; Model.fit converts epochs "
                f"to steps: elsewhere, write {self.in_steps_field}=..."
            )
        return steps

    def in_steps(self, per_epoch: float) -> Self:
        """Return the schedule with a length in steps, for a number of steps per epoch."""
        steps, epochs = self._lengths()
        inside = fields_in_steps(self, per_epoch)
        if steps is not None:
            return inside
        count = max(self.least, round(epochs * per_epoch))
        return dataclasses.replace(inside, **{self.in_steps_field: count, "epochs": None})

    def _lengths(self) -> tuple[Any, Any]:
        fields = vars(self)
        return fields[self.in_steps_field], fields["epochs"]

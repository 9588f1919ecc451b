"""Conversion of durations in epochs to steps, inside any setting."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def in_steps(value: Any, per_epoch: float) -> Any:
    """Return a setting with all durations in steps.

    It is the same object if none was in epochs. Optimizers and schedules have a method `in_steps` for this; tuples are searched.
    """
    if isinstance(value, tuple):
        parts = tuple(in_steps(part, per_epoch) for part in value)
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    convert = getattr(value, "in_steps", None)
    return value if convert is None else convert(per_epoch)


def fields_in_steps(value: T, per_epoch: float) -> T:
    """Return a dataclass with the durations in its fields in steps, like `in_steps`."""
    changes = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        old = getattr(value, field.name)
        new = in_steps(old, per_epoch)
        if new is not old:
            changes[field.name] = new
    return dataclasses.replace(value, **changes) if changes else value  # type: ignore[type-var]

"""Check of the rule, slots and coefficients of an optimizer before the first step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from anynet.checks import plural


def check_rule(where: str, slots: Any, rule: Callable[..., Any], coefficients: Callable[[Any], Any]) -> None:
    """Raise TypeError unless slots, rule and coefficients fit each other.

    They run once, on arrays of one number. An error inside them is left to the first step: they may need arrays of another
    library, or a schedule in steps.
    """
    if isinstance(slots, str):
        raise TypeError(f"{where}: expected slots to be a tuple of names, got {slots!r}; write ({slots!r},)")
    if "step" in slots:
        raise TypeError(f"{where}: expected slots other than 'step', the count of updates, got {slots!r}")
    with np.errstate(all="ignore"):
        try:
            numbers = coefficients(np.zeros((), np.float32))
        except Exception:
            return
        if not isinstance(numbers, tuple):
            raise TypeError(
                f"{where}: expected coefficients(step) to return a tuple, got {type(numbers).__name__}; write (value,)"
            )
        arrays = [np.ones(1, np.float32) for _ in range(2 + len(slots))]
        signature = inspect.signature(rule)
        try:
            signature.bind(*arrays, *numbers)
        except TypeError:
            taken = ", ".join(("p", "g", *slots))
            raise TypeError(
                f"{where}: expected a rule of {taken} and {plural(len(numbers), 'coefficient')}, got {rule.__name__}{signature}"
            ) from None
        try:
            new = rule(*arrays, *numbers)
        except Exception:
            return
    if not isinstance(new, tuple) or len(new) != 1 + len(slots):
        returned = f"({', '.join(('p', *slots))}{'' if slots else ','})"
        got = plural(len(new), "value") if isinstance(new, tuple) else "None" if new is None else type(new).__name__
        raise TypeError(f"{where}: expected the rule to return {returned}, the new values, got {got}")

"""Reasons why this process computes something in a slower way, for `anynet.backends.info`.

>>> note("sum", ValueError("no kernel"))
>>> noted()["sum"]
'ValueError: no kernel'
>>> forget("sum")
"""

from __future__ import annotations

_noted: dict[str, str] = {}


def note(what: str, reason: Exception | str) -> None:
    """Keep the reason why something runs in a slower way; the last one counts."""
    _noted[what] = reason if isinstance(reason, str) else f"{type(reason).__name__}: {first_line(reason)}"


def forget(what: str) -> None:
    """Drop the reason, if there is one."""
    _noted.pop(what, None)


def noted() -> dict[str, str]:
    """Return the reasons by what they are about."""
    return dict(_noted)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return next(iter(str(error).strip().splitlines()), "")

"""Exit statuses and the exception for wrong arguments."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FAILED, WRONG, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141
"""Exit statuses; the last two are 128 plus the number of the signal."""

LISTED = 6
"""Maximum number of names that a message lists."""


class WrongArgument(ValueError):
    """An argument of the command line that the command cannot use; the exit status is 2."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown column.

    It is the nearest name, or the first few names.
    """
    known = {one.lower(): one for one in names}
    near = get_close_matches(name.lower(), known, n=1)
    if near:
        return f"; did you mean {known[near[0]]!r}?"
    more = ", ..." if len(known) > LISTED else ""
    return f"; the columns are {', '.join(map(repr, list(known.values())[:LISTED]))}{more}"

"""The exception for wrong arguments."""

from __future__ import annotations


class WrongArgument(ValueError):
    """An argument of the command line that the command cannot use; the exit status is 2."""

"""Order copies of batches by one thread and the steps with them by another."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

Items: TypeAlias = Generator[Any, None, None]


class Copies:
    """Copies that run in the order of submission, as on most libraries.

    Attributes
    ----------
    context : context manager
        Context for the thread that copies.
    """

    def __init__(self, backend: Any) -> None:
        self.context: AbstractContextManager[Any] = backend.activate()

    def prepared(self, items: Items) -> Items:
        """Yield items in the thread that copies them, each once its copies are complete."""
        return items

    def used(self, items: Items) -> Items:
        """Yield items in the thread that uses them."""
        return items

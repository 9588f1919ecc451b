"""Prepare the next item in a background thread while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any

_END = object()


def prefetch(items: Iterable[Any], ahead: int = 1) -> Generator[Any, None, None]:
    """Yield the items, each made while the one before it is in use; at most `ahead` wait.

    An error in the making is raised where the item would have come. A consumer that leaves early, because of Ctrl-C for
    example, does not wait: the thread ends by itself after the item that it is making.

    Examples
    --------
    >>> list(prefetch(n * n for n in range(3)))
    [0, 1, 4]
    """
    waiting: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(ahead)
    left = threading.Event()

    def hand_over(item: Any, error: BaseException | None = None) -> None:
        while not left.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in items:
                hand_over(item)
                if left.is_set():
                    return
        except BaseException as error:  # whatever it is, the consumer shall see it
            hand_over(_END, error)
        else:
            hand_over(_END)

    threading.Thread(target=make, name="anynet-prefetch", daemon=True).start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        left.set()

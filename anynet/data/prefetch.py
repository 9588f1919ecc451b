"""Prepare the next item in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_END = object()


def prefetch(
    items: Iterable[Any], context: AbstractContextManager[Any] | None = None, *, ahead: int = 1
) -> Generator[Any, None, None]:
    """Yield the items, which a thread prepares, at most `ahead` in advance.

    The thread runs in `context`, such as a backend's `activate()`, because each thread has its own current device. An
    exception of the thread is raised in place of its item. A consumer that closes the generator early does not wait: the
    thread ends after its current item.

    Examples
    --------
    >>> list(prefetch(n * n for n in range(3)))
    [0, 1, 4]
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not closed.is_set():
            try:
                ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def prepare() -> None:
        try:
            with context or nullcontext():
                for item in items:
                    put(item)
                    if closed.is_set():
                        return
        except BaseException as error:  # re-raised in the consumer's thread
            put(_END, error)
        else:
            put(_END)

    threading.Thread(target=prepare, name="anynet-prefetch", daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        closed.set()

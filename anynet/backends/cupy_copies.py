"""Copy batches to an NVIDIA GPU during the steps with the batches before.

Copies run on a stream of their own, which does not wait for the steps. Three things keep them in order.

1. The thread that copies waits for the stream before it passes a batch on, so its copies are complete.
2. CuPy gives the memory of a batch to a later one as soon as nothing refers to it, although steps that read it may not have run
   yet. References are therefore kept until the stream waits for the end of these steps, which an event marks.
3. The first event is recorded before the first batch. Copies thus wait for the arrays that preparing reads, and for all users of
   memory that an earlier stream left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import cupy

from anynet.backends.copies import Copies, Items


class StreamCopies(Copies):
    """Copies on a stream of their own."""

    def __init__(self, backend: Any) -> None:
        self._device, self.context = backend.device, self._activate()
        self._submitted: deque[tuple[Any, Any]] = deque()
        """Batches whose steps have been submitted, with the events at the end of the steps."""
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)

    @contextmanager
    def _activate(self) -> Iterator[None]:
        with self._device, self._stream:
            yield

    def _note(self, item: Any) -> None:
        with self._device:
            self._submitted.append((cupy.cuda.get_current_stream().record(), item))

    def prepared(self, items: Items) -> Items:
        with closing(items):
            try:
                while True:
                    while self._submitted:
                        event, used = self._submitted.popleft()
                        self._stream.wait_event(event)
                        del used  # from here on, the next batch may take its memory
                    item = next(items, None)
                    if item is None:
                        return
                    self._stream.synchronize()
                    yield item
            finally:
                self._stream.synchronize()

    def used(self, items: Items) -> Items:
        self._note(None)
        with closing(items):
            for item in items:
                try:
                    yield item
                finally:
                    self._note(item)

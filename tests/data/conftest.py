"""An event that keeps a background thread waiting."""

import threading

import pytest


@pytest.fixture
def slow():
    """Yield an event that keeps a thread waiting, then set it and join the thread."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "anynet-prefetch":
            thread.join(30)
            assert not thread.is_alive()

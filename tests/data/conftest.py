"""An event that keeps a background thread waiting."""

import threading

import pytest


@pytest.fixture
def slow():
    """An event for which the second item of a background thread waits; no thread is left when it is set."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "anynet-prefetch":
            thread.join(30)
            assert not thread.is_alive()

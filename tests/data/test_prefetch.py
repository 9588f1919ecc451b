"""Test that a thread prepares items, one ahead, and that closing does not wait."""

import time

import pytest

from anynet.data.prefetch import prefetch


def test_next_batch_is_prepared_while_one_is_used():
    made = []

    def items():
        for n in range(5):
            made.append(n)
            yield n

    source = prefetch(items())
    assert next(source) == 0
    for _ in range(1000):
        if made == [0, 1, 2]:
            break
        time.sleep(0.001)
    assert made == [0, 1, 2]  # one waits and one more is on its way; no others
    source.close()


def test_nobody_waits_for_an_item_that_is_not_wanted_any_more(slow):
    def items():
        yield 1
        slow.wait(60)
        yield 2

    source = prefetch(items())
    assert next(source) == 1
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < 20


def test_error_in_the_background_shows_in_front():
    def items():
        yield 1
        raise KeyError("lost")

    source = prefetch(items())
    assert next(source) == 1
    with pytest.raises(KeyError, match="lost"):
        next(source)

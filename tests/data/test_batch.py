"""Compare batches and chunks with slices of NumPy arrays."""

import numpy as np
import pytest

from anynet.data.batch import MAX_EVAL_EXAMPLES, MAX_EVAL_NUMBERS, Batch, Chunk, eval_batch_size
from tests.tools import assert_same, fetch

N = 7
X, SECOND, Y = np.arange(N * 3.0).reshape(N, 3), np.arange(N * 4).reshape(N, 2, 2), np.arange(N) % 3
WEIGHT = np.linspace(0.0, 1.0, N)
ORDER = np.array([3, 0, 6, 1, 5, 2, 4])

DATA = {
    "plain": Batch(X, Y),
    "weighted": Batch(X, Y, WEIGHT),
    "several": Batch((X, SECOND), (Y, X), WEIGHT),
    "nested": Batch((X, (SECOND, Y)), Y),
}


def place(backend, batch):
    """Return a batch on a backend; None stays None."""

    def one(part):
        if isinstance(part, tuple):
            return tuple(map(one, part))
        return None if part is None else backend.asarray(part)

    return Batch(*map(one, batch))


def rows(batch, index):
    """Return the examples at an index of a batch of NumPy arrays."""

    def one(part):
        if isinstance(part, tuple):
            return tuple(map(one, part))
        return None if part is None else part[index]

    return Batch(*map(one, batch))


def check(backend, batch, expected):
    assert isinstance(batch, Batch) and len(batch) == len(expected)
    assert (batch.weight is None) == (expected.weight is None)
    assert [type(part) is tuple for part in batch] == [type(part) is tuple for part in expected]
    host = place(backend, expected)  # JAX without float64 and others choose their own dtypes
    assert_same(fetch(backend, tuple(batch)), fetch(backend, tuple(host)))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (2, 5), (5, 100), (0, N)])
def test_slice(name, start, stop, backend):
    check(backend, place(backend, DATA[name]).slice(start, stop), rows(DATA[name], slice(start, stop)))


@pytest.mark.parametrize("name", DATA)
def test_take(name, backend):
    index = backend.asarray(ORDER[:4], backend.index_dtype)
    check(backend, place(backend, DATA[name]).take(index), rows(DATA[name], ORDER[:4]))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("order", [None, ORDER], ids=["stored", "shuffled"])
@pytest.mark.parametrize(("start", "stop", "size"), [(0, N, 3), (2, 6, 2), (2, 7, 2), (3, 4, 5), (0, N, N)])
def test_batches_of_a_chunk(name, order, start, stop, size, backend):
    placed = None if order is None else backend.asarray(order, backend.index_dtype)
    batches = list(Chunk(place(backend, DATA[name]), placed, start, stop, size).batches())
    index = np.arange(N) if order is None else order
    expected = [index[i : min(i + size, stop)] for i in range(start, stop, size)]
    assert [len(batch) for batch in batches] == [len(part) for part in expected]
    for batch, part in zip(batches, expected, strict=True):
        check(backend, batch, rows(DATA[name], part))


def test_a_chunk_may_be_empty():
    assert list(Chunk(DATA["plain"], None, 3, 3, 2).batches()) == []


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((), MAX_EVAL_EXAMPLES),
        ((10,), MAX_EVAL_EXAMPLES),
        ((256, 256, 3), MAX_EVAL_NUMBERS // (256 * 256 * 3)),
        (((256, 256), (256, 256, 2)), MAX_EVAL_NUMBERS // (256 * 256 * 3)),
        ((MAX_EVAL_NUMBERS + 1,), 1),
        ((0,), MAX_EVAL_EXAMPLES),
    ],
)
def test_size_of_batches_for_evaluation(shape, size):
    assert eval_batch_size(shape) == size

"""Compare batches and chunks with slices of NumPy arrays."""

from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    Conv2D,
    Dense,
    EachPosition,
    Embedding,
    Flatten,
    Layer,
    Model,
    Parallel,
    Residual,
    SoftmaxCrossEntropy,
    transformer_block,
)
from anynet.checks import is_multi
from anynet.config import ModelConfig
from anynet.data.batch import MAX_EVAL_EXAMPLES, Batch, Chunk, eval_batch_size
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


NUMBERS = 2**16


@pytest.mark.parametrize(
    ("layers", "shape", "size"),
    [
        ([Dense(10)], 10, MAX_EVAL_EXAMPLES),
        ([Dense(1)], 2000, NUMBERS // 2000),  # the input is the largest array
        ([Dense(3000), Dense(1)], 10, NUMBERS // 3000),
        ([Residual([Dense(500), Dense(10)])], 10, NUMBERS // 500),
        ([Conv2D(8, 3), Flatten(), Dense(1)], (12, 12, 3), NUMBERS // (10 * 10 * 8)),
        (Parallel([Dense(200), Dense(300)], combine=None), ((4, 5), (4, 5)), NUMBERS // (4 * 300)),
        ([Dense(1)], NUMBERS + 1, 1),
    ],
)
def test_evaluation_is_limited_by_the_largest_array(layers, shape, size):
    config = ModelConfig(layers, input_shape=shape)
    inputs = tuple(np.empty((2, *shape)) for shape in config.array_shapes[: 2 if is_multi(config.input_shape) else 1])
    assert eval_batch_size(config, NUMBERS, inputs) == size


@pytest.mark.parametrize(("length", "positions"), [(256, 256), (256, None), (32, None)])
def test_evaluation_of_sequences_is_limited_by_their_length(length, positions):
    layers = [Embedding(65, 384), transformer_block(384, 6), Dense(65)]
    config = ModelConfig(layers, input_shape=(positions,))
    x = np.empty((2, length), dtype=int)
    assert eval_batch_size(config, 2**24, x) == min(MAX_EVAL_EXAMPLES, 2**24 // (length * 4 * 384))


def test_size_of_batches_for_evaluation_with_a_layer_that_takes_no_placeholders():
    @dataclass(frozen=True)
    class Drawn(Layer):
        def init(self, rng, input_shape):
            return {"q": np.linalg.qr(rng.bit_generator.state["no such key"])}, input_shape

    config = ModelConfig([Dense(3000), Drawn(), Dense(4000)], input_shape=10)
    assert eval_batch_size(config, NUMBERS, np.empty((2, 10))) == NUMBERS // 3000


@pytest.mark.parametrize("positions", [16, None])
def test_predict_and_evaluate_use_batches_of_limited_size(positions, backend, monkeypatch):
    monkeypatch.setattr(type(backend), "max_eval_numbers", 16 * 8 * 10)
    layers = [Embedding(5, 4), Dense(8), Dense(5)]
    model = Model(layers, input_shape=(positions,), loss=EachPosition(SoftmaxCrossEntropy()), backend=backend)
    sizes, x = [], np.zeros((23, 16), dtype=int)
    check_input = Embedding.check_input

    def check(layer, where, x):
        sizes.append(x.shape[0])
        check_input(layer, where, x)

    monkeypatch.setattr(Embedding, "check_input", check)
    model.predict(x)
    assert sizes == [10, 10, 3]
    evaluated, compiled = [], model._compiled.evaluate
    model._compiled.evaluate = lambda params, x, *rest: evaluated.append(x.shape[0]) or compiled(params, x, *rest)
    model.evaluate(x, x)
    assert evaluated == [10, 10, 3]

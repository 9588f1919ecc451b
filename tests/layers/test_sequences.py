"""Sequences: which positions an output depends on, lengths, positions, and shared tables."""

import numpy as np
import pytest

from anynet import (
    GRU,
    LSTM,
    Attention,
    BatchNorm,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    GlobalAvgPool1D,
    Lengths,
    MaxPool1D,
    Parallel,
    Position,
    Reshape,
    Residual,
    SelfAttention,
    Sequential,
    Sinusoids,
    Tanh,
    Tied,
    check_gradients,
    transformer_block,
    tree,
)
from tests.tools import assert_close, assert_same, fetch, key, place

RNG = np.random.default_rng(0)
POSITIONS, CHANNELS = 6, 4
X = RNG.normal(size=(5, POSITIONS, CHANNELS))
LENGTHS = np.array([6, 1, 3, 0, 5])


def params_of(layer, shape=(POSITIONS, CHANNELS)):
    return layer.init(np.random.default_rng(1), shape)[0]


# What an output depends on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        Sequential([Dense(12), SelfAttention(2, causal=True)]),
        Sequential([Dense(12), SelfAttention(2, causal=True, rotary=True)]),
        transformer_block(CHANNELS, 2),
        LSTM(3),
        GRU(3),
    ],
    ids=["attention", "rotary", "block", "lstm", "gru"],
)
def test_a_later_position_changes_no_earlier_output(layer, backend):
    params = place(backend, params_of(layer))
    changed = X.copy()
    changed[:, 4] += 1.0
    before, after = (fetch(backend, layer.forward(params, place(backend, x))[0]) for x in (X, changed))
    assert np.array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4] != after[:, 4]).all()


def test_rotated_products_depend_on_the_distance_only(backend):
    """With equal vectors at all positions, the weight of a key is a function of its distance from the query."""
    one = np.tile(RNG.normal(size=(1, 1, 24)), (1, 5, 1))
    layer = SelfAttention(2, rotary=True)
    _, (q, k, *_) = layer.forward({}, place(backend, one))
    scores = fetch(backend, q) @ np.swapaxes(fetch(backend, k), 2, 3)  # (1, 2, 5, 5)
    for head in scores[0]:
        for distance in range(-4, 5):
            diagonal = np.diagonal(head, distance)
            np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-12)


def test_rotation_is_a_product_of_complex_numbers():
    x = RNG.normal(size=(2, 5, 24))
    _, (q, *_) = SelfAttention(1, rotary=True).forward({}, x)
    pairs = x[:, :, :4] + 1j * x[:, :, 4:8]  # D = 8
    angle = np.arange(5)[:, None] * 10000.0 ** (-2 * np.arange(4) / 8)
    turned = pairs * np.exp(1j * angle)
    np.testing.assert_allclose(q[:, 0], np.concatenate([turned.real, turned.imag], axis=2), rtol=1e-13)


def test_recomputed_weights_are_the_same(backend):
    x, dy = place(backend, RNG.normal(size=(3, 5, 12))), place(backend, RNG.normal(size=(3, 5, 4)))
    results = []
    for recompute in (False, True):
        layer = SelfAttention(2, causal=True, dropout=0.4, recompute=recompute)
        y, cache = layer.forward({}, x, key=place(backend, key()))
        results.append(fetch(backend, (y, layer.backward({}, cache, dy)[0])))
        largest = max(np.size(fetch(backend, a)) for a in tree.leaves(cache))
    assert largest == 3 * 2 * 5 * 2  # q, k and v, but no array of N·H·T² numbers
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_a_block_that_recomputes_gives_the_same_bits(backend):
    x, dy = place(backend, X), place(backend, np.random.default_rng(3).normal(size=X.shape))
    results = []
    for recompute in (False, True):
        block = transformer_block(CHANNELS, 2, dropout=0.3, rotary=True, recompute=recompute)
        params = place(backend, params_of(block))
        y, cache = block.forward(params, x, key=place(backend, key()))
        results.append(fetch(backend, (y, block.backward(params, cache, dy))))
    assert_same(*results)


# Lengths --------------------------------------------------------------------------------------------------------------


NETWORKS = {
    "attention": Sequential([Dense(12), SelfAttention(2)]),
    "rotary": Sequential([Dense(12), SelfAttention(2, causal=True, rotary=True)]),
    "cross": Sequential([Parallel([Dense(4), Dense(8)], combine=None), Attention(2)]),
    "block": transformer_block(CHANNELS, 2, causal=False),
    "lstm": LSTM(3),
    "reversed lstm": LSTM(3, reverse=True),
    "bidirectional gru": Parallel([GRU(3), GRU(3, reverse=True)]),
    "mean": Sequential([Dense(3), GlobalAvgPool1D()]),
    "last": Sequential([LSTM(3), Tanh(), GRU(2, sequences=False)]),
    "causal convolution": Sequential([Conv1D(3, 3, padding=(2, 0)), Tanh(), Conv1D(2, 1), GRU(2, sequences=False)]),
    "after the sequence": Sequential([GlobalAvgPool1D(), Reshape((2, 2)), MaxPool1D(2), Flatten()]),
    "frozen": Frozen(Residual(LSTM(CHANNELS, reverse=True))),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def network(request):
    return Lengths(request.param)


def run(backend, network, params, x, lengths, dy):
    y, cache = backend.compile(network.forward)(params, (place(backend, x), backend.asarray(lengths)))
    (dx, none), grads = backend.compile(network.backward)(params, cache, place(backend, dy))
    assert none is None
    return fetch(backend, (y, dx, grads))


def test_padded_equals_unpadded(network, backend):
    params = place(backend, params_of(network, ((POSITIONS, CHANNELS), ())))
    shape = network.init(np.random.default_rng(1), ((POSITIONS, CHANNELS), ()))[1]
    dy = np.random.default_rng(2).normal(size=(len(X), *shape))
    is_sequence = len(shape) == 2
    if is_sequence:
        dy *= (np.arange(POSITIONS) < LENGTHS[:, None])[:, :, None]
    padded = np.where((np.arange(POSITIONS) < LENGTHS[:, None])[:, :, None], X, 99.0)
    y, dx, grads = run(backend, network, params, padded, LENGTHS, dy)
    total = tree.map(np.zeros_like, grads)
    for n, length in enumerate(LENGTHS):
        if length == 0:
            continue
        rows = slice(length) if is_sequence else slice(None)
        x = X[n : n + 1, :length]
        alone = run(backend, network, params, x, np.array([length]), dy[n : n + 1, rows])
        assert_close(y[n : n + 1, rows], alone[0], rtol=1e-12)
        assert_close(dx[n : n + 1, :length], alone[1], rtol=1e-12)
        assert not dx[n, length:].any()
        total = tree.map(np.add, total, alone[2])
    assert_close(grads, total, rtol=1e-12)


def test_without_padding_lengths_change_nothing(network, backend):
    params = place(backend, params_of(network, ((POSITIONS, CHANNELS), ())))
    full, _ = network.forward(params, (place(backend, X), backend.asarray(np.full(len(X), POSITIONS))))
    plain, _ = network.layer.forward(params["layer"], place(backend, X))
    assert_close(fetch(backend, full), fetch(backend, plain), rtol=1e-13)


def test_a_sequence_of_length_zero_gives_zeros_and_no_nan(backend):
    for layer in (Sequential([Dense(12, use_bias=False), SelfAttention(2)]), LSTM(3), GlobalAvgPool1D()):
        network = Lengths(layer)
        params = place(backend, params_of(network, ((POSITIONS, CHANNELS), ())))
        x = place(backend, X[:1])
        y, cache = network.forward(params, (x, backend.asarray(np.array([0]))))
        assert not fetch(backend, y).any()
        (dx, _), _ = network.backward(params, cache, place(backend, np.ones(tuple(y.shape))))
        assert not fetch(backend, dx).any()


def test_lengths_reach_layers_with_hooks_and_dropout(backend):
    network = Lengths([Dropout(0.5), Residual(LSTM(CHANNELS)), GlobalAvgPool1D(), Dense(2)])
    params = place(backend, params_of(network, ((POSITIONS, CHANNELS), ())))
    x, lengths = place(backend, X), backend.asarray(LENGTHS)
    seed = place(backend, key())
    y, _ = network.forward(params, (x, lengths), key=seed)
    again, _ = network.forward(params, (x, lengths), key=seed)
    assert np.array_equal(fetch(backend, y), fetch(backend, again))


@pytest.mark.parametrize("lengths", [[7, 1, 1, 1, 1], [-1, 1, 1, 1, 1]])
def test_lengths_outside_the_sequence_are_refused(lengths):
    with pytest.raises(ValueError, match=r"fit: expected lengths from 0 to 6, got (7|-1)"):
        Lengths(LSTM(2)).check_input("fit", (X, np.array(lengths)))


# Shapes that do not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            SelfAttention(2),
            (5, 8),
            r"multiple of 6 features, 3 \* heads, got \(5, 8\); put Dense\(3 \* channels\) before",
        ),
        (SelfAttention(2, rotary=True), (5, 6), r"multiple of 12 features"),
        (SelfAttention(2), (6,), r"expected input of shape \(positions, 3 \* channels\), got \(6,\)"),
        (Attention(2), (5, 6), r"expected two inputs of shapes"),
        (Attention(2), ((5, 6), (5, 6)), r"keys and values with twice as many"),
        (LSTM(3), (6,), r"LSTM\(3\): expected input of shape \(positions, features\), got \(6,\)"),
        (GRU(3, weight=np.ones((4, 8))), (5, 4), r"GRU\(3\): weight: expected given values of shape \(4, 9\)"),
        (Position(weight=np.ones((4, 2))), (5, 2), "Position: weight: expected given values of shape"),
        (Tied(5, 4, Dense(3)), (6,), "Tied: expected a layer that returns 4 features, as its input, got"),
        (Lengths(LSTM(3)), (6, 2), r"Lengths: expected two inputs of shapes \(positions, ...\) and \(\), got \(6, 2\)"),
        (Lengths([Dense(3), MaxPool1D(2), LSTM(3)]), ((6, 2), ()), "MaxPool1D: expected a layer that takes lengths"),
        (
            Lengths([Residual(Conv1D(2, 3, padding="same"))]),
            ((6, 2), ()),
            "Conv1D: expected a layer that takes lengths",
        ),
        (Lengths([Flatten(), Dense(3)]), ((6, 2), ()), "Flatten: expected a layer that takes lengths"),
        (Lengths([BatchNorm(), LSTM(3)]), ((6, 2), ()), "BatchNorm: expected a layer that takes lengths"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.init(np.random.default_rng(0), shape)


# Positions and tables -------------------------------------------------------------------------------------------------


def test_sinusoids():
    """Compare with the formula of the paper, number by number."""
    table = Sinusoids()(np.random.default_rng(0), (7, 5))
    for t in range(7):
        for c in range(5):
            angle = t / 10000 ** ((c - c % 2) / 5)
            assert table[t, c] == pytest.approx(np.cos(angle) if c % 2 else np.sin(angle), abs=1e-15)


def test_a_tied_table_equals_two_with_the_sum_of_their_gradients(backend):
    tokens = backend.asarray(np.array([[0, 2, 2, 1], [4, 0, 1, 1]]))
    tied = Tied(5, 3, Tanh())
    params = place(backend, params_of(tied, (4,)))
    apart = Sequential([Embedding(5, 3), Tanh(), Dense(5, use_bias=False)])
    table = fetch(backend, params["weight"])
    separate = place(backend, [{"weight": table}, {}, {"weight": table.T}])
    dy = place(backend, np.random.default_rng(3).normal(size=(2, 4, 5)))
    y, cache = tied.forward(params, tokens)
    expected, expected_cache = apart.forward(separate, tokens)
    assert_close(fetch(backend, y), fetch(backend, expected), rtol=1e-13)
    _, grads = tied.backward(params, cache, dy)
    _, (first, _, last) = apart.backward(separate, expected_cache, dy, need_dx=False)
    both = fetch(backend, first["weight"]) + fetch(backend, last["weight"]).T
    assert_close(fetch(backend, grads["weight"]), both, rtol=1e-13)


def test_gradients_of_a_network_with_lengths(backend):
    network = Lengths([Embedding(7, 4), transformer_block(4, 2), LSTM(3, reverse=True), GlobalAvgPool1D()])
    x = (backend.asarray(np.random.default_rng(0).integers(0, 7, (4, 5))), backend.asarray(np.array([5, 1, 3, 2])))
    assert check_gradients(network, x, backend=backend).worst < 1e-7

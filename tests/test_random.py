"""Compare Threefry with the known answers of Random123, and the bits of all backends."""

import itertools

import numpy as np
import pytest

from anynet import Dropout, random
from tests.tools import assert_same, fetch

# Random123, tests/kat_vectors, the three lines "threefry2x32 20": counter, key, result.
KNOWN = [
    ("00000000 00000000", "00000000 00000000", "6b200159 99ba4efe"),
    ("ffffffff ffffffff", "ffffffff ffffffff", "1cb996fc bb002be7"),
    ("243f6a88 85a308d3", "13198a2e 03707344", "c4923a9c 483df7a0"),
]


def words(text):
    """Return two hexadecimal words as arrays of one signed 32-bit integer each."""
    return [np.array([int(word, 16)], dtype=np.uint32).view(np.int32) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected, backend):
    def encrypt(*args):
        return random.threefry2x32(args[:2], args[2:])

    found = backend.compile(encrypt)(*map(backend.asarray, words(key) + words(counter)))
    assert_same(fetch(backend, found), tuple(words(expected)))


def test_known_answers_side_by_side(backend):
    """All at once, as arrays, like a stream."""
    columns = [[words(row[i])[j][0] for row in KNOWN] for i in range(3) for j in range(2)]
    c0, c1, k0, k1, e0, e1 = (np.array(column, np.int32) for column in columns)
    place = backend.asarray
    found = random.threefry2x32((place(k0), place(k1)), (place(c0), place(c1)))
    assert_same(fetch(backend, found), (e0, e1))


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_bits_are_the_same_everywhere(size, backend):
    key = random.make_key(11)
    bits = backend.compile(lambda key: random.random_bits(key, size))(backend.asarray(key))
    expected = random.random_bits(key, size)
    assert expected.dtype == np.int32 and expected.shape == (size,)
    assert_same(fetch(backend, bits), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniforms_are_the_same_everywhere(dtype, backend):
    key = random.make_key(12)
    u = backend.compile(lambda key: random.uniform(key, (50, 3), backend.dtype(dtype)))(backend.asarray(key))
    expected = random.uniform(key, (50, 3), np.float64)
    assert_same(fetch(backend, u).astype(np.float64), expected)
    assert fetch(backend, u).dtype == np.dtype(dtype)
    assert expected.min() >= 0.0 and expected.max() < 1.0


@pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 3), (2, 3, 5)])
def test_masks_are_the_same_everywhere(shape, backend):
    key = random.make_key(13)
    mask = backend.compile(lambda key: random.bernoulli(key, 0.3, shape))(backend.asarray(key))
    expected = random.bernoulli(key, 0.3, shape)
    assert expected.dtype == np.bool_ and expected.shape == shape
    assert_same(fetch(backend, mask), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_the_same_everywhere(dtype, backend):
    x = np.ones((64, 9), dtype)
    y, cache = backend.compile(lambda x, key: Dropout(0.4).forward({}, x, key=key))(
        backend.asarray(x), backend.asarray(random.make_key(14))
    )
    expected = Dropout(0.4).forward({}, x, key=random.make_key(14))
    assert_same(fetch(backend, (y, cache)), expected)


def test_keys_are_derived_alike_everywhere(backend):
    key = random.make_key(15)

    def derive(key):
        return random.fold_in(random.fold_in(key, 3), 200), random.next_key(random.next_key(key))

    assert_same(fetch(backend, backend.compile(derive)(backend.asarray(key))), derive(key))


@pytest.mark.without("jax-jit")
@pytest.mark.parametrize("tail", [(), (3,), (2, 5)])
def test_rows_of_a_batch(tail, backend):
    """A part of a batch, possibly empty, draws the numbers of the whole."""
    key = backend.asarray(random.make_key(16))
    draws = {
        "uniform": lambda key, shape: random.uniform(key, shape, backend.xp.float32),
        "normal": lambda key, shape: random.normal(key, shape, backend.xp.float32),
        "bernoulli": lambda key, shape: random.bernoulli(key, 0.3, shape),
    }
    for draw in draws.values():
        for rows in (1, 4):
            whole = fetch(backend, draw(random.fold_in(key, 2), (7 * rows, *tail)))
            for first, own in ((0, 3), (3, 0), (3, 4)):
                part = random.fold_in(random.RowsKey(key, first, own, 7), 2)
                found = fetch(backend, draw(part, (own * rows, *tail)))
                assert_same(found, whole[first * rows : (first + own) * rows])


@pytest.mark.parametrize("shape", [(), (3,), (5, 2)])
def test_rows_of_a_batch_need_the_axis_of_examples(shape):
    with pytest.raises(ValueError, match="first axis consists of the 2 examples"):
        random.bernoulli(random.RowsKey(random.make_key(0), 0, 2, 4), 0.5, shape)


# Statistics, on NumPy, since all backends have the same bits. Bounds are five standard deviations. ----------------------------

N = 1_000_000


@pytest.mark.parametrize("p", [0.5, 0.1, 0.9, 1e-3, 0.0, 1.0])
def test_frequencies(p):
    mask = random.bernoulli(random.make_key(1), p, (N,))
    p = random.rounded_probability(p)
    assert abs(mask.mean() - p) <= 5 * (p * (1 - p) / N) ** 0.5
    halves = mask[: N // 2], mask[N // 2 :]  # drawn from the two halves of the same words
    together = np.mean(halves[0] & halves[1])
    assert abs(together - p * p) <= 5 * (p * p * (1 - p * p) / (N / 2)) ** 0.5


def test_uniforms_are_uniform():
    u = random.uniform(random.make_key(2), (N,), np.float64)
    counts = np.bincount((u * 64).astype(int), minlength=64)
    chi2 = np.sum((counts - N / 64) ** 2) / (N / 64)
    assert abs(chi2 - 63) < 5 * (2 * 63) ** 0.5
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / N**0.5


def test_each_bit_is_fair():
    bits = random.random_bits(random.make_key(3), N).view(np.uint32)
    for i in range(32):
        assert abs(np.mean((bits >> i) & 1) - 0.5) < 2.5 / N**0.5


def test_related_keys_give_unrelated_masks():
    """Keys of children, grandchildren and next steps give independent masks."""
    key = random.make_key(4)
    children = [random.fold_in(key, i) for i in range(4)]
    steps = [key, random.next_key(key), random.next_key(random.next_key(key))]
    near = [key ^ np.array([1, 0], np.int32), key ^ np.array([0, 1], np.int32)]
    grandchildren = [random.fold_in(children[0], 0), random.fold_in(children[1], 0), random.fold_in(children[0], 1)]
    masks = [random.bernoulli(k, 0.5, (40_000,)) - 0.5 for k in children + steps + near + grandchildren]
    for a, b in itertools.combinations(masks, 2):
        assert abs(4 * np.mean(a * b)) < 5 / 200


def test_paths_do_not_collide():
    """All paths to depth 3 with 40 children each, over 5 steps, have different keys."""
    keys, seen = [random.make_key(5)], []
    for _ in range(4):
        keys.append(random.next_key(keys[-1]))
    for step in keys:
        level = step[None]
        for _ in range(3):
            level = np.concatenate([random.fold_in(level, i) for i in range(40)])
            seen.append(level)
    seen = np.concatenate([*seen, np.stack(keys)])
    assert len(np.unique(seen[:, 0])) == len(seen)  # even the first words differ


def test_next_keys_do_not_repeat_soon():
    key, seen = random.make_key(6), set()
    for _ in range(20_000):
        seen.add(key.tobytes())
        key = random.next_key(key)
    assert len(seen) == 20_000


def test_seeds_and_streams_differ():
    keys = {random.make_key(seed, stream).tobytes() for seed in range(50) for stream in range(4)}
    assert len(keys) == 200
    assert_same(random.make_key(2**70), random.make_key(2**70))


def test_bits_of_some_rows_are_refused():
    """They would be those of other examples than in one process."""
    with pytest.raises(
        TypeError, match="random_bits: expected the key of a whole batch, got a RowsKey; draw by uniform"
    ):
        random.random_bits(random.RowsKey(random.make_key(0), 0, 2, 4), 3)

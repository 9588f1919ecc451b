"""Counter-based random numbers, identical bit for bit on every array library.

There is no generator object and no state. A stream is a pure function of a *key*, so a training step remains a pure function
of its arguments, and a seed gives the same dropout masks on NumPy, CuPy, torch and JAX.

=================  ==============================================================
`make_key`         key from an integer seed, on the host
`fold_in`          key of a part, such as one child of a container
`next_key`         key of the next training step
`threefry2x32`     the generator, 64 random bits per key and counter
`random_bits`      32-bit integers
`uniform`          floats in [0, 1)
`normal`           standard normal floats
`bernoulli`        masks that are true with a given probability
`RowsKey`          key of some of the examples of a batch
=================  ==============================================================

A key is an int32 array of shape (2,). Keys are *derived* by cheap affine maps, because every layer derives a key in every
step and few use it. Numbers are *drawn* by all 20 rounds of Threefry, which maps keys that differ in any simple way to
unrelated streams.

Bits, uniforms and masks are identical on all libraries. Normals differ by up to 5e-7, because logarithms, sines and cosines
round differently in float32.

References
----------
Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 3.2 (Threefry).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from array_api_compat import device as _device

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import is_half, narrowed

__all__ = [
    "RowsKey",
    "bernoulli",
    "fold_in",
    "make_key",
    "next_key",
    "normal",
    "random_bits",
    "threefry2x32",
    "uniform",
]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # Skein's key schedule constant, low word

# Multipliers of 5 modulo 8 and odd increments give affine maps of full period 2**32 in each word.
_CHILD, _CHILD_STEP, _CHILD_START = 1664525, 0x9E3779B1, 1013904223
_NEXT, _NEXT_START = 22695477, 12345


def _int32(value: int) -> int:
    """Wrap a Python integer to the signed 32-bit range of int32 arrays."""
    return (value + 2**31) % 2**32 - 2**31


def make_key(seed: int, stream: int = 0) -> np.ndarray:
    """Return the NumPy key of a seed and the number of an independent stream.

    Examples
    --------
    >>> make_key(0).shape
    (2,)
    """
    return np.random.SeedSequence((seed, stream)).generate_state(2).view(np.int32)


class RowsKey(NamedTuple):
    """A key to draw only the numbers of some examples of a batch.

    `uniform`, `normal` and `bernoulli` return for these examples what they return for the whole batch, of which they draw all.
    The first axis of the arrays consists of the examples, or of the same number of rows per example.

    Attributes
    ----------
    key : array of shape (2,)
        Key of the batch.
    first, own, whole : int
        Number of examples before the first one, number of examples to draw for, and number of examples in the batch.

    Examples
    --------
    >>> key = make_key(0)
    >>> whole = bernoulli(key, 0.5, (5, 3))
    >>> bool((bernoulli(RowsKey(key, 1, 2, 5), 0.5, (2, 3)) == whole[1:3]).all())
    True
    """

    key: Array
    first: int
    own: int
    whole: int

    def draw(self, draw: Callable[[Array, tuple[int, ...]], Array], shape: tuple[int, ...]) -> Array:
        """Return the rows of these examples of ``draw(key, shape of the batch)``."""
        rows = shape[0] // self.own if shape and self.own else 1
        if not shape or shape[0] != rows * self.own:
            raise ValueError(
                f"random: expected a shape whose first axis consists of the {self.own} examples of this process, got {shape}"
            )
        drawn = draw(self.key, (self.whole * rows, *shape[1:]))
        return drawn[self.first * rows : self.first * rows + shape[0], ...]


def fold_in(key: Array, index: int) -> Array:
    """Return the key of part `index`, ``child = a·key + (c + index·d)``, modulo 2³².

    Two paths through nested containers have the same key only if they agree in a 32-bit polynomial of their indices.
    """
    if isinstance(key, RowsKey):
        return key._replace(key=fold_in(key.key, index))
    return _child(key, _int32(_CHILD_START + index * _CHILD_STEP))


@fused
def _child(key: Array, offset: int) -> Array:
    return key * _CHILD + offset


def next_key(key: Array) -> Array:
    """Return the key of the next step; the sequence has period 2³²."""
    return _next(key)


@fused
def _next(key: Array) -> Array:
    return key * _NEXT + _NEXT_START


def _rotate_left(x: Array, count: int) -> Array:
    """Rotate int32 words; a mask makes the arithmetic right shift logical."""
    return (x << count) | ((x >> (32 - count)) & ((1 << count) - 1))


def threefry2x32(key: tuple[Array, Array], counter: tuple[Array, Array]) -> tuple[Array, Array]:
    """Encrypt counters of two words with a key by Threefry-2x32-20.

    Parameters
    ----------
    key : pair of int32 arrays that broadcast against the counters; at least one-dimensional
    counter : pair of int32 arrays

    Returns
    -------
    pair of int32 arrays of the counters' shape

    References
    ----------
    Salmon et al. (2011), section 3.2; 20 rounds, tested against the known answers of Random123.
    """
    return _encrypt(*counter, *key)


@fused
def _encrypt(c0: Array, c1: Array, k0: Array, k1: Array) -> tuple[Array, Array]:
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = c0 + k0, c1 + k1
    for group in range(5):
        for count in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = _rotate_left(x1, count) ^ x0
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + (schedule[(group + 2) % 3] + (group + 1))
    return x0, x1


def random_bits(key: Array, size: int) -> Array:
    """Return `size` random int32 words of the stream of `key`, which may not be a `RowsKey`."""
    if isinstance(key, RowsKey):
        raise TypeError(
            "random_bits: expected the key of a whole batch, got a RowsKey; draw by uniform, normal or bernoulli"
        )
    xp = namespace(key)
    index = xp.arange((size + 1) // 2, dtype=xp.int32, device=_device(key))
    words = threefry2x32((key[0:1], key[1:2]), (index, xp.zeros_like(index)))
    return xp.concat(words)[:size]


def uniform(key: Array, shape: tuple[int, ...], dtype: object) -> Array:
    """Return uniform floats in [0, 1), multiples of 2⁻²⁴ and identical for every float dtype."""
    if isinstance(key, RowsKey):
        return key.draw(lambda key, shape: uniform(key, shape, dtype), shape)
    xp = namespace(key)
    bits = _upper_24_bits(random_bits(key, math.prod(shape)))
    return xp.reshape(xp.astype(bits, dtype) * 2.0**-24, shape)


@fused
def _upper_24_bits(words: Array) -> Array:
    return (words >> 8) & 0xFFFFFF


def normal(key: Array, shape: tuple[int, ...], dtype: object) -> Array:
    """Return standard normal floats, with absolute values of at most √(48 ln 2) ≈ 5.77.

    References
    ----------
    Box, Muller (1958), "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29, eq. 1.
    """
    if isinstance(key, RowsKey):
        return key.draw(lambda key, shape: normal(key, shape, dtype), shape)
    xp = namespace(key)
    size = math.prod(shape)
    half = (size + 1) // 2
    u = uniform(key, (2 * half,), xp.float32 if is_half(dtype) else dtype)  # 2²⁴ steps do not fit in 16 bits
    z = narrowed(xp.concat(_box_muller(u[:half], u[half:])), dtype)
    return xp.reshape(z[:size], shape)


@fused
def _box_muller(u: Array, v: Array) -> tuple[Array, Array]:
    xp = namespace(u)
    radius = xp.sqrt(-2.0 * xp.log(1.0 - u))  # 1 − u is in (0, 1]
    angle = (2.0 * math.pi) * v
    return radius * xp.cos(angle), radius * xp.sin(angle)


def bernoulli(key: Array, probability: float | Array, shape: tuple[int, ...]) -> Array:
    """Return a boolean mask, true with a probability rounded to a multiple of 2⁻¹⁶.

    The probability may be a 0-d array, of float32 or float64, so that it can change in a compiled step. Each element uses 16
    random bits, half a 32-bit word. `rounded_probability` returns the actual probability.
    """
    if isinstance(key, RowsKey):
        return key.draw(lambda key, shape: bernoulli(key, probability, shape), shape)
    xp = namespace(key)
    size = math.prod(shape)
    words = random_bits(key, (size + 1) // 2)
    halves = xp.concat(_halves(words))[:size]
    limit = round(probability * 2**16) if isinstance(probability, (int, float)) else _limit(probability)
    return xp.reshape(halves < limit, shape)


def _limit(probability: Array) -> Array:
    xp = namespace(probability)
    return xp.astype(xp.round(probability * 2.0**16), xp.int32)


@fused
def _halves(words: Array) -> tuple[Array, Array]:
    return words & 0xFFFF, (words >> 16) & 0xFFFF


def rounded_probability(probability: float) -> float:
    """Return the probability that `bernoulli` uses, the nearest multiple of 2⁻¹⁶."""
    return round(probability * 2**16) / 2**16

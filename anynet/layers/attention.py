"""Scaled dot-product attention. Derivation: docs/derivations/attention.md.

The layers have no parameters: `Dense` layers around them are the projections, and `transformer_block` composes them.

Legend: N batch, T positions of the queries, S positions of the keys, H heads, D features per head, C = H·D channels.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import device

from anynet import random
from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, total, widened
from anynet.checks import check_flags, check_int, check_number, is_multi
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape, axis_sizes

ROTARY_BASE = 10000.0
"""Ratio of the longest to the shortest period of rotary positions."""


@dataclass(frozen=True)
class AttentionBase(Layer):
    """Weighted means of values, with weights from the products of queries and keys.

    Subclasses define how the input is split into queries, keys and values.
    """

    heads: int
    _: KW_ONLY
    causal: bool = False
    dropout: float = 0.0
    recompute: bool = False

    takes_lengths: ClassVar[bool] = True

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_int(where, "heads", self.heads, at_least=1)
        check_flags(where, causal=self.causal, recompute=self.recompute)
        check_number(where, "dropout", self.dropout, "[0, 1)")

    @property
    def uses_key(self) -> bool:  # type: ignore[override]
        return self.dropout > 0.0

    def attend(self, q: Array, k: Array, v: Array, lengths: Array | None, key: Key | None) -> tuple[Array, Cache]:
        """Return the output (N, T, C) of heads (N, H, T or S, D), and what `attend_backward` needs."""
        p, mask = self.weights(q, k, lengths, key)
        y = namespace(q).matmul(p if mask is None else p * mask, v)
        kept = (lengths, key if self.dropout else None) if self.recompute else (p, mask)
        return merge_heads(y), (q, k, v, y, kept)

    def attend_backward(self, cache: Cache, dy: Array) -> tuple[Array, Array, Array]:
        """Return ∂L/∂q, ∂L/∂k and ∂L/∂v."""
        q, k, v, y, kept = cache
        p, mask = self.weights(q, k, *kept) if self.recompute else kept
        xp, matmul = namespace(dy), namespace(dy).matmul
        dy = split_heads(dy, self.heads)  # (N, H, T, D)
        dv = matmul(xp.matrix_transpose(p if mask is None else p * mask), dy)
        g = matmul(dy, xp.matrix_transpose(v))  # ∂L/∂P (N, H, T, S), changed in place to G
        if mask is not None:
            g *= mask
        g -= total(dy * y, axis=-1, keepdims=True)  # Σ ∂L/∂P ⊙ P over the keys
        g *= p
        scale = 1.0 / math.sqrt(q.shape[3])
        return matmul(g, k) * scale, matmul(xp.matrix_transpose(g), q) * scale, dv

    def weights(self, q: Array, k: Array, lengths: Array | None, key: Key | None) -> tuple[Array, Array | None]:
        """Return P (N, H, T, S), and the dropout mask with its scale, or None."""
        xp = namespace(q)
        scores = xp.matmul(q * (1.0 / math.sqrt(q.shape[3])), xp.matrix_transpose(k))
        visible = self._visible(scores, lengths)
        if visible is not None:
            scores = xp.where(visible, scores, -xp.inf)
        p = softmax(scores)
        if key is None or self.dropout == 0.0:
            return p, None
        keep = random.rounded_probability(1.0 - self.dropout)
        return p, xp.astype(random.bernoulli(key, keep, p.shape), p.dtype) * (1.0 / keep)

    def _visible(self, scores: Array, lengths: Array | None) -> Array | None:
        """Return which keys each query may attend to, (1, 1, T, S) or (N, 1, 1 or T, S); None for all."""
        xp, at = namespace(scores), device(scores)
        rows, columns = scores.shape[2:]
        positions = xp.arange(columns, device=at)
        visible = None
        if self.causal:
            visible = (positions <= xp.arange(rows, device=at)[:, None])[None, None, :, :]
        if lengths is not None:
            present = (positions < lengths[:, None])[:, None, None, :]
            visible = present if visible is None else visible & present
        return visible


@dataclass(frozen=True)
class SelfAttention(AttentionBase):
    """Attend from each position of a sequence to the positions of the same sequence.

    .. math::

        P = \\text{softmax}\\Big(\\frac{Q K^T}{\\sqrt{D}}\\Big), \\quad Y = P V, \\qquad
        \\frac{∂L}{∂V} = P^T \\frac{∂L}{∂Y}, \\quad
        G = P ⊙ \\Big(\\frac{∂L}{∂P} - \\sum_s \\frac{∂L}{∂P_s} P_s\\Big), \\quad
        \\frac{∂L}{∂Q} = \\frac{G K}{\\sqrt{D}}, \\quad
        \\frac{∂L}{∂K} = \\frac{G^T Q}{\\sqrt{D}}

    for each head, where ∂L/∂P = ∂L/∂Y Vᵀ. The layer has no parameters: put ``Dense(3 * channels)`` before it, which computes
    queries, keys and values, and ``Dense(channels)`` after it.

    Parameters
    ----------
    heads : int, at least 1
        Number H of heads, which divides the number of channels C.
    causal : bool
        Whether a position attends only to itself and to earlier positions.
    dropout : float, in [0, 1)
        Probability of dropping an entry of P during training.
    recompute : bool
        Whether the backward pass computes P again. The cache then has no array of N·H·T² numbers.
    rotary : bool
        Whether queries and keys are rotated by angles proportional to their positions, so that their products depend on the
        distance of the positions. D must be even.

    Notes
    -----
    Input (N, T, 3C), queries, keys and values side by side, each with the channels of head 1 first; output (N, T, C). Inside a
    `Lengths`, positions at or after an example's length are not attended to. Cache: q, k, v and y of shape (N, H, T, D), and P
    with the dropout mask, or the lengths and the key.

    Raises
    ------
    ValueError
        If the width of the input is not a multiple of 3·heads, or of 6·heads with `rotary`.

    Examples
    --------
    >>> layer = SelfAttention(1, causal=True)
    >>> x = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]])  # two positions; q = k = 0, so P is uniform
    >>> layer.forward({}, x)[0].tolist()
    [[[1.0], [2.0]]]

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", eq. 1; Su et al. (2024), "RoFormer: Enhanced transformer with rotary
    position embedding", eq. 34, with the pairs (i, i + D/2) as in GPT-NeoX; dropout as in Vaswani et al., section 5.4.
    """

    rotary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags("SelfAttention", rotary=self.rotary)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"SelfAttention({self.heads})"
        positions, width = axis_sizes(where, input_shape, "positions", "3 * channels")
        multiple = (6 if self.rotary else 3) * self.heads
        if width % multiple:
            raise ValueError(
                f"{where}: expected input with a multiple of {multiple} features, {'6' if self.rotary else '3'} * heads, got "
                f"{input_shape}; put Dense(3 * channels) before it"
            )
        return {}, (positions, width // 3)

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Array, Cache]:
        x, lengths = x if isinstance(x, tuple) else (x, None)
        q, k, v = (split_heads(part, self.heads) for part in thirds(x))
        if self.rotary:
            q, k = rotate(q, 1.0), rotate(k, 1.0)
        return self.attend(q, k, v, lengths, key)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        dq, dk, dv = self.attend_backward(cache, dy)
        if self.rotary:
            dq, dk = rotate(dq, -1.0), rotate(dk, -1.0)
        return namespace(dy).concat([merge_heads(part) for part in (dq, dk, dv)], axis=-1), {}


@dataclass(frozen=True)
class Attention(AttentionBase):
    """Attend from each position of one sequence to the positions of another.

    The equations are those of `SelfAttention`, with queries from the first input, and keys and values from the second. Put a
    ``Parallel([Dense(channels), Dense(2 * channels)], combine=None)`` before it.

    Parameters
    ----------
    heads, causal, dropout, recompute
        As for `SelfAttention`.

    Notes
    -----
    Input: a tuple of queries (N, T, C), and keys and values side by side (N, S, 2C); output (N, T, C). Inside a `Lengths`, the
    lengths are those of the keys. Cache: as for `SelfAttention`.

    Raises
    ------
    ValueError
        If there are not two inputs, the second is not twice as wide as the first, or heads does not divide C.

    Examples
    --------
    >>> layer = Attention(1)
    >>> q, kv = np.zeros((1, 1, 1)), np.array([[[0.0, 1.0], [0.0, 3.0]]])
    >>> layer.forward({}, (q, kv))[0].tolist()
    [[[2.0]]]

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.2.3.
    """

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"Attention({self.heads})"
        shapes: Any = input_shape
        if not is_multi(shapes) or len(shapes) != 2 or any(len(shape) != 2 for shape in shapes):
            raise ValueError(
                f"{where}: expected two inputs of shapes (positions, channels) and (positions, 2 * channels), got {shapes}"
            )
        (positions, channels), (_, width) = shapes
        if width != 2 * channels or channels % self.heads:
            raise ValueError(
                f"{where}: expected queries with a multiple of {self.heads} features, and keys and values with twice as many, "
                f"got {shapes}; put Parallel([Dense(channels), Dense(2 * channels)], combine=None) before it"
            )
        return {}, (positions, channels)

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Array, Cache]:
        x, lengths = x if isinstance(x[0], tuple) else (x, None)
        queries, pairs = x
        channels = queries.shape[2]
        parts = (queries, pairs[:, :, :channels], pairs[:, :, channels:])
        q, k, v = (split_heads(part, self.heads) for part in parts)
        return self.attend(q, k, v, lengths, key)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        dq, dk, dv = map(merge_heads, self.attend_backward(cache, dy))
        return (dq, namespace(dy).concat([dk, dv], axis=-1)), {}


def thirds(x: Array) -> tuple[Array, Array, Array]:
    """Return three equal parts of the last axis."""
    width = x.shape[2] // 3
    return x[:, :, :width], x[:, :, width : 2 * width], x[:, :, 2 * width :]


def split_heads(x: Array, heads: int) -> Array:
    """Return x (N, T, C) as (N, H, T, D)."""
    xp = namespace(x)
    count, positions, channels = x.shape
    return xp.permute_dims(xp.reshape(x, (count, positions, heads, channels // heads)), (0, 2, 1, 3))


def merge_heads(x: Array) -> Array:
    """Return x (N, H, T, D) as (N, T, C)."""
    xp = namespace(x)
    count, heads, positions, features = x.shape
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3)), (count, positions, heads * features))


def softmax(scores: Array) -> Array:
    """Return softmax over the last axis; a row without a finite score gives zeros."""
    xp = namespace(scores)
    lowest = float(xp.finfo(scores.dtype).min)
    e = _shifted_exp(scores, xp.max(scores, axis=-1, keepdims=True), lowest)
    return e / xp.maximum(total(e, axis=-1, keepdims=True), float(xp.finfo(scores.dtype).smallest_normal))


@fused
def _shifted_exp(scores: Array, largest: Array, lowest: float) -> Array:
    xp = namespace(scores)
    return xp.exp(scores - xp.maximum(largest, lowest))


def rotate(x: Array, sign: float) -> Array:
    """Rotate the pairs (i, i + D/2) of x (N, H, T, D) at position t by sign · t · base^(−2i/D); −1 undoes 1."""
    xp = namespace(x)
    half, wide = x.shape[3] // 2, widened(x)
    index = xp.arange(half, dtype=wide.dtype, device=device(x))
    position = xp.arange(x.shape[2], dtype=wide.dtype, device=device(x))
    angle = position[:, None] * xp.exp(index * (-math.log(ROTARY_BASE) / half))  # (T, D/2)
    cos, sin = xp.cos(angle), sign * xp.sin(angle)
    first, second = wide[..., :half], wide[..., half:]
    return narrowed(xp.concat([first * cos - second * sin, first * sin + second * cos], axis=-1), x.dtype)

"""Matrices inside a layer that an explanation shows in addition to its output.

Legend: N batch, T positions of the queries, S of the keys, H units or heads, D features per head.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any, TypeAlias

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.scan import stacked
from anynet.layers import GRU, LSTM
from anynet.layers.attention import AttentionBase
from anynet.layers.base import Cache, Layer
from anynet.layers.recurrent import hold

Inside: TypeAlias = Iterator[tuple[str, str, str, Array]]
"""Letter, formula as text, formula as LaTeX, and value of each matrix."""


@singledispatch
def inside(layer: Layer, params: Any, cache: Cache) -> Inside:
    """Yield the matrices of a forward pass; register a function for a class of layers."""
    yield from ()


@inside.register
def _(layer: AttentionBase, params: Any, cache: Cache) -> Inside:
    q, k, v, _, kept = cache
    for letter, words, value in (("Q", "queries", q), ("K", "keys", k), ("V", "values", v)):
        words = f"{words} of the heads"
        yield letter, words, rf"\text{{{words}}}", value  # (N, H, T or S, D)
    p, mask = layer.weights(q, k, *kept) if layer.recompute else kept
    yield "P", "softmax(Q·Kᵀ / √D)", r"\text{softmax}(Q K^T / \sqrt{D})", p  # (N, H, T, S)
    if mask is not None:
        yield "M", "mask of the dropout, with its scale", r"\text{mask of the dropout, with its scale}", mask


@inside.register
def _(layer: LSTM, params: Any, cache: Cache) -> Inside:
    _, present, steps = cache
    _, before, gates, g, _ = map(stacked, steps)
    i, f, o = _parts(gates)
    c = hold(present, f * before + i * g, before)
    for letter, value in zip("ifgo", (i, f, g, o), strict=True):
        yield _gate(letter, "tanh" if letter == "g" else "σ", value)
    yield "c", "f ⊙ c of the position before + i ⊙ g", r"f \odot c_{t-1} + i \odot g", _batch_first(c)


@inside.register
def _(layer: GRU, params: Any, cache: Cache) -> Inside:
    _, gates, n, _ = map(stacked, cache[2])
    r, u = _parts(gates)
    yield _gate("r", "σ", r)
    yield _gate("u", "σ", u)
    yield (
        "n",
        "tanh(x·W + b + r ⊙ (h of the position before·U + d))",
        r"\tanh(x_t W + b + r \odot (h_{t-1} U + d))",
        _batch_first(n),
    )


def _gate(letter: str, function: str, value: Array) -> tuple[str, str, str, Array]:
    """Return a gate, which is a function of its columns of the products."""
    text = f"{function}(x·W + h of the position before·U + b), columns {letter}"
    name = {"σ": r"\sigma", "tanh": r"\tanh"}[function]
    latex = rf"{name}(x_t W_{letter} + h_{{t-1}} U_{letter} + b_{letter})"
    return letter, text, latex, _batch_first(value)


def _parts(gates: Array) -> list[Array]:
    """Return the parts (T, N, H) of gates (T, G, N, H)."""
    return [gates[:, k, ...] for k in range(gates.shape[1])]


def _batch_first(steps: Array) -> Array:
    """Return (T, N, H) as (N, T, H)."""
    return namespace(steps).permute_dims(steps, (1, 0, 2))

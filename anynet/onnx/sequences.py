"""Writers of the layers of sequences. ONNX has LSTM and GRU; attention is its products and a Softmax.

Legend: N batch, T positions, S positions of the keys, H heads or units, D features per head, C channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anynet.checks import ANY_SIZE
from anynet.layers import GRU, LSTM, Attention, GlobalAvgPool1D, Lengths, Position, SelfAttention, Tied
from anynet.layers.attention import ROTARY_BASE
from anynet.layers.base import Params
from anynet.layers.global_pooling import GlobalAvgPool
from anynet.onnx.graph import Graph, Value, output_shape
from anynet.onnx.registry import write

INFINITY = float("inf")
FLOATS = {"float32": 1, "float64": 11}
INT32 = 6
"""ONNX's numbers of types."""


@write.register(Position)
def _(layer: Position, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(graph.last(x), "Add", graph.constant(f"{path}.weight", params["weight"]))


@write.register(Tied)
def _(layer: Tied, graph: Graph, params: Params, x: Value, path: str) -> Value:
    table = graph.constant(f"{path}.weight", params["weight"])
    looked_up = Value(graph.node("Gather", table, x.name), (*x.shape, layer.features))
    h = graph.last(graph.write(layer.layer, params["layer"], looked_up, f"{path}.layer"))
    columns = graph.node("Transpose", table, perm=(1, 0))
    return Value(graph.node("MatMul", h.name, columns), (*h.shape[:-1], layer.entries))


@write.register(Lengths)
def _(layer: Lengths, graph: Graph, params: Params, x: Any, path: str) -> Any:
    sequence, lengths = x
    outside, graph.lengths = graph.lengths, lengths.name
    y = graph.write(layer.layer, params["layer"], sequence, f"{path}.layer")
    graph.lengths = outside
    return y


@write.register(GlobalAvgPool1D)
def _(layer: GlobalAvgPool1D, graph: Graph, params: Params, x: Value, path: str) -> Value:
    if graph.lengths is None:
        return write.registry[GlobalAvgPool](layer, graph, params, x, path)
    present = graph.node("Cast", _present(graph, x), to=FLOATS[graph.dtype.name])  # (N, L)
    total = graph.node("MatMul", graph.node("Unsqueeze", present, graph.integers(1)), graph.last(x).name)  # (N, 1, C)
    lengths = graph.node("Max", graph.lengths, graph.integers(1))
    count = graph.node("Cast", graph.node("Unsqueeze", lengths, graph.integers(1)), to=FLOATS[graph.dtype.name])
    return Value(graph.node("Div", graph.node("Squeeze", total, graph.integers(1)), count), x.shape[1:])


def _present(graph: Graph, x: Value) -> str:
    """Return which positions (N, T) of x are before the end of the sequence."""
    assert graph.lengths is not None
    return graph.node("Less", _positions(graph, x), graph.node("Unsqueeze", graph.lengths, graph.integers(1)))


def _positions(graph: Graph, x: Value) -> str:
    """Return the numbers (T,) of the positions of x."""
    if x.shape[0] != ANY_SIZE:
        return graph.constant(f"positions.{x.shape[0]}", np.arange(x.shape[0]))
    size = graph.node("Squeeze", graph.node("Shape", graph.last(x).name, start=1, end=2), graph.integers(0))
    first, step = (graph.constant(f"integers.one.{number}", np.array(number)) for number in (0, 1))
    return graph.node("Range", first, size, step)


# Attention --------------------------------------------------------------------------------------------------------------


@write.register(SelfAttention)
def _(layer: SelfAttention, graph: Graph, params: Params, x: Value, path: str) -> Value:
    x = graph.last(x)
    channels = x.shape[1] // 3
    parts = graph.several(3, "Split", x.name, graph.integers(*[channels] * 3), axis=-1)
    q, k, v = (_heads(graph, part, layer.heads, channels) for part in parts)
    if layer.rotary:
        cos, sin = _angles(graph, x, channels // layer.heads)
        q, k = _rotated(graph, q, cos, sin), _rotated(graph, k, cos, sin)
    return Value(_attend(layer, graph, q, k, v, x, x, channels), output_shape(layer, x))


@write.register(Attention)
def _(layer: Attention, graph: Graph, params: Params, x: Any, path: str) -> Value:
    queries, pairs = map(graph.last, x)
    channels = queries.shape[1]
    parts = graph.several(2, "Split", pairs.name, graph.integers(channels, channels), axis=-1)
    q = _heads(graph, queries.name, layer.heads, channels)
    k, v = (_heads(graph, part, layer.heads, channels) for part in parts)
    return Value(_attend(layer, graph, q, k, v, queries, pairs, channels), output_shape(layer, x))


def _heads(graph: Graph, x: str, heads: int, channels: int) -> str:
    """Return (N, T, C) as (N, H, T, D)."""
    apart = graph.node("Reshape", x, graph.integers(0, 0, heads, channels // heads))
    return graph.node("Transpose", apart, perm=(0, 2, 1, 3))


def _attend(layer: Any, graph: Graph, q: str, k: str, v: str, queries: Value, keys: Value, channels: int) -> str:
    """Return the output (N, T, C) of heads (N, H, T or S, D), whose positions are those of `queries` and `keys`."""
    scale = graph.number(1.0 / math.sqrt(channels // layer.heads))
    scores = graph.node("MatMul", graph.node("Mul", q, scale), graph.node("Transpose", k, perm=(0, 1, 3, 2)))
    if layer.causal:
        scores = _without_later(graph, scores, queries, keys)
    if graph.lengths is None:
        p = graph.node("Softmax", scores, axis=-1)
    else:
        present = graph.node("Unsqueeze", _present(graph, keys), graph.integers(1, 2))  # (N, 1, 1, S)
        seen = graph.node("Where", present, scores, graph.number(-INFINITY))
        p = graph.node("Where", present, graph.node("Softmax", seen, axis=-1), graph.number(0.0))
    y = graph.node("Transpose", graph.node("MatMul", p, v), perm=(0, 2, 1, 3))
    return graph.node("Reshape", y, graph.integers(0, 0, channels))


def _without_later(graph: Graph, scores: str, queries: Value, keys: Value) -> str:
    """Return scores (N, H, T, S) that are −∞ where the key comes after the query."""
    sizes = queries.shape[0], keys.shape[0]
    if ANY_SIZE not in sizes:
        mask = np.where(np.arange(sizes[1]) > np.arange(sizes[0])[:, None], -INFINITY, 0.0)
        return graph.node("Add", scores, graph.constant(f"positions.causal.{sizes[0]}.{sizes[1]}", mask))
    rows = graph.node("Unsqueeze", _positions(graph, queries), graph.integers(1))
    later = graph.node("Greater", _positions(graph, keys), rows)
    return graph.node("Where", later, graph.number(-INFINITY), scores)


def _angles(graph: Graph, x: Value, features: int) -> tuple[str, str]:
    """Return the cosines and sines (T, D/2) of the rotation."""
    half, positions = features // 2, x.shape[0]
    frequencies = ROTARY_BASE ** (-np.arange(half) / half)
    if positions == ANY_SIZE:
        numbers = graph.node("Cast", _positions(graph, x), to=FLOATS[graph.dtype.name])
        rows = graph.node("Unsqueeze", numbers, graph.integers(1))
        angles = graph.node("Mul", rows, graph.constant(f"positions.frequencies.{features}", frequencies))
        return graph.node("Cos", angles), graph.node("Sin", angles)
    return tuple(  # type: ignore[return-value]
        graph.constant(f"positions.{name}.{positions}.{features}", f(np.arange(positions)[:, None] * frequencies))
        for name, f in (("cos", np.cos), ("sin", np.sin))
    )


def _rotated(graph: Graph, x: str, cos: str, sin: str) -> str:
    first, second = graph.several(2, "Split", x, axis=-1, **({"num_outputs": 2} if graph.opset >= 18 else {}))
    turned = (
        graph.node("Sub", graph.node("Mul", first, cos), graph.node("Mul", second, sin)),
        graph.node("Add", graph.node("Mul", first, sin), graph.node("Mul", second, cos)),
    )
    return graph.node("Concat", *turned, axis=-1)


# Recurrence -------------------------------------------------------------------------------------------------------------

ORDERS = {LSTM: (0, 3, 1, 2), GRU: (1, 0, 2)}
"""The positions of ONNX's gates among ours: i, o, f, c of i, f, g, o; z, r, h of r, u, n."""


@write.register(LSTM)
@write.register(GRU)
def _(layer: Any, graph: Graph, params: Params, x: Value, path: str) -> Value:
    order = next(order for kind, order in ORDERS.items() if isinstance(layer, kind))
    arrays = [
        graph.constant(f"{path}.weight", _reordered(params["weight"], order)),
        graph.constant(f"{path}.recurrent_weight", _reordered(params["recurrent_weight"], order)),
        _biases(layer, graph, params, path, order),
    ]
    options = {"linear_before_reset": 1} if isinstance(layer, GRU) else {}
    lengths = "" if graph.lengths is None else graph.node("Cast", graph.lengths, to=INT32)
    times_first = graph.node("Transpose", graph.last(x).name, perm=(1, 0, 2))
    sequence, last = graph.several(
        2,
        "GRU" if isinstance(layer, GRU) else "LSTM",
        times_first,
        *arrays,
        lengths,
        hidden_size=layer.units,
        direction="reverse" if layer.reverse else "forward",
        **options,
    )
    last = graph.node("Squeeze", last, graph.integers(0))  # (N, H)
    if not layer.sequences:
        return Value(last, (layer.units,))
    y = graph.node("Transpose", graph.node("Squeeze", sequence, graph.integers(1)), perm=(1, 0, 2))
    if graph.lengths is not None and not layer.reverse:  # ONNX ends with zeros, anynet keeps the last state
        present = graph.node("Unsqueeze", _present(graph, x), graph.integers(2))  # (N, T, 1)
        y = graph.node("Where", present, y, graph.node("Unsqueeze", last, graph.integers(1)))
    return Value(y, (x.shape[0], layer.units))


def _reordered(weight: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return a weight (I, gates·H) as ONNX's (1, gates·H, I)."""
    gates = np.split(np.asarray(weight), len(order), axis=-1)
    return np.concatenate([gates[i] for i in order], axis=-1).T[None]


def _biases(layer: Any, graph: Graph, params: Params, path: str, order: tuple[int, ...]) -> str:
    """Return the two biases of ONNX, of shape (1, 2·gates·H)."""
    first = graph.constant(
        f"{path}.bias", np.concatenate([np.split(params["bias"], len(order))[i] for i in order])[None]
    )
    if not isinstance(layer, GRU):
        zeros = graph.constant(f"number.zeros.{4 * layer.units}", np.zeros((1, 4 * layer.units)))
        return graph.node("Concat", first, zeros, axis=1)
    zeros = graph.constant(f"number.zeros.{2 * layer.units}", np.zeros((1, 2 * layer.units)))
    last = graph.constant(f"{path}.recurrent_bias", params["recurrent_bias"][None])
    return graph.node("Concat", first, zeros, last, axis=1)

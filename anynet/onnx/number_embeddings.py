"""Writers of embeddings of numbers."""

from __future__ import annotations

import math

from anynet.layers import PeriodicEmbedding, PiecewiseLinear
from anynet.layers.base import Params
from anynet.onnx.graph import Graph, Value
from anynet.onnx.registry import write


@write.register(PeriodicEmbedding)
def _(layer: PeriodicEmbedding, graph: Graph, params: Params, x: Value, path: str) -> Value:
    names = {name: graph.constant(f"{path}.{name}", array) for name, array in params.items()}
    column = graph.node("Unsqueeze", x.name, graph.integers(2))  # (N, F, 1)
    turns = graph.node("Mul", graph.node("Mul", column, names["frequency"]), graph.number(2.0 * math.pi))
    cosine = graph.node("Cos", graph.node("Add", turns, names["phase"]))
    y = graph.node("Add", _each_matmul(graph, cosine, names["weight"]), names["bias"])
    return Value(graph.node("Concat", column, y, axis=2), (x.shape[0], layer.features))


@write.register(PiecewiseLinear)
def _(layer: PiecewiseLinear, graph: Graph, params: Params, x: Value, path: str) -> Value:
    names = {name: graph.constant(f"{path}.{name}", array) for name, array in params.items()}
    column, zero, one = graph.node("Unsqueeze", x.name, graph.integers(2)), graph.number(0.0), graph.number(1.0)
    u = graph.node("Mul", graph.node("Sub", column, names["left"]), names["slope"])  # (N, F, B)
    inside = graph.node("Min", graph.node("Max", u, zero), one)
    below = graph.node("Mul", names["below"], graph.node("Min", u, zero))
    above = graph.node("Mul", names["above"], graph.node("Max", graph.node("Sub", u, one), zero))
    t = graph.node("Add", graph.node("Add", inside, below), above)
    linear = graph.node("Add", graph.node("Mul", column, names["weight"]), names["bias"])
    y = graph.node("Add", _each_matmul(graph, t, names["bin_weight"]), linear)
    return Value(y, (x.shape[0], layer.features))


def _each_matmul(graph: Graph, x: str, weight: str) -> str:
    """Return x (N, F, I) times the matrix of each column (F, I, O)."""
    y = graph.node("MatMul", graph.node("Transpose", x, perm=(1, 0, 2)), weight)
    return graph.node("Transpose", y, perm=(1, 0, 2))

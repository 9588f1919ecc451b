"""Writers of the layers of ensembles."""

from __future__ import annotations

from anynet.layers import BatchEnsemble, EachDense, Members
from anynet.layers.base import Params
from anynet.onnx.graph import Graph, Value
from anynet.onnx.registry import write


@write.register(Members)
def _(layer: Members, graph: Graph, params: Params, x: Value, path: str) -> Value:
    weight = graph.constant(f"{path}.weight", params["weight"])
    each = graph.node("Unsqueeze", x.name, graph.integers(1))  # (N, 1, I)
    return Value(graph.node("Mul", each, weight), params["weight"].shape)


@write.register(BatchEnsemble)
def _(layer: BatchEnsemble, graph: Graph, params: Params, x: Value, path: str) -> Value:
    names = {name: graph.constant(f"{path}.{name}", array) for name, array in params.items()}
    y = graph.last(x).name
    if layer.use_r:
        y = graph.node("Mul", y, names["r"])
    y = graph.node("Mul", graph.node("MatMul", y, names["weight"]), names["s"])
    return Value(graph.node("Add", y, names["bias"]) if layer.use_bias else y, params["s"].shape)


@write.register(EachDense)
def _(layer: EachDense, graph: Graph, params: Params, x: Value, path: str) -> Value:
    names = {name: graph.constant(f"{path}.{name}", array) for name, array in params.items()}
    members_first = graph.node("Transpose", graph.last(x).name, perm=(1, 0, 2))
    y = graph.node("Transpose", graph.node("MatMul", members_first, names["weight"]), perm=(1, 0, 2))
    return Value(graph.node("Add", y, names["bias"]) if layer.use_bias else y, (x.shape[0], layer.units))

"""Writers of containers, by recursion."""

from __future__ import annotations

from functools import reduce
from typing import Any

from anynet.layers import Blend, Frozen, Parallel, Repeat, Residual, Sequential, Shared
from anynet.layers.base import Params
from anynet.onnx.graph import Graph, Value
from anynet.onnx.registry import write


@write.register(Sequential)
def _(layer: Sequential, graph: Graph, params: Params, x: Any, path: str) -> Any:
    for key, child in layer.children():
        x = graph.write(child, params[key], x, f"{path}.{key}")
    return x


@write.register(Frozen)
def _(layer: Frozen, graph: Graph, params: Params, x: Any, path: str) -> Any:
    return graph.write(layer.layer, params["layer"], x, f"{path}.layer")


@write.register(Repeat)
def _(layer: Repeat, graph: Graph, params: Params, x: Any, path: str) -> Any:
    for _ in range(layer.times):
        x = graph.write(layer.layer, params["layer"], x, f"{path}.layer")
    return x


@write.register(Shared)
def _(layer: Shared, graph: Graph, params: Params, x: Any, path: str) -> Any:
    return tuple(graph.write(layer.layer, params["layer"], one, f"{path}.layer") for one in x)


@write.register(Residual)
def _(layer: Residual, graph: Graph, params: Params, x: Any, path: str) -> Value:
    return _sum(graph, [graph.write(child, params[key], x, f"{path}.{key}") for key, child in layer.children()])


@write.register(Parallel)
def _(layer: Parallel, graph: Graph, params: Params, x: Any, path: str) -> Any:
    inputs = x if isinstance(x, tuple) else (x,) * len(layer.branches)
    ys = [
        graph.write(child, params[key], one, f"{path}.{key}")
        for (key, child), one in zip(layer.children(), inputs, strict=True)
    ]
    if layer.combine is None:
        return tuple(ys)
    if layer.combine == "add":
        return _sum(graph, ys)
    ys = graph.in_one_order(ys)
    name = graph.node("Concat", *(y.name for y in ys), axis=ys[0].channel_axis)
    return Value(name, (*ys[0].shape[:-1], sum(y.shape[-1] for y in ys)), ys[0].channels_first)


@write.register(Blend)
def _(layer: Blend, graph: Graph, params: Params, x: Any, path: str) -> Value:
    x, y = graph.in_one_order([x, graph.write(layer.layer, params["layer"], x, f"{path}.layer")])
    part = graph.node("Mul", graph.node("Sub", y.name, x.name), graph.per_channel(x, f"{path}.alpha", params["alpha"]))
    return graph.same(x, "Add", part)


def _sum(graph: Graph, values: list[Value]) -> Value:
    return reduce(lambda a, b: graph.same(a, "Add", b.name), graph.in_one_order(values))

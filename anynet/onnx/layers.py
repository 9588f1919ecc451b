"""Writers of the layers with parameters, windows or shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anynet.layers import (
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    LayerNorm,
    MaxPool2D,
    Rescale,
    Reshape,
    RMSNorm,
)
from anynet.layers.base import Params
from anynet.layers.windows import pads
from anynet.onnx.graph import Graph, Value, output_shape
from anynet.onnx.registry import write


@write.register(Dense)
def _(layer: Dense, graph: Graph, params: Params, x: Value, path: str) -> Value:
    x, shape = graph.last(x), (*x.shape[:-1], layer.units)
    arrays = [graph.constant(f"{path}.{name}", array) for name, array in params.items()]
    if len(shape) == 1:
        return Value(graph.node("Gemm", x.name, *arrays), shape)
    y = graph.node("MatMul", x.name, arrays[0])
    return Value(graph.node("Add", y, arrays[1]) if layer.use_bias else y, shape)


@write.register(Conv2D)
@write.register(Conv1D)
def _(layer: Any, graph: Graph, params: Params, x: Value, path: str) -> Value:
    axes = len(x.shape) - 1
    sizes, strides, dilations = (_per_axis(v, axes) for v in (layer.kernel_size, layer.stride, layer.dilation))
    padding = layer.padding if isinstance(layer.padding, str) or axes == 2 else (layer.padding,)
    weight = graph.constant(f"{path}.weight", np.moveaxis(params["weight"], (-1, -2), (0, 1)))  # (F, C/G, ...)
    bias = [graph.constant(f"{path}.bias", params["bias"])] if layer.use_bias else []
    y = graph.node(
        "Conv",
        graph.channels_first(x).name,
        weight,
        *bias,
        kernel_shape=sizes,
        strides=strides,
        dilations=dilations,
        group=layer.groups,
        pads=_pads(padding, x, sizes, strides, dilations),
    )
    return Value(y, output_shape(layer, x), True)


@write.register(MaxPool2D)
def _(layer: MaxPool2D, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return _pool(layer, graph, x, "MaxPool")


@write.register(AvgPool2D)
def _(layer: AvgPool2D, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return _pool(layer, graph, x, "AveragePool", count_include_pad=1)


@write.register(GlobalAvgPool2D)
def _(layer: GlobalAvgPool2D, graph: Graph, params: Params, x: Value, path: str) -> Value:
    means = graph.node("GlobalAveragePool", graph.channels_first(x).name)  # (N, C, 1, 1)
    return Value(graph.node("Flatten", means), x.shape[-1:])


@write.register(Embedding)
def _(layer: Embedding, graph: Graph, params: Params, x: Value, path: str) -> Value:
    table = graph.constant(f"{path}.weight", params["weight"])
    return Value(graph.node("Gather", table, graph.last(x).name), (*x.shape, layer.features))


@write.register(BatchNorm)
def _(layer: BatchNorm, graph: Graph, params: Params, x: Value, path: str) -> Value:
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = (graph.constant(f"{path}.{name}", params[name]) for name in names)
    return graph.same(graph.channels_first(x), "BatchNormalization", *arrays, epsilon=layer.epsilon)


@write.register(LayerNorm)
def _(layer: LayerNorm, graph: Graph, params: Params, x: Value, path: str) -> Value:
    arrays = (graph.constant(f"{path}.{name}", params[name]) for name in ("weight", "bias"))
    return graph.same(graph.last(x), "LayerNormalization", *arrays, axis=-1, epsilon=layer.epsilon)


@write.register(RMSNorm)
def _(layer: RMSNorm, graph: Graph, params: Params, x: Value, path: str) -> Value:
    x, weight = graph.last(x), graph.constant(f"{path}.weight", params["weight"])
    if graph.opset >= 23:
        return graph.same(x, "RMSNormalization", weight, axis=-1, epsilon=layer.epsilon)
    square = graph.node("Pow", x.name, graph.number(2.0))
    mean = _mean(graph, square)
    root = graph.node("Sqrt", graph.node("Add", mean, graph.number(layer.epsilon)))
    return graph.same(graph.same(x, "Div", root), "Mul", weight)


@write.register(Flatten)
def _(layer: Flatten, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return x if len(x.shape) == 1 else graph.reshape(x, (math.prod(x.shape),))


@write.register(Reshape)
def _(layer: Reshape, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.reshape(x, layer.shape)


@write.register(Rescale)
def _(layer: Rescale, graph: Graph, params: Params, x: Value, path: str) -> Value:
    y = graph.same(x, "Mul", graph.number(layer.scale))
    return graph.same(y, "Add", graph.number(layer.offset)) if layer.offset else y


def _pool(layer: Any, graph: Graph, x: Value, op: str, **attributes: int) -> Value:
    y = graph.node(
        op,
        graph.channels_first(x).name,
        kernel_shape=layer.pool_size,
        strides=layer.stride,
        pads=_pads(layer.padding, x, layer.pool_size, layer.stride, (1, 1)),
        **attributes,
    )
    return Value(y, output_shape(layer, x), True)


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * axes


def _pads(padding: Any, x: Value, *windows: tuple[int, ...]) -> list[int]:
    """Return the zeros before each axis, then those after each axis."""
    lengths = zip(x.shape[:-1], *windows, strict=True)
    before, after = zip(*(pads(padding, axis, *window) for axis, window in enumerate(lengths)), strict=True)
    return [*before, *after]


def _mean(graph: Graph, x: str) -> str:
    """Return the mean over the last axis, which remains with length 1."""
    if graph.opset < 18:
        return graph.node("ReduceMean", x, axes=[-1])
    return graph.node("ReduceMean", x, graph.integers(-1))

"""Writers of the layers with parameters, windows or shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anynet.checks import ANY_SIZE
from anynet.layers import (
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Columns,
    Conv1D,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    Rescale,
    Reshape,
    RMSNorm,
    Scale,
)
from anynet.layers.base import Layer, Params
from anynet.layers.global_pooling import GlobalAvgPool
from anynet.layers.windows import pads
from anynet.onnx.graph import Graph, Value, mean_over, output_shape
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
    weight = graph.constant(f"{path}.weight", np.moveaxis(params["weight"], (-1, -2), (0, 1)))  # (F, C/G, ...)
    bias = [graph.constant(f"{path}.bias", params["bias"])] if layer.use_bias else []
    window = _window(layer, x, layer.kernel_size, layer.dilation)
    y = graph.node("Conv", graph.channels_first(x).name, weight, *bias, group=layer.groups, **window)
    return Value(y, output_shape(layer, x), True)


@write.register(MaxPool1D)
@write.register(MaxPool2D)
def _(layer: Any, graph: Graph, params: Params, x: Value, path: str) -> Value:
    window = _window(layer, x, layer.pool_size)
    return Value(graph.node("MaxPool", graph.channels_first(x).name, **window), output_shape(layer, x), True)


@write.register(AvgPool1D)
@write.register(AvgPool2D)
def _(layer: Any, graph: Graph, params: Params, x: Value, path: str) -> Value:
    window = _window(layer, x, layer.pool_size) | {"count_include_pad": 1}
    del window["dilations"]  # new in opset 19
    return Value(graph.node("AveragePool", graph.channels_first(x).name, **window), output_shape(layer, x), True)


@write.register(GlobalAvgPool)
def _(layer: Layer, graph: Graph, params: Params, x: Value, path: str) -> Value:
    means = graph.node("GlobalAveragePool", graph.channels_first(x).name)  # (N, C, 1, ...)
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
    mean = mean_over(graph, square, -1, keepdims=True)
    root = graph.node("Sqrt", graph.node("Add", mean, graph.number(layer.epsilon)))
    return graph.same(graph.same(x, "Div", root), "Mul", weight)


@write.register(Flatten)
def _(layer: Flatten, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return x if len(x.shape) == 1 else graph.reshape(x, (math.prod(x.shape),))


@write.register(Reshape)
def _(layer: Reshape, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.reshape(x, layer.shape)


@write.register(Columns)
def _(layer: Columns, graph: Graph, params: Params, x: Value, path: str) -> Value:
    part = graph.node("Slice", graph.last(x).name, *(graph.integers(value) for value in (layer.start, layer.stop, -1)))
    return Value(part, (*x.shape[:-1], layer.stop - layer.start))


@write.register(Rescale)
def _(layer: Rescale, graph: Graph, params: Params, x: Value, path: str) -> Value:
    y = graph.same(x, "Mul", graph.number(layer.scale))
    return graph.same(y, "Add", graph.number(layer.offset)) if layer.offset else y


@write.register(Scale)
def _(layer: Scale, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "Mul", graph.per_channel(x, f"{path}.weight", params["weight"]))


def _window(layer: Any, x: Value, size: Any, dilation: Any = 1) -> dict[str, Any]:
    """Return the attributes of a sliding window; `pads` lists the numbers before each axis, then those after."""
    axes = len(x.shape) - 1
    sizes, strides, dilations = (v if isinstance(v, tuple) else (v,) * axes for v in (size, layer.stride, dilation))
    window = {"kernel_shape": sizes, "strides": strides, "dilations": dilations}
    free = [axis for axis in range(axes) if x.shape[axis] == ANY_SIZE and strides[axis] > 1]
    if layer.padding == "same" and free:
        if any(dilation > 1 for dilation in dilations):
            raise ValueError(
                f"to_onnx: expected padding in numbers with a stride, a dilation and any length, got {layer!r}; "
                "onnxruntime has no such padding"
            )
        return {**window, "auto_pad": "SAME_UPPER"}  # an odd zero at the end, as here
    padding = layer.padding if isinstance(layer.padding, str) or axes > 1 else (layer.padding,)
    around = [pads(padding, axis, x.shape[axis], sizes[axis], strides[axis], dilations[axis]) for axis in range(axes)]
    before, after = zip(*around, strict=True)
    return {**window, "pads": [*before, *after]}

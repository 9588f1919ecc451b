"""Writers of activations, and of the layers that do nothing at inference."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from anynet.layers import (
    ELU,
    GELU,
    SELU,
    AlphaDropout,
    Dropout,
    GaussianNoise,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from anynet.layers.base import Layer, Params
from anynet.layers.rectifiers import SELU_ALPHA, SELU_SCALE
from anynet.onnx.graph import Graph, Value
from anynet.onnx.registry import write


@write.register(Identity)
@write.register(Dropout)
@write.register(AlphaDropout)
@write.register(GaussianNoise)
def _(layer: Layer, graph: Graph, params: Params, x: Any, path: str) -> Any:
    return x


@write.register(LeakyReLU)
def _(layer: LeakyReLU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "LeakyRelu", alpha=layer.negative_slope)


@write.register(PReLU)
def _(layer: PReLU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "PRelu", graph.per_channel(x, f"{path}.weight", params["weight"]))


@write.register(ELU)
def _(layer: ELU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "Elu", alpha=layer.alpha)


@write.register(SELU)
def _(layer: SELU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "Selu", alpha=SELU_ALPHA, gamma=SELU_SCALE)


@write.register(SiLU)
def _(layer: SiLU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "Mul", graph.node("Sigmoid", x.name))


@write.register(Mish)
def _(layer: Mish, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, "Mul", graph.node("Tanh", graph.node("Softplus", x.name)))


@write.register(GELU)
def _(layer: GELU, graph: Graph, params: Params, x: Value, path: str) -> Value:
    if graph.opset >= 20:
        return graph.same(x, "Gelu", approximate=layer.approximate)
    # in the order of operations that onnxruntime recognizes and runs as one kernel
    if layer.approximate == "none":
        bent = graph.node("Erf", graph.node("Div", x.name, graph.number(math.sqrt(2.0))))
    else:
        cube = graph.node("Mul", graph.node("Pow", x.name, graph.number(3.0)), graph.number(0.044715))
        argument = graph.node("Mul", graph.node("Add", x.name, cube), graph.number(math.sqrt(2.0 / math.pi)))
        bent = graph.node("Tanh", argument)
    y = graph.same(x, "Mul", graph.node("Add", bent, graph.number(1.0)))
    return graph.same(y, "Mul", graph.number(0.5))


def _elementwise(op: str, layer: Layer, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, op)


def _over_channels(op: str, layer: Layer, graph: Graph, params: Params, x: Value, path: str) -> Value:
    return graph.same(x, op, axis=x.channel_axis)


_ELEMENTWISE: dict[type[Layer], str] = {ReLU: "Relu", Sigmoid: "Sigmoid", Softplus: "Softplus", Tanh: "Tanh"}
_OVER_CHANNELS: dict[type[Layer], str] = {Softmax: "Softmax", LogSoftmax: "LogSoftmax"}

for _kind, _op in _ELEMENTWISE.items():
    write.register(_kind, partial(_elementwise, _op))
for _kind, _op in _OVER_CHANNELS.items():
    write.register(_kind, partial(_over_channels, _op))

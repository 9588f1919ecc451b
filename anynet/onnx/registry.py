"""The table of writers, one per class of layers."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from anynet.layers.base import Layer, Params

if TYPE_CHECKING:
    from anynet.onnx.graph import Graph


@singledispatch
def write(layer: Layer, graph: Graph, params: Params, x: Any, path: str) -> Any:
    """Add the nodes of a layer to a graph; `write.register` adds a class of layers.

    Parameters
    ----------
    layer : Layer
        The layer; its class selects the function.
    graph : Graph
        The graph under construction.
    params : dict of numpy.ndarray
        The parameters of the layer.
    x : Value
        The input, or a tuple of inputs.
    path : str
        Path of the layer in `Model.params`, such as ``"2.body.0"``, for the names of constants.

    Returns
    -------
    Value
        The output, or a tuple of outputs.

    Raises
    ------
    TypeError
        If the class has no function.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Doubled(Layer):
    ...     def forward(self, params, x, *, key=None):
    ...         return 2.0 * x, None
    >>> @write.register(Doubled)
    ... def _(layer, graph, params, x, path):
    ...     return graph.same(x, "Mul", graph.number(2.0))
    """
    where = f" at {path}" if path else ""
    raise TypeError(
        f"to_onnx: expected layers that ONNX has, got {layer!r}{where}; register one with anynet.onnx.write.register"
    )

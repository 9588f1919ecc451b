"""Export of models to ONNX, by a table with one function per class of layers.

`to_onnx` converts a model, and `write.register` adds a class of layers to the table. A function of the table adds the nodes of a
layer to a `Graph` and returns the output, a `Value`. It requires the extra ``onnx``.

>>> import anynet
>>> model = anynet.Model([anynet.Dense(8), anynet.Dropout(0.5), anynet.Dense(2)], input_shape=3)
>>> [node.op_type for node in model.to_onnx().graph.node]
['Gemm', 'Gemm']
"""

from anynet.onnx import (  # noqa: F401
    activations as _activations,
    containers as _containers,
    layers as _layers,
    members as _members,
    number_embeddings as _number_embeddings,
    sequences as _sequences,
)
from anynet.onnx.export import to_onnx as to_onnx
from anynet.onnx.graph import Graph as Graph, Value as Value
from anynet.onnx.registry import write as write

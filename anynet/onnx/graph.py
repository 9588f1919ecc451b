"""An ONNX graph under construction: nodes, constants, and values with their shapes and axis order.

ONNX's convolutions, pooling and batch normalization take channels first, anynet's layers channels last. A `Value` therefore
carries its order, and a Transpose is written only where a layer requires the other order: for a CNN one at its beginning and
one before `Flatten`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.placeholder import PlaceholderGenerator
from anynet.checks import ANY_SIZE
from anynet.layers.base import Layer, Params
from anynet.onnx.registry import write

MAX_BYTES = 2**31 - 2**20
"""Upper bound of the arrays of a graph. A message of protobuf has less than 2 GiB, including names and nodes."""


@dataclass(frozen=True)
class Value:
    """An array in the graph.

    Attributes
    ----------
    name : str
        Name of the node output or graph input.
    shape : tuple of int
        Shape of one example as in anynet: without the batch axis, channels last, `ANY_SIZE` for an axis of any size.
    channels_first : bool
        Whether the array in the graph has axes (N, channels, ...). Only arrays with a shape of two or more axes can.
    """

    name: str
    shape: tuple[int, ...]
    channels_first: bool = False

    @property
    def channel_axis(self) -> int:
        """The axis of the channels in the graph, 1 or −1."""
        return 1 if self.channels_first else -1


class Graph:
    """The nodes and constants of an ONNX graph under construction.

    Parameters
    ----------
    opset : int
        Version of the operators.
    dtype : "float32" or "float64"
        Data type of all floating-point arrays.

    Examples
    --------
    >>> graph = Graph(18, "float32")
    >>> x = graph.input("x", (3,))
    >>> y = graph.same(x, "Mul", graph.number(2.0))
    >>> y.shape, [node.op_type for node in graph.nodes]
    ((3,), ['Mul'])
    """

    def __init__(self, opset: int, dtype: str) -> None:
        self.opset, self.dtype = opset, np.dtype(dtype)
        self.lengths: str | None = None
        """Lengths (N,) of the sequences, while the network of a `Lengths` is written."""
        self.nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: dict[str, Any] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._other_order: dict[Value, Value] = {}
        self._path = ""
        self._names: set[str] = set()

    # -- for writers --------------------------------------------------------------------------------------------------

    def write(self, layer: Layer, params: Params, x: Any, path: str) -> Any:
        """Add the nodes of a layer and return its output.

        Containers call this for their children. The output is a `Value`, or a tuple of them.

        Raises
        ------
        TypeError
            If the layer's class has no writer.
        ValueError
            If the writer returned a value of another shape than the layer does.
        """
        path = path.removeprefix(".")
        outside, self._path = self._path, path
        y = write_of(layer, path)(layer, self, params, x, path)
        self._path = outside
        if shapes(y) != output_shape(layer, x):
            raise ValueError(
                f"to_onnx: expected the writer of {layer!r}{_at(path)} to return shape {output_shape(layer, x)}, "
                f"got {shapes(y)}"
            )
        return y

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        return self.several(1, op, *inputs, **attributes)[0]

    def several(self, count: int, op: str, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs, such as those of LSTM, and return their names."""
        from onnx import helper

        names = [self._new_name(f"{self._path}.{op}" if self._path else op) for _ in range(count)]
        self.nodes.append(helper.make_node(op, inputs, names, names[0], **attributes))
        return names

    def constant(self, name: str, array: Any) -> str:
        """Add an array under a name, and return the name.

        Floats are converted to the dtype of the graph. Name the parameters of a layer ``f"{path}.weight"``, as in `Model.params`.

        Raises
        ------
        ValueError
            If the name belongs to another array.
        """
        name, array = name.removeprefix("."), np.asarray(array)
        array = np.ascontiguousarray(array.astype(self.dtype) if array.dtype.kind == "f" else array)
        known = self._constants.setdefault(name, array)
        if known is not array and not np.array_equal(known, array):
            raise ValueError(
                f"to_onnx: expected one array of the name {name!r}, got two that differ; use the layer's path"
            )
        return name

    def number(self, value: float) -> str:
        """Add a 0-d constant and return its name."""
        return self.constant(f"number.{value!r}", np.array(value, dtype=self.dtype))

    def integers(self, *values: int) -> str:
        """Add a 1-d constant of int64, as for axes and shapes, and return its name."""
        return self.constant(f"integers.{'_'.join(map(str, values))}", np.array(values, dtype=np.int64))

    def same(self, x: Value, op: str, *inputs: str, **attributes: Any) -> Value:
        """Add a node that keeps the shape of x, its first input, and return its output."""
        return Value(self.node(op, x.name, *inputs, **attributes), x.shape, x.channels_first)

    def last(self, x: Value) -> Value:
        """Return x with channels last, transposed if necessary."""
        return self._transposed(x) if x.channels_first else x

    def channels_first(self, x: Value) -> Value:
        """Return x with channels first, transposed if necessary; a vector of features remains unchanged."""
        return x if x.channels_first or len(x.shape) < 2 else self._transposed(x)

    def in_one_order(self, values: Sequence[Value]) -> list[Value]:
        """Return values in one axis order: channels first if any of them is."""
        order = self.channels_first if any(value.channels_first for value in values) else self.last
        return [order(value) for value in values]

    def per_channel(self, x: Value, name: str, array: Any) -> str:
        """Add an array (C,) in the shape that broadcasts along the channels of x."""
        return self.constant(name, np.reshape(array, (-1,) + (1,) * (len(x.shape) - 1)) if x.channels_first else array)

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Return x, channels last, with each example in another shape."""
        return Value(self.node("Reshape", self.last(x).name, self.integers(0, *shape)), shape)

    def _transposed(self, x: Value) -> Value:
        if x not in self._other_order:
            middle = range(1, len(x.shape))
            order = (0, *(axis + 1 for axis in middle), 1) if x.channels_first else (0, len(x.shape), *middle)
            y = Value(self.node("Transpose", x.name, perm=order), x.shape, not x.channels_first)
            self._other_order |= {x: y, y: x}
        return self._other_order[x]

    def _new_name(self, name: str) -> str:
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        new = next(name for name in names if name not in self._names)
        self._names.add(new)
        return new

    # -- for the exporter ---------------------------------------------------------------------------------------------

    def input(self, name: str, shape: tuple[int, ...], *, integer: bool = False) -> Value:
        """Add an input of shape ``(N, *shape)``, int64 or of the graph's dtype."""
        self._names.add(name)
        self._inputs.append(_info(name, np.dtype(np.int64) if integer else self.dtype, shape))
        return Value(name, shape)

    def output(self, name: str, x: Value, dtype: Any = None) -> None:
        """Make x an output of a given name, with channels last."""
        from onnx import helper

        self._outputs[name] = _info(name, np.dtype(dtype or self.dtype), x.shape)
        self.nodes.append(helper.make_node("Identity", [self.last(x).name], [name], name))

    def model(self, metadata: dict[str, str], **producer: str) -> Any:
        """Return the checked `onnx.ModelProto`.

        Raises
        ------
        ValueError
            If it has more than 2 GiB, which one file cannot hold.
        onnx.checker.ValidationError
            If a writer has produced a node that ONNX does not accept.
        """
        from onnx import checker, helper, numpy_helper

        size = sum(array.nbytes for array in self._constants.values())
        if size > MAX_BYTES:
            raise ValueError(
                f"to_onnx: expected at most {MAX_BYTES:,} bytes of arrays, the limit of one file, got {size:,}"
            )
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        opsets = [helper.make_opsetid("", self.opset)]
        self._name_outputs()
        # the oldest format of files with these operators, since older runtimes reject newer ones
        model = helper.make_model(
            helper.make_graph(self.nodes, "anynet", self._inputs, list(self._outputs.values()), constants),
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            **producer,
        )
        helper.set_model_props(model, metadata)
        checker.check_model(model, full_check=True)
        return model

    def _name_outputs(self) -> None:
        """Remove the Identity of each output whose value has no other use, which then takes the name of the output."""
        uses = Counter(name for node in self.nodes for name in node.input)
        producers = {name: node for node in self.nodes for name in node.output}
        for name in self._outputs:
            identity = producers[name]
            producer = producers.get(identity.input[0])
            if producer is not None and uses[identity.input[0]] == 1:
                self.nodes.remove(identity)
                producer.output[0] = name


def write_of(layer: Layer, path: str) -> Any:
    """Return the writer of a layer's class, or a base class with the same `forward`."""
    kind = next(cls for cls in type(layer).__mro__ if cls in write.registry)
    if kind is not object and type(layer).forward is not kind.forward:  # type: ignore[attr-defined]
        raise TypeError(
            f"to_onnx: expected layers that ONNX has, got {layer!r}{_at(path)}, whose forward is not that of "
            f"{kind.__name__}; register one with anynet.onnx.write.register"
        )
    return write.registry[kind]


def output_shape(layer: Layer, x: Any) -> Any:
    """Return the shape of a layer's output for a value or a tuple of values."""
    return layer.init(PlaceholderGenerator(), shapes(x))[1]


def shapes(x: Any) -> Any:
    """Return the shape of a value, or a tuple of the shapes of several."""
    return tree.map_arrays(lambda value: value.shape, x)


def flat(values: Any) -> Iterator[Value]:
    """Yield the values in nested tuples."""
    if isinstance(values, tuple):
        for value in values:
            yield from flat(value)
    else:
        yield values


def _info(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
    from onnx import helper

    sizes = [f"{name}_{axis}" if size == ANY_SIZE else size for axis, size in enumerate(shape, start=1)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), ("N", *sizes))


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def mean_over(graph: Graph, x: str, axis: int, *, keepdims: bool) -> str:
    """Add a mean over one axis, which remains with length 1 if `keepdims`."""
    if graph.opset < 18:
        return graph.node("ReduceMean", x, axes=[axis], keepdims=int(keepdims))
    return graph.node("ReduceMean", x, graph.integers(axis), keepdims=int(keepdims))

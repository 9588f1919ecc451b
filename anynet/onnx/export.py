"""Models as ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anynet import files, tree
from anynet._version import __version__
from anynet.arrays.convert import to_numpy
from anynet.checks import check_int, is_multi
from anynet.layers import Sigmoid, Softmax
from anynet.losses.base import Loss
from anynet.losses.members import EachMember
from anynet.losses.several import Losses
from anynet.onnx.graph import Graph, Value, flat, mean_over

if TYPE_CHECKING:
    from anynet.network import Network

OLDEST_OPSET = 17
"""The first with LayerNormalization."""


def to_onnx(
    model: Network,
    path: str | Path | None = None,
    *,
    opset: int = 18,
    dtype: str = "float32",
    softmax: bool = False,
) -> Any:
    """Convert a model to ONNX, and write a file if a path is given.

    The graph computes `Model.predict`: dropout and noise are absent, batch normalization uses its running statistics. For the
    averaged parameters of `EMA` or `SWA`, export ``model.averaged()``.

    Parameters
    ----------
    model : Model
        The model, on any backend.
    path : str or Path, optional
        The file. An existing file is replaced only by a complete one.
    opset : int, from 17 to the newest of the installed onnx
        Version of the operators.
    dtype : "float32" or "float64"
        Data type of parameters, inputs and outputs, whatever the model's. Attributes of nodes, such as ε, are float32 in ONNX,
        and onnxruntime lacks some operators for float64, such as Conv.
    softmax : bool
        Whether to append Softmax, or Sigmoid for a loss of two classes per output, to a model whose loss takes logits, so that
        the outputs are probabilities; with `EachMember`, the mean of those of the members.

    Returns
    -------
    onnx.ModelProto
        The checked model. Its inputs are named ``x``, or ``x_0``, ``x_1``, ..., and its outputs ``y``, or ``y_0``, ...; their
        shapes are (N, ...) with any N and channels last, as in anynet; an axis of size None in `input_shape` keeps any size.
        Indices are int64. Constants have the names of
        `Model.params`, such as ``0.weight``.

    Raises
    ------
    TypeError
        If ONNX has no equivalent of a layer; register your own with `write.register`.
    ValueError
        If an argument is out of range, or the arrays exceed 2 GiB.
    ImportError
        If onnx is not installed.

    Examples
    --------
    >>> import anynet
    >>> model = anynet.Model([anynet.Dense(4), anynet.ReLU(), anynet.Dense(2)], input_shape=3)
    >>> proto = anynet.onnx.to_onnx(model)
    >>> [node.op_type for node in proto.graph.node]
    ['Gemm', 'Relu', 'Gemm']
    >>> [constant.name for constant in proto.graph.initializer]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def add_outputs(graph: Graph, y: Any) -> None:
        ys = _probabilities(graph, model.loss, y) if softmax else list(flat(y))
        for name, value in zip(numbered("y", len(ys)), ys, strict=True):
            graph.output(name, value)

    return export(model, path, "x", add_outputs, opset=opset, dtype=dtype)


def export(
    model: Network,
    path: str | Path | None,
    input_name: str,
    add_outputs: Callable[[Graph, Any], None],
    *,
    opset: int,
    dtype: str,
    **metadata: str,
) -> Any:
    """Convert a model with outputs that `add_outputs` adds; see `to_onnx`."""
    try:
        from onnx.defs import onnx_opset_version
    except ImportError:
        raise ImportError('to_onnx: expected the package onnx, got none; pip install "anynet-nn[onnx]"') from None
    newest = onnx_opset_version()
    if check_int("to_onnx", "opset", opset, at_least=1) < OLDEST_OPSET:
        raise ValueError(
            f"to_onnx: expected opset >= {OLDEST_OPSET}, the first with LayerNormalization, got {opset}; "
            "update the runtime"
        )
    if opset > newest:
        raise ValueError(f"to_onnx: expected opset <= {newest}, the newest of the installed onnx, got {opset}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"to_onnx: expected dtype 'float32' or 'float64', got {dtype!r}")
    graph = Graph(opset, dtype)
    x = _add_inputs(graph, input_name, model.input_shape, model.layer.integer_input)
    add_outputs(graph, graph.write(model.layer, tree.map(to_numpy, model.params), x, ""))
    if model.loss is not None:
        metadata = {"loss": repr(model.loss), **metadata}
    proto = graph.model(metadata, producer_name="anynet", producer_version=__version__)
    if path is not None:
        files.replace(Path(path), [proto.SerializeToString()])
    return proto


def _add_inputs(graph: Graph, name: str, shape: Any, integer: Any) -> Any:
    """Add the inputs of a network and return them in the structure of its input shape."""
    names = iter(numbered(name, _count(shape)))

    def add(shape: Any, integer: Any) -> Any:
        if is_multi(shape):
            flags = integer if isinstance(integer, tuple) else (integer,) * len(shape)
            return tuple(add(one, flag) for one, flag in zip(shape, flags, strict=True))
        return graph.input(next(names), shape, integer=integer)

    return add(shape, integer)


def _count(shape: Any) -> int:
    return sum(map(_count, shape)) if is_multi(shape) else 1


def numbered(name: str, count: int) -> list[str]:
    """Return the name alone, or numbered names if there are several."""
    return [name] if count == 1 else [f"{name}_{number}" for number in range(count)]


def _probabilities(graph: Graph, loss: Loss | None, y: Any) -> list[Value]:
    """Return outputs as probabilities, where the loss of an output takes logits."""
    losses = loss.losses if isinstance(loss, Losses) else (loss,)
    if not any(map(_has_probabilities, losses)):
        raise ValueError(
            f"to_onnx: expected a model whose loss takes logits, for softmax=True, got {loss!r}; leave softmax out"
        )
    return [
        _mean_of_members(graph, one, _normalized(graph, one, value)) if _has_probabilities(one) else value
        for one, value in zip(losses, flat(y), strict=True)
    ]


def _normalized(graph: Graph, loss: Any, y: Value) -> Value:
    """Return y, or the softmax or sigmoid of logits."""
    if loss.expects != "logits":
        return y
    return graph.write(Softmax() if loss.threshold is None else Sigmoid(), {}, y, "")


def _mean_of_members(graph: Graph, loss: Any, y: Value) -> Value:
    if not isinstance(loss, EachMember):
        return y
    return Value(mean_over(graph, graph.last(y).name, 1, keepdims=False), y.shape[1:])


def _has_probabilities(loss: Loss | None) -> bool:
    """Return whether a loss takes probabilities, or logits of which it defines the probabilities."""
    return loss is not None and loss.expects != "numbers" and type(loss).probabilities is not Loss.probabilities

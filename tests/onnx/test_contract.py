"""Every layer as ONNX, run by onnxruntime and by ONNX's reference evaluator, and by way of ndonnx."""

import inspect

import numpy as np
import pytest

import anynet
from anynet import Layer, Model, Sequential, tree
from tests.layers.cases import LAYERS
from tests.tools import away_from_zero

onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

from tests.onnx.tools import BATCHES, OPSETS, RUNNERS, as_input, error  # noqa: E402

ROWS = [row for row in LAYERS if row[0] != Sequential([])]
"""A model has at least one layer."""


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def case(request):
    """Return a model with parameters away from zeros and ones, and its batches."""
    layer, shape, *inputs = request.param
    rng = np.random.default_rng(0)
    model = Model(layer, input_shape=shape, dtype="float64")
    model.params = tree.map(lambda a: np.abs(a + rng.uniform(-0.1, 0.1, a.shape)), model.params)
    make = inputs[0] if inputs else away_from_zero
    return model, [make(rng, (count, *shape)) for count in BATCHES]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("runner", RUNNERS)
def test_equals_predict(case, runner, opset):
    model, batches = case
    run = RUNNERS[runner]
    proto = model.to_onnx(opset=OPSETS[opset](run))
    for x in batches:
        assert error(run(proto, x=as_input(x)), model.predict(x)) <= 1e-6


ROUNDED = {"BatchNormalization", "LayerNormalization", "RMSNormalization", "LeakyRelu", "Elu", "Selu", "Erf", "Gelu"}
"""Operators with numbers in attributes, such as ε, which are float32 in ONNX; and erf, which the evaluator rounds to float32."""


@pytest.mark.parametrize("opset", OPSETS)
def test_float64_equals_predict(case, opset):
    model, batches = case
    run = RUNNERS["reference"]
    proto = model.to_onnx(opset=OPSETS[opset](run), dtype="float64")
    exact = not ROUNDED & {node.op_type for node in proto.graph.node}
    for x in batches:
        outputs = run(proto, x=as_input(x, "float64"))
        assert error(outputs, model.predict(x)) <= (1e-14 if exact else 5e-8)
        assert {y.dtype.name for y in outputs} == {"float64"}


def test_names_are_unique_and_those_of_params(case):
    model, _ = case
    graph = model.to_onnx().graph
    nodes = [node.name for node in graph.node]
    values = [name for node in graph.node for name in node.output] + [info.name for info in graph.input]
    assert len(set(nodes)) == len(nodes) and len(set(values)) == len(values)
    constants = [constant.name for constant in graph.initializer]
    paths = (path for path, _ in tree.leaves_with_paths(model.params))
    params = {tree.name(path) for path in paths if path[-1] != "passes"}  # a count that inference does not need
    extra = [name for name in constants if not name.startswith(("number.", "integers.", "positions."))]
    assert len(set(constants)) == len(constants) and set(extra) == params


def test_the_order_of_axes_is_that_of_anynet_with_any_batch_size(case):
    model, _ = case
    graph = model.to_onnx().graph

    def shapes(infos):
        return [tuple(d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim) for info in infos]

    outputs = model.output_shape
    outputs = outputs if outputs and isinstance(outputs[0], tuple) else (outputs,)
    assert shapes(graph.input) == [("N", *model.input_shape)]
    assert shapes(graph.output) == [("N", *shape) for shape in outputs]


def test_is_a_function_of_the_model(case):
    model, _ = case
    assert model.to_onnx().SerializeToString() == model.to_onnx().SerializeToString()


def public_layers():
    values = [getattr(anynet, name) for name in anynet.__all__]
    return {v for v in values if inspect.isclass(v) and issubclass(v, Layer)} - {Layer}


def test_every_public_layer_has_a_writer():
    """A layer that is added to anynet needs a function in anynet/onnx/."""
    write = anynet.onnx.write
    missing = [layer.__name__ for layer in public_layers() if write.dispatch(layer) is write.dispatch(object)]
    assert len(public_layers()) > 35 and missing == []


def test_every_public_layer_has_a_row():
    def classes(layer):
        return {type(layer)}.union(*(classes(child) for _, child in layer.children()))

    alone = {anynet.Lengths}  # it takes a tuple of arrays: tests/onnx/test_sequences.py
    assert public_layers() - set().union(*(classes(row[0]) for row in LAYERS)) == alone


def traceable(layer, shape, *_):
    """Return whether the forward pass runs without the batch size as a number."""
    sizes = {"BatchNorm(", "Conv1D(", "Conv2D(", "Embedding(", "Flatten(", "Reshape(", "padding='same'", "padding=("}
    sizes |= {"Attention(", "BatchEnsemble(", "GRU(", "LSTM(", "Tied("}
    if len(shape) > 1:
        sizes.add("Dense(")
    return not any(text in repr(layer) for text in sizes)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if traceable(*row)],
    ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60],
)
def test_equals_the_forward_pass_on_arrays_of_ndonnx(row):
    """An independent way to the same numbers: trace `Layer.forward` with arrays that write ONNX."""
    ndx = pytest.importorskip("ndonnx", reason="ndonnx is not installed")
    run, (layer, shape, *inputs) = RUNNERS["onnxruntime"], row
    model = Model(layer, input_shape=shape)
    make = inputs[0] if inputs else away_from_zero
    x = make(np.random.default_rng(0), (5, *shape))
    argument = ndx.argument(shape=("N", *shape), dtype=ndx.float32)
    y, _ = layer.forward(tree.map(ndx.asarray, model.params), argument)
    outputs = {f"y_{number}": one for number, one in enumerate(y if isinstance(y, tuple) else (y,))}
    traced = run(ndx.build({"x": argument}, outputs), x=as_input(x))
    assert error(traced, tuple(run(model.to_onnx(), x=as_input(x)))) <= 1e-6

"""Models of any length as ONNX: one file, sequences of several lengths."""

import numpy as np
import pytest

from anynet import (
    GRU,
    LSTM,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Embedding,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    Lengths,
    MaxPool1D,
    MaxPool2D,
    Model,
    Parallel,
    SelfAttention,
    transformer_block,
)

onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

from tests.onnx.tools import RUNNERS, as_input, error  # noqa: E402

CHANNELS = 6
NETWORKS = {
    "convolution": [Conv1D(4, 3), Conv1D(5, 3, stride=2, padding=(2, 0)), Dense(2)],
    "same": [Conv1D(4, 4, padding="same", dilation=2), Conv1D(5, 4, stride=3, padding="same"), BatchNorm()],
    "pooling": [MaxPool1D(2), AvgPool1D(2, stride=1, padding=(1, 0))],
    "same pooling": [MaxPool1D(4, stride=3, padding="same"), AvgPool1D(3, stride=2, padding="same")],
    "classifier": [Conv1D(4, 3, padding="same"), GlobalAvgPool1D(), Dense(3)],
    "recurrent": [Parallel([LSTM(4), GRU(3, reverse=True)]), LSTM(2, sequences=False)],
    "attention": [transformer_block(CHANNELS, 3, causal=False), Dense(2)],
    "causal": [transformer_block(CHANNELS, 3), Dense(2)],
    "rotary": [transformer_block(CHANNELS, 3, rotary=True), Dense(2)],
    "images": [
        Conv2D(4, 3, padding="same", stride=2),
        MaxPool2D(2, stride=1),
        AvgPool2D(2, padding=1),
        GlobalAvgPool2D(),
    ],
}


def sizes(infos):
    return [tuple(d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim) for info in infos]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_predict_at_several_lengths(name, runner):
    axes = 2 if name == "images" else 1
    model = Model(NETWORKS[name], input_shape=((None,) * axes + (CHANNELS,)), dtype="float64", seed=1)
    proto = model.to_onnx()
    names = tuple(f"x_{axis}" for axis in range(1, axes + 1))
    assert sizes(proto.graph.input) == [("N", *names, CHANNELS)]
    rng = np.random.default_rng(0)
    for length in (6, 7, 13, 32):
        x = rng.normal(size=(3, *range(length, length + axes), CHANNELS))
        assert error(RUNNERS[runner](proto, x=as_input(x)), model.predict(x)) <= 2e-6


def test_indices_and_names_of_the_output():
    model = Model(
        [Embedding(5, 4), Dense(12), SelfAttention(2, causal=True), Conv1D(3, 2)], input_shape=(None,), dtype="float64"
    )
    proto = model.to_onnx()
    assert sizes(proto.graph.input) == [("N", "x_1")] and sizes(proto.graph.output) == [("N", "y_1", 3)]
    for length in (2, 9):
        x = np.arange(3 * length).reshape(3, length) % 5
        assert error(RUNNERS["onnxruntime"](proto, x=as_input(x)), model.predict(x)) <= 1e-6


def test_a_padding_that_onnxruntime_lacks_is_refused():
    model = Model([Conv1D(2, 3, padding="same", stride=2, dilation=2)], input_shape=(None, 3))
    with pytest.raises(
        ValueError, match="to_onnx: expected padding in numbers with a stride, a dilation and any length"
    ):
        model.to_onnx()


@pytest.mark.parametrize("name", ["classifier", "recurrent", "causal", "rotary"])
def test_lengths(name):
    layers = [GlobalAvgPool1D(), Dense(2)] if name == "classifier" else NETWORKS[name]
    model = Model([Lengths(layers)], input_shape=((None, CHANNELS), ()), dtype="float64")
    proto = model.to_onnx()
    rng = np.random.default_rng(0)
    for positions in (3, 8):
        x, lengths = rng.normal(size=(4, positions, CHANNELS)), np.array([1, positions, 2, 3])
        found = RUNNERS["onnxruntime"](proto, x_0=as_input(x), x_1=as_input(lengths))
        assert error(found, model.predict((x, lengths))) <= 2e-6

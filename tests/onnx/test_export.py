"""Whole models as ONNX: several inputs, all backends, files, registered layers and errors."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import anynet
from anynet import (
    EMA,
    GELU,
    SGD,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    GlobalAvgPool2D,
    HalfSquaredError,
    Hinge,
    Identity,
    Layer,
    LayerNorm,
    Losses,
    MaxPool2D,
    Model,
    Parallel,
    PReLU,
    ReLU,
    Repeat,
    Rescale,
    Reshape,
    Residual,
    Sequential,
    Shared,
    SigmoidCrossEntropy,
    Softmax,
    SoftmaxCrossEntropy,
    tree,
)
from tests.tools import fetch

onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

from tests.onnx.tools import RUNNERS, error  # noqa: E402

RNG = np.random.default_rng(0)
CNN = [
    Reshape((8, 8, 1)),
    Conv2D(8, 3, padding="same"),
    BatchNorm(),
    ReLU(),
    Residual([Conv2D(8, 3, padding="same"), BatchNorm(), GELU()]),
    MaxPool2D(2),
    Conv2D(16, 3, padding="same"),
    GELU(),
    Dropout(0.2),
    Flatten(),
    Dense(10),
]
"""A network for the 8 × 8 digits: three convolutions, batch normalization, a residual connection and GELU."""


def moved(model, seed=0):
    """Return the model with parameters away from zeros and ones."""
    rng = np.random.default_rng(seed)
    model.params = tree.map(lambda a: np.abs(a + rng.uniform(-0.1, 0.1, a.shape)), fetch(model.backend, model.params))
    return model


def operators(proto):
    return [node.op_type for node in proto.graph.node]


def run_both(proto, **inputs):
    """Return the outputs of onnxruntime, which agree with those of the reference evaluator."""
    found = RUNNERS["onnxruntime"](proto, **inputs)
    assert error(RUNNERS["reference"](proto, **inputs), tuple(found)) <= 2e-6
    return found


def test_a_cnn_has_two_transposes():
    model = moved(Model(CNN, input_shape=64))
    proto = model.to_onnx()
    assert len(proto.graph.node) <= 24 and operators(proto).count("Transpose") == 2
    x = RNG.normal(size=(7, 64)).astype(np.float32)
    assert error(run_both(proto, x=x), model.predict(x)) <= 1e-6


@pytest.mark.parametrize(
    ("layers", "shape", "transposes"),
    [
        ([Conv1D(4, 3), BatchNorm(), PReLU(per_channel=True), Conv1D(2, 2), Flatten(), Dense(3)], (9, 2), 2),
        ([BatchNorm(), Conv2D(3, 2), Softmax(), AvgPool2D(2), GlobalAvgPool2D(), Dense(2)], (6, 6, 2), 1),
        ([Conv2D(3, 2), LayerNorm(), Conv2D(2, 2)], (5, 4, 2), 4),
        ([Parallel([Conv2D(3, 3, padding="same"), Identity()]), GlobalAvgPool2D()], (5, 4, 2), 1),
        ([Conv2D(2, 1), Residual([Conv2D(4, 3, padding="same")], shortcut=Conv2D(4, 1)), Flatten()], (5, 4, 2), 2),
        ([Dense(12), Reshape((2, 2, 3)), Conv2D(2, 2), Flatten()], (5,), 2),
        ([Conv2D(2, 3), Reshape((3, 4)), Flatten(), Dense(2)], (5, 4, 1), 2),
    ],
    ids=str,
)
def test_order_of_axes(layers, shape, transposes):
    model = moved(Model(layers, input_shape=shape))
    proto = model.to_onnx()
    x = RNG.normal(size=(3, *shape)).astype(np.float32)
    assert error(run_both(proto, x=x), model.predict(x)) <= 2e-6
    assert operators(proto).count("Transpose") == transposes


def test_every_backend_gives_the_same_file(backend):
    model = moved(Model(CNN, input_shape=64, loss=SoftmaxCrossEntropy(), backend=backend))
    expected = moved(Model(CNN, input_shape=64, loss=SoftmaxCrossEntropy()))
    assert model.to_onnx().SerializeToString() == expected.to_onnx().SerializeToString()


def test_several_inputs_and_outputs():
    layers = [
        Parallel([[Embedding(5, 3), Flatten()], Identity()], combine=None),
        Parallel([Dense(4), Dense(4)], combine=None),
        Shared([Dense(3), ReLU()]),
    ]
    model = moved(Model(layers, input_shape=((2,), (6,))))
    proto = model.to_onnx()
    x = RNG.integers(0, 5, (4, 2)), RNG.normal(size=(4, 6)).astype(np.float32)
    assert [info.name for info in proto.graph.input] == ["x_0", "x_1"]
    assert [info.name for info in proto.graph.output] == ["y_0", "y_1"]
    assert error(run_both(proto, x_0=x[0], x_1=x[1]), model.predict(x)) <= 1e-6


@pytest.mark.parametrize(
    ("layers", "operators_expected"),
    [
        (Identity(), ["Identity"]),
        (Parallel([Identity(), Identity()], combine=None), ["Identity", "Identity"]),
        ([Dense(2), Parallel([Identity(), Identity()], combine=None)], ["Gemm", "Identity", "Identity"]),
        ([Sequential([]), Dense(2), Sequential([])], ["Gemm"]),
        ([Dense(2), Parallel([Identity(), ReLU()], combine=None)], ["Gemm", "Relu", "Identity"]),
    ],
    ids=str,
)
def test_outputs_that_have_other_uses(layers, operators_expected):
    model = Model(layers, input_shape=2)
    x = RNG.normal(size=(3, 2)).astype(np.float32)
    proto = model.to_onnx()
    assert operators(proto) == operators_expected
    assert error(run_both(proto, x=x), model.predict(x)) <= 1e-6


def test_repeated_and_shared_layers_have_one_set_of_constants():
    model = moved(Model([Repeat([Dense(3), ReLU()], 3), Frozen(Dense(2))], input_shape=3))
    proto = model.to_onnx()
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    assert [constant.name for constant in proto.graph.initializer] == [
        *("0.layer.0.weight", "0.layer.0.bias"),
        *("1.layer.weight", "1.layer.bias"),
    ]
    assert error(run_both(proto, x=x), model.predict(x)) <= 1e-6


def test_inference_not_training():
    """Dropout is absent, and batch normalization uses the averages of training."""
    model = Model([BatchNorm(), Dropout(0.5), Dense(2)], input_shape=3, loss=HalfSquaredError(), optimizer=SGD(0.1))
    x = RNG.normal(2.0, 3.0, size=(50, 3)).astype(np.float32)
    model.fit(x, np.zeros((50, 2)), epochs=2)
    assert error(run_both(model.to_onnx(), x=x), model.predict(x)) <= 1e-6


def test_averaged_parameters():
    model = Model([Dense(2)], input_shape=3, loss=HalfSquaredError(), optimizer=EMA(SGD(0.5), decay=0.9))
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    model.fit(x, np.ones((20, 2)), epochs=2)
    averaged = model.averaged()
    assert error(run_both(averaged.to_onnx(), x=x), averaged.predict(x)) <= 1e-6
    assert error(run_both(model.to_onnx(), x=x), averaged.predict(x)) > 1e-3


def test_bytes_are_given_as_floats():
    model = Model([Rescale(1 / 255, -0.5), Flatten()], input_shape=(2, 2))
    x = RNG.integers(0, 256, (3, 2, 2)).astype(np.uint8)
    assert error(run_both(model.to_onnx(), x=x.astype(np.float32)), model.predict(x)) <= 1e-6


@pytest.mark.parametrize(
    ("layers", "loss", "last"),
    [
        ([Dense(3)], SoftmaxCrossEntropy(), ["Gemm", "Softmax"]),
        ([Dense(1)], SigmoidCrossEntropy(), ["Gemm", "Sigmoid"]),
        ([Dense(1), anynet.Sigmoid()], BinaryCrossEntropy(), ["Gemm", "Sigmoid"]),
        (
            Parallel([Dense(3), Dense(2)], combine=None),
            Losses([SoftmaxCrossEntropy(), HalfSquaredError()]),
            ["Gemm", "Gemm", "Softmax"],
        ),
    ],
    ids=str,
)
def test_probabilities(layers, loss, last):
    model = Model(layers, input_shape=4, loss=loss)
    proto = model.to_onnx(softmax=True)
    assert operators(proto) == last
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    y = model.predict(x)
    first = y[0] if isinstance(y, tuple) else y
    p = np.exp(first) / np.exp(first).sum(axis=1, keepdims=True)
    if first.shape[1] == 1:
        p = first if isinstance(loss, BinaryCrossEntropy) else 1.0 / (1.0 + np.exp(-first))
    assert error(run_both(proto, x=x)[:1], p) <= 1e-6


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize(("outputs", "loss"), [(3, SoftmaxCrossEntropy()), (1, SigmoidCrossEntropy())], ids=str)
def test_probabilities_of_an_ensemble(outputs, loss, opset):
    layers = [anynet.Members(4), Dense(5), anynet.Tanh(), anynet.EachDense(outputs)]
    model = Model(layers, input_shape=4, loss=anynet.EachMember(loss))
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    assert error(run_both(model.to_onnx(softmax=True, opset=opset), x=x), model.predict_proba(x)[:, -outputs:]) <= 1e-6


@pytest.mark.parametrize("loss", [HalfSquaredError(), Hinge(), Losses([HalfSquaredError()])], ids=str)
def test_losses_without_probabilities(loss):
    with pytest.raises(ValueError, match=r"^to_onnx: expected a model whose loss takes logits, for softmax=True, got "):
        Model(
            Parallel([Dense(1)], combine=None) if "Losses" in str(loss) else [Dense(1)], input_shape=4, loss=loss
        ).to_onnx(softmax=True)


def test_metadata():
    proto = Model([Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy()).to_onnx()
    assert (proto.producer_name, proto.producer_version) == ("anynet", anynet.__version__)
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"loss": repr(SoftmaxCrossEntropy())}
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 18)]
    assert proto.ir_version == 8  # which runtimes since 2022 read


def test_writes_a_file_and_replaces_it(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    proto = Model([Dense(3)], input_shape=4).to_onnx(path)
    assert onnx.load(path) == proto
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_that_cannot_be_written_is_kept(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="expected layers that ONNX has"):
        Model([Unknown()], input_shape=4).to_onnx(path)
    assert path.read_bytes() == b"old"
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        Model([Dense(3)], input_shape=4).to_onnx(tmp_path / "missing" / "model.onnx")


# Layers of one's own ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unknown(Layer):
    """y = 2x"""

    def forward(self, params, x, *, key=None):
        return 2.0 * x, None


@dataclass(frozen=True)
class Scale(Layer):
    """y = x eˢ"""

    def init(self, rng, input_shape):
        return {"log_scale": rng.normal(size=input_shape[-1:])}, input_shape

    def forward(self, params, x, *, key=None):
        return x * np.exp(params["log_scale"]), None


@dataclass(frozen=True)
class Skip(Layer):
    """y = x + f(x)"""

    inner: Any

    def init(self, rng, input_shape):
        params, shape = self.inner.init(rng, input_shape)
        return {"inner": params}, shape

    def forward(self, params, x, *, key=None):
        return x + self.inner.forward(params["inner"], x)[0], None

    def children(self):
        yield "inner", self.inner


@anynet.onnx.write.register
def _(layer: Scale, graph, params, x, path):
    factor = graph.node("Exp", graph.constant(f"{path}.log_scale", params["log_scale"]))
    return graph.same(graph.last(x), "Mul", factor)


@anynet.onnx.write.register(Skip)
def _(layer, graph, params, x, path):
    return graph.same(x, "Add", graph.write(layer.inner, params["inner"], x, f"{path}.inner").name)


def test_a_registered_layer():
    for layers in (Scale(), [Conv2D(2, 2), Scale(), ReLU()]):
        model = Model(layers, input_shape=(3, 3, 2))
        x = RNG.normal(size=(4, 3, 3, 2)).astype(np.float32)
        assert error(run_both(model.to_onnx(), x=x), model.predict(x)) <= 1e-6
    assert "1.log_scale" in [constant.name for constant in model.to_onnx().graph.initializer]
    assert "1.Mul" in [node.name for node in model.to_onnx().graph.node]


def test_a_registered_container():
    model = Model([Skip(Sequential([Dense(3), ReLU()]))], input_shape=3)
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    assert error(run_both(model.to_onnx(), x=x), model.predict(x)) <= 1e-6
    assert "0.inner.0.weight" in [constant.name for constant in model.to_onnx().graph.initializer]


def test_a_subclass_with_the_same_forward_needs_no_writer():
    @dataclass(frozen=True)
    class Named(Dense):
        label: str = "first"

    assert operators(Model([Named(2)], input_shape=3).to_onnx()) == ["Gemm"]


def test_a_subclass_with_another_forward_needs_a_writer():
    @dataclass(frozen=True)
    class Doubled(ReLU):
        def forward(self, params, x, *, key=None):
            return 2.0 * x, None

    message = (
        r"^to_onnx: expected layers that ONNX has, got .*Doubled\(\) at 1\.body, whose forward is not that of ReLU; register "
        r"one with anynet\.onnx\.write\.register$"
    )
    with pytest.raises(TypeError, match=message):
        Model([Dense(2), Residual(Doubled())], input_shape=3).to_onnx()


def test_a_writer_of_a_wrong_shape_is_named():
    @dataclass(frozen=True)
    class Wrong(Unknown):
        pass

    @anynet.onnx.write.register(Wrong)
    def _(layer, graph, params, x, path):
        return anynet.onnx.Value(graph.node("Flatten", x.name), (5,))

    with pytest.raises(
        ValueError, match=r"expected the writer of .*Wrong\(\) at 1 to return shape \(3,\), got \(5,\)$"
    ):
        Model([Dense(3), Wrong()], input_shape=3).to_onnx()


def test_a_name_stands_for_one_array():
    graph = anynet.onnx.Graph(18, "float32")
    assert graph.constant("0.weight", np.ones(2)) == graph.constant("0.weight", np.ones(2)) == "0.weight"
    with pytest.raises(ValueError, match=r"expected one array of the name '0\.weight', got two that differ"):
        graph.constant("0.weight", np.zeros(2))


def test_a_node_with_several_outputs():
    graph = anynet.onnx.Graph(18, "float32")
    first, last = graph.several(2, "Split", graph.input("x", (4,)).name, axis=1, num_outputs=2)
    graph.output("y", anynet.onnx.Value(graph.node("Sub", first, last), (2,)))
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    assert error(run_both(graph.model({}), x=x), x[:, :2] - x[:, 2:]) <= 1e-6


def test_dense_on_more_axes():
    """Along the last axis, whatever the number of axes before it."""
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(5, 4, 3)).astype(np.float32)
    for params in ({"weight": weight, "bias": bias}, {"weight": weight}):
        graph = anynet.onnx.Graph(18, "float32")
        layer = Dense(2, use_bias="bias" in params)
        y = anynet.onnx.write(layer, graph, params, graph.input("x", (4, 3)), "")
        graph.output("y", y)
        expected = x @ weight + (bias if "bias" in params else 0.0)
        assert y.shape == (4, 2) and error(run_both(graph.model({}), x=x), expected) <= 1e-6


# Bad input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"opset": 16}, ValueError, r"^to_onnx: expected opset >= 17, the first with LayerNormalization, got 16"),
        (
            {"opset": 10**6},
            ValueError,
            r"^to_onnx: expected opset <= \d+, the newest of the installed onnx, got 1000000",
        ),
        ({"opset": "18"}, TypeError, r"^to_onnx: expected opset to be an integer, got '18'"),
        ({"dtype": "float16"}, ValueError, r"^to_onnx: expected dtype 'float32' or 'float64', got 'float16'"),
        (
            {"softmax": True},
            ValueError,
            r"^to_onnx: expected a model whose loss takes logits, for softmax=True, got None",
        ),
    ],
    ids=str,
)
def test_bad_options(options, kind, message):
    with pytest.raises(kind, match=message):
        Model([Dense(2)], input_shape=3).to_onnx(**options)


def test_an_unknown_layer():
    message = (
        r"^to_onnx: expected layers that ONNX has, got Unknown\(\) at 2\.body; register one with "
        r"anynet\.onnx\.write\.register$"
    )
    with pytest.raises(TypeError, match=message):
        Model([Dense(3), ReLU(), Residual(Unknown())], input_shape=3).to_onnx()
    with pytest.raises(TypeError, match=r"got Unknown\(\); register"):
        Model(Unknown(), input_shape=3).to_onnx()


def test_too_large_for_one_file(monkeypatch):
    monkeypatch.setattr("anynet.onnx.graph.MAX_BYTES", 2**10)
    Model([Dense(80)], input_shape=2).to_onnx()
    with pytest.raises(ValueError, match=r"expected at most 1,024 bytes of arrays, the limit of one file, got 1,200$"):
        Model([Dense(100)], input_shape=2).to_onnx()


def test_onnx_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnx.defs", None)
    with pytest.raises(ImportError, match=r'pip install "anynet-nn\[onnx\]"'):
        Model([Dense(2)], input_shape=3).to_onnx()

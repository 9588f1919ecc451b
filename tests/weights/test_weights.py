"""Weights of other libraries without these libraries: formulas, sources, errors, and the state of a model."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import save_file

from anynet import (
    EMA,
    SGD,
    Adam,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Frozen,
    HalfSquaredError,
    Layer,
    Model,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    tree,
)
from anynet.arrays.namespace import namespace
from anynet.weights import Rule, torch_layout
from tests.tools import assert_same, fetch

RNG = np.random.default_rng(0)
LAYERS = [Conv2D(4, (3, 2)), BatchNorm(), ReLU(), Flatten(), BatchNorm(), Dropout(0.1), Dense(5)]
SHAPE = (4, 3, 2)
STATE = {
    "0.weight": RNG.normal(size=(4, 2, 3, 2)),
    "0.bias": RNG.normal(size=4),
    "1.weight": RNG.normal(size=4),
    "1.bias": RNG.normal(size=4),
    "1.running_mean": RNG.normal(size=4),
    "1.running_var": RNG.uniform(0.5, 2.0, size=4),
    "1.num_batches_tracked": np.array(7),
    "4.weight": RNG.normal(size=16),
    "4.bias": RNG.normal(size=16),
    "4.running_mean": RNG.normal(size=16),
    "4.running_var": RNG.uniform(0.5, 2.0, size=16),
    "4.num_batches_tracked": np.array(7),
    "6.weight": RNG.normal(size=(5, 16)),
    "6.bias": RNG.normal(size=5),
}
"""A state_dict in PyTorch's layout."""


def by_hand(x):
    """Return the output of the network for images (N, C, H, W), by the formulas of PyTorch's layers."""
    s = STATE

    def norm(x, layer):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        weight, bias, mean, var = (
            s[f"{layer}.{name}"].reshape(shape) for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * weight + bias

    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3))
    x = np.einsum("nchwij,fcij->nfhw", windows, s["0.weight"]) + s["0.bias"][:, None, None]
    x = np.maximum(norm(x, 1), 0.0).reshape(len(x), -1)
    return norm(x, 4) @ s["6.weight"].T + s["6.bias"]


def make(backend="numpy", **settings):
    return Model(LAYERS, input_shape=SHAPE, backend=backend, dtype="float64", **settings)


def test_a_cnn_by_hand(backend):
    model = make(backend)
    model.load_weights(STATE)
    x = RNG.normal(size=(6, *SHAPE))
    y = model.predict(backend.asarray(x))
    np.testing.assert_allclose(backend.to_numpy(y), by_hand(np.moveaxis(x, -1, 1)), rtol=1e-10, atol=1e-12)
    found = model.weights()
    assert list(found) == [name for name in STATE if not name.endswith("num_batches_tracked")]
    for name, array in found.items():
        np.testing.assert_array_equal(array, STATE[name], err_msg=name)
        assert type(array) is np.ndarray


def test_arrays_of_the_backend(backend):
    model = make()
    model.load_weights({name: backend.asarray(array) for name, array in STATE.items()})
    np.testing.assert_array_equal(model.weights()["6.weight"], STATE["6.weight"])


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    save_file({name: np.ascontiguousarray(array, dtype=np.float32) for name, array in STATE.items()}, path)
    model = make()
    model.load_weights(kind(path))
    np.testing.assert_array_equal(model.weights()["4.weight"], STATE["4.weight"].astype(np.float32))


def test_a_file_does_not_keep_the_order(tmp_path):
    """Other names in a safetensors file need a dict or a function."""
    path = tmp_path / "model.safetensors"
    arrays = {f"{name}.weight": np.full((2, 2), number, np.float32) for number, name in enumerate(["z", "a"])}
    save_file(arrays, path)
    model = Model([Dense(2, use_bias=False), Dense(2, use_bias=False)], input_shape=2)
    with pytest.raises(
        ValueError, match=r"got a\.weight, z\.weight, which are not in the order of the layers either; pass"
    ):
        model.load_weights(path)
    model.load_weights(path, names={"z.weight": "0.weight", "a.weight": "1.weight"})
    assert [params["weight"][0, 0] for params in model.params] == [0.0, 1.0]


def test_a_mapping_that_is_read_lazily(tmp_path):
    np.savez(tmp_path / "model.npz", **STATE)
    model = make()
    with np.load(tmp_path / "model.npz") as arrays:
        model.load_weights(arrays)
    np.testing.assert_array_equal(model.weights()["0.weight"], STATE["0.weight"])


def test_half_precision_in_files(tmp_path):
    """The bits of bfloat16 are the upper half of those of float32."""
    import json

    values = np.array([[1.0, -2.5], [0.15625, 3e38]], dtype=np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps(
        {
            "0.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
            "0.bias": {"dtype": "F16", "shape": [2], "data_offsets": [8, 12]},
        }
    ).encode()
    content = len(header).to_bytes(8, "little") + header + bits + np.array([0.5, -1.5], "<f2").tobytes()
    (tmp_path / "half.safetensors").write_bytes(content)
    model = Model([Dense(2)], input_shape=2)
    model.load_weights(tmp_path / "half.safetensors")
    expected = ((values.view(np.uint32) >> 16) << 16).view(np.float32).T
    np.testing.assert_array_equal(model.params[0]["weight"], expected)
    np.testing.assert_array_equal(model.params[0]["bias"], [0.5, -1.5])


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_round_trip(layout):
    layers = [*LAYERS[:-1], Residual([Dense(16), ReLU()]), Dense(12), Reshape((2, 2, 3)), Conv2D(2, 2)]
    model = Model(layers, input_shape=SHAPE, seed=3)
    other = Model(layers, input_shape=SHAPE)
    other.load_weights(model.weights(layout), layout=layout)
    assert_same(other.params, model.params)


def test_freezing_does_not_rename():
    layers = [Residual([Dense(3), ReLU()]), Dense(2)]
    plain, frozen = (Model(layers, input_shape=3, seed=seed) for seed in (0, 1))
    frozen.freeze(0)
    nested = Model([Residual([Frozen([Dense(3), ReLU()])]), Frozen(Frozen(Dense(2)))], input_shape=3)
    assert list(plain.weights()) == list(frozen.weights()) == list(Model(layers, input_shape=3).weights())
    assert list(nested.weights()) == ["0.body.0.0.weight", "0.body.0.0.bias", "1.weight", "1.bias"]
    frozen.load_weights(plain.weights())
    assert np.array_equal(frozen.params[0]["layer"]["body"][0]["weight"], plain.params[0]["body"][0]["weight"])


def test_weights_are_copies():
    model = make()
    model.weights()["6.bias"][:] = 7.0
    assert not np.any(model.params[6]["bias"])


def test_optimizer_starts_again(backend):
    """The averages of the optimizer, and its copies of the parameters, belong to the old weights."""
    optimizer = EMA(Adam(0.1), decay=0.9)
    model, fresh = (
        Model([Dense(2)], input_shape=3, loss=HalfSquaredError(), optimizer=optimizer, backend=backend) for _ in "ab"
    )
    x, y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2))
    state = {"0.weight": RNG.normal(size=(2, 3)), "0.bias": np.zeros(2)}
    model.fit(x, y, epochs=2)
    model.learning_rate_factor = 0.5
    key = fetch(backend, model.state.key)
    model.load_weights(state)
    fresh.load_weights(state)
    assert model.learning_rate_factor == 0.5 and model.epoch == 2 and len(model.history["loss"]) == 2
    assert_same(fetch(backend, model.state.key), key)
    fresh.learning_rate_factor = 0.5
    assert_same(fetch(backend, model.state.opt_state), fetch(backend, fresh.state.opt_state))
    averaged = fetch(backend, model.averaged().params)
    np.testing.assert_array_equal(averaged[0]["weight"], state["0.weight"].T.astype(np.float32))
    model.fit(x, y, epochs=1)


def test_parameters_read_before_are_kept(backend):
    model = make(backend)
    before = model.params
    copies = fetch(backend, before)
    model.load_weights(STATE)
    assert_same(fetch(backend, before), copies)


@dataclass(frozen=True)
class Scale(Layer):
    """y = s x, with the parameter of PyTorch named gain and doubled."""

    def init(self, rng, input_shape):
        return {"scale": np.ones(input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        return x * params["scale"], None


@torch_layout.register(Scale)
def _(layer, input_shape):
    return Rule("gain is twice the scale", lambda a: {"gain": 2.0 * a["scale"]}, lambda a: {"scale": a["gain"] / 2.0})


@dataclass(frozen=True)
class Weighted(Layer):
    """y = a f(x), a container with a parameter of its own."""

    inner: Layer

    def init(self, rng, input_shape):
        params, shape = self.inner.init(rng, input_shape)
        return {"a": np.ones(1), "inner": params}, shape

    def forward(self, params, x, *, key=None):
        return namespace(x).asarray(params["a"]) * self.inner.forward(params["inner"], x)[0], None

    def children(self):
        yield "inner", self.inner


def test_a_layer_with_a_rule_of_its_own():
    model = Model([Flatten(), Scale()], input_shape=(2, 2, 2))
    model.load_weights({"1.gain": np.arange(8.0)})
    np.testing.assert_array_equal(
        model.params[1]["scale"], np.arange(8.0).reshape(2, 2, 2).transpose(1, 2, 0).ravel() / 2
    )
    np.testing.assert_array_equal(model.weights()["1.gain"], np.arange(8.0))


def test_a_container_with_parameters():
    model = Model([Weighted(Sequential([Dense(2), ReLU()]))], input_shape=3)
    state = {"0.a": np.array([3.0]), "0.inner.0.weight": np.ones((2, 3)), "0.inner.0.bias": np.zeros(2)}
    model.load_weights(state)
    assert model.predict([[1.0, 1.0, 1.0]]).tolist() == [[9.0, 9.0]]
    assert {name: array.tolist() for name, array in model.weights().items()} == {
        k: v.tolist() for k, v in state.items()
    }


# Bad input ----------------------------------------------------------------------------------------------------------------


def without(*names):
    return {name: array for name, array in STATE.items() if name not in names}


class Module:
    def state_dict(self):
        return {}


class Network(Module):
    """Keras on PyTorch has both methods."""

    def get_weights(self):
        return []


BAD = {
    "wrong shape": (
        {"source": STATE | {"0.weight": np.ones((4, 2, 3, 3))}},
        ValueError,
        r"expected 0\.weight of shape \(4, 2, 3, 2\) in layout 'torch', \(3, 2, 2, 4\) in Conv2D here \(axes of weight in the "
        r"order \(3, 2, 0, 1\)\), got \(4, 2, 3, 3\)$",
    ),
    "layout of anynet": (
        {"source": STATE | {"6.weight": np.ones((16, 5))}},
        ValueError,
        r"expected 6\.weight of shape \(5, 16\) in .*, got \(16, 5\); it has the shape of anynet's and Keras's layout: pass "
        r"layout='keras'$",
    ),
    "in order": (
        {"source": {f"layer{name}": array for name, array in STATE.items()} | {"layer6.bias": np.ones(6)}},
        ValueError,
        r"expected layer6\.bias for 6\.bias of shape \(5,\) in .*, got \(6,\); arrays were matched in order, pass names=",
    ),
    "sorted names": (
        {"source": {f"layer{name}": STATE[name] for name in sorted(STATE)}},
        ValueError,
        r"expected the names 0\.weight, .*, got layer0\.bias, .* and 4 more, which are not in the order of the layers",
    ),
    "missing": (
        {"source": without("4.bias", "6.bias")},
        ValueError,
        r"expected 12 arrays, got 10; 2 missing: 4\.bias, 6\.bias; pass names=\{name there: name here\}, with None for an "
        r"array to ignore$",
    ),
    "one too many": (
        {"source": STATE | {"7.weight": np.ones(3)}},
        ValueError,
        r"expected 12 arrays, got 13; 1 unexpected: 7\.weight; pass names",
    ),
    "names of no array": (
        {"source": STATE, "names": {"fc.weight": "6.weight"}},
        ValueError,
        r"expected names of arrays in the source as keys of names, got fc\.weight; the source has 0\.weight, .* and 6 more",
    ),
    "names to the same array": (
        {"source": STATE, "names": {"4.bias": "4.weight"}},
        ValueError,
        r"1 missing: 4\.bias; 2 unexpected: 4\.weight, 4\.bias for 4\.weight; pass",
    ),
    "names that are no names": (
        {"source": STATE, "names": 3},
        TypeError,
        r"expected names to be a dict or a function, got 3",
    ),
    "unknown layout": (
        {"source": STATE, "layout": "jax"},
        ValueError,
        r"expected layout 'torch' or 'keras', got 'jax'",
    ),
    "a list for torch": ({"source": [1.0]}, TypeError, r"or a list of arrays with layout='keras', got list$"),
    "too short a list": (
        {"source": [np.ones(3)], "layout": "keras"},
        ValueError,
        r"expected 12 arrays, got 1; 12 missing: 0\.weight, .* and 4 more; 1 unexpected: array 0;",
    ),
    "a number": (
        {"source": 3},
        TypeError,
        r"expected a path, a dict of arrays, or a list of arrays with layout='keras', got int$",
    ),
    "a model of Keras": (
        {"source": Network()},
        TypeError,
        r"expected arrays, got a Network; pass the result of its get_weights\(\) and layout='keras'$",
    ),
    "a module": (
        {"source": Module()},
        TypeError,
        r"expected arrays, got a Module; pass the result of its state_dict\(\)$",
    ),
    "no numbers": (
        {"source": STATE | {"6.bias": "text"}},
        TypeError,
        r"expected 6\.bias to be an array of numbers, got str",
    ),
    "a nested dict": (
        {"source": {"model": STATE, "epoch": 3}},
        TypeError,
        r"expected model to be an array of numbers, got dict; pass the dict of arrays inside",
    ),
    "a pickle": (
        {"source": "model.pt"},
        TypeError,
        r"got model\.pt; load it with torch\.load\(path, weights_only=True\) and pass the dict$",
    ),
    "another pickle": ({"source": "model.PTH"}, TypeError, r"got model\.PTH; load it with torch\.load"),
    "another file": (
        {"source": "model.npz"},
        TypeError,
        r"expected a \.safetensors, \.h5 or \.keras file, got model\.npz",
    ),
    "no file": ({"source": "no.safetensors"}, FileNotFoundError, r"expected an existing file, got no\.safetensors"),
}


@pytest.mark.without("numpy-readonly", "strict:device1", "jax")
@pytest.mark.parametrize("name", BAD)
def test_a_call_that_raises_changes_nothing(name, backend):
    arguments, kind, message = BAD[name]
    model = make(backend, loss=HalfSquaredError(), optimizer=SGD(0.1, momentum=0.9))
    before = fetch(backend, model.state)
    arguments = dict(arguments)
    with pytest.raises(kind, match=f"^load_weights: .*{message}"):
        model.load_weights(arguments.pop("source"), **arguments)
    assert_same(fetch(backend, model.state), before)


def test_damaged_files(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"expected a whole safetensors file, got .*model\.safetensors"):
        make().load_weights(path)


def test_a_model_of_anynet(tmp_path):
    make().save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"got a model of anynet in .*; use anynet\.load$"):
        make().load_weights(tmp_path / "model.safetensors")


def test_h5py_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "model.weights.h5").write_bytes(b"")
    with pytest.raises(ImportError, match=r'pip install "anynet-nn\[keras\]"$'):
        make().load_weights(tmp_path / "model.weights.h5", layout="keras")


def test_layout_of_weights():
    with pytest.raises(ValueError, match=r"^weights: expected layout 'torch' or 'keras', got 'onnx'$"):
        make().weights("onnx")


@dataclass(frozen=True)
class Mixing(Layer):
    """y = x W, of a class without a rule."""

    def init(self, rng, input_shape):
        return {"weight": np.eye(*input_shape, *input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        return x @ params["weight"], None


def test_a_layer_whose_order_is_unknown():
    model = Model([Flatten(), Mixing()], input_shape=(2, 2, 2))
    message = (
        r"expected Dense, or a layer with one number per feature, behind Flatten of an image, got Mixing\(\) at 1; use"
    )
    with pytest.raises(ValueError, match=message):
        model.weights("torch")
    assert [array.shape for array in model.weights("keras")] == [(8, 8)]
    assert Model([Mixing()], input_shape=4).weights()["0.weight"].shape == (4, 4)


def test_orders_that_contradict_each_other():
    """An image that is flattened and cut in another way is another image in PyTorch."""
    model = Model([Flatten(), Reshape((2, 1, 4)), Conv2D(1, 1)], input_shape=(2, 2, 2))
    with pytest.raises(ValueError, match=r"features in two orders at 1, where channels first and last meet"):
        model.weights("torch")
    assert len(model.weights("keras")) == 2
    tokens = Model([Conv2D(3, 1), Reshape((4, 3)), Flatten(), Dense(2)], input_shape=(2, 2, 2))  # channels remain last
    np.testing.assert_array_equal(tokens.weights()["3.weight"], tokens.params[3]["weight"].T)


def test_the_tree_is_that_of_the_model():
    model = make()
    model.load_weights(STATE)
    assert [path for path, _ in tree.leaves_with_paths(model.params)] == [
        path for path, _ in tree.leaves_with_paths(make().params)
    ]

"""Test saving and loading: content, round trips between backends, wrong descriptions."""

import json
import os
import re
from collections import ChainMap

import numpy as np
import pytest
from safetensors import safe_open

from anynet import SGD, Adam, Dense, Dropout, Layer, MeanSquaredError, Model, ReLU, SoftmaxCrossEntropy, load
from anynet.checkpoint import file as storage
from tests.tools import assert_close, assert_same, fetch

pytestmark = pytest.mark.without("jax")

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3


def make(backend="numpy", **settings):
    defaults = {"loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.01), "metrics": ["accuracy"], "seed": 5}
    layers = [Dense(6, bias=[0.5] * 6), ReLU(), Dropout(0.3), Dense(3)]
    return Model(layers, input_shape=4, backend=backend, **{**defaults, **settings})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_model_is_equal_and_trains_on_as_the_saved_one(backend, path, dtype):
    model = make(backend, dtype=dtype)
    history = model.fit(X, Y, epochs=2, batch_size=8)
    model.save(path)
    for name in ("numpy", backend):
        again = load(path, backend=name)
        assert again.config == model.config and (again.dtype, again.seed, again.epoch) == (dtype, 5, 2)
        assert again.layer == model.layer and again.loss == model.loss and again.optimizer == model.optimizer
        assert again.metrics == model.metrics and dict(again.history) == dict(history)
        assert_same(fetch(again.backend, again.state), fetch(backend, model.state))
    for each in (model, again):  # optimizer state, masks and order of the data too
        each.fit(X, Y, epochs=2, batch_size=8)
    assert_same(fetch(backend, again.params), fetch(backend, model.params))


def test_loads_on_another_backend(backend, path):
    model = make("numpy", dtype="float64")
    model.fit(X, Y, epochs=1)
    model.save(path)
    again = load(path, backend=backend)
    assert_close(np.asarray(again.predict(X)), model.predict(X), rtol=1e-12)
    assert load(path).backend.name == "numpy"


def test_the_file_is_readable_with_safetensors_and_json_alone(path):
    model = make()
    model.fit(X, Y, epochs=2)
    model.save(path)
    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["anynet"])
        np.testing.assert_array_equal(file.get_tensor("params.0.weight"), model.params[0]["weight"])
        names = set(file.keys())
    assert {"params.3.bias", "state.m.0.weight", "state.v.3.bias", "state.step", "key"} <= names
    assert {name.split(".")[0] for name in names} == {"params", "state", "key"}
    assert description["format"] == 1 and description["epoch"] == 2
    assert description["model"]["layer"]["layers"][0]["units"] == 6
    assert description["history"]["loss"] == model.history["loss"]
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["anynet"]) == description
    assert b"pickle" not in content


@pytest.mark.parametrize("optimizer", [None, SGD(0.1), SGD(0.1, momentum=0.9)])
@pytest.mark.parametrize("loss", [None, MeanSquaredError()])
def test_with_and_without_parts(optimizer, loss, path):
    model = make(optimizer=optimizer, loss=loss, metrics=())
    model.save(path)
    again = load(path)
    assert (again.optimizer, again.loss, again.metrics) == (optimizer, loss, ())


def test_history_that_is_not_finite(path):
    model = make()
    model.history.append({"loss": float("nan"), "other": float("inf"), "matrix": [[1.0, float("-inf")]]})
    model.save(path)
    with safe_open(path, framework="numpy") as file:
        json.loads(file.metadata()["anynet"], parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    history = load(path).history
    assert np.isnan(history["loss"][0]) and history["other"] == [float("inf")]
    assert history["matrix"] == [[[1.0, float("-inf")]]]


class Doubled(Layer):
    def forward(self, params, x, *, key=None):
        return 2.0 * x, None

    def backward(self, params, cache, dy, *, need_dx=True):
        return (2.0 * dy if need_dx else None), {}


def falling(step):
    return 0.1 / (1.0 + step)


def test_custom_layers_and_functions_load_when_they_are_passed(path):
    model = Model([Doubled(), Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=SGD(falling))
    model.save(path)
    assert load(path, custom=[Doubled, falling]).layer == model.layer
    with pytest.raises(ValueError, match=r"load: expected a class of anynet, got 'Doubled'; pass your own with custom"):
        load(path, custom=[falling])
    with pytest.raises(ValueError, match=r"load: expected the function 'falling'.*custom=\[falling\]"):
        load(path, custom=[Doubled])


@pytest.mark.parametrize("rate", [lambda step: 0.1 + 0.0 * step, lambda step: 0.1], ids=["array", "number"])
def test_a_lambda_cannot_be_saved_and_nothing_is_written(rate, path):
    model = make(optimizer=SGD(rate))
    message = r"save: expected .* named functions.*, got <function .*; write it as a frozen dataclass or with def"
    with pytest.raises(TypeError, match=message):
        model.save(path)
    assert os.listdir(path.parent) == []


# Descriptions of other models -----------------------------------------------------------------------------------------


def refused(path, match):
    """Check that a file is refused with its name in the message."""
    with pytest.raises(ValueError, match=match) as raised:
        load(path)
    assert path.name in str(raised.value) and re.match(r"load: .*expected .*, got ", str(raised.value))


def rewrite(path, change):
    """Save a model and change its description, as a later version or another program might."""
    make().save(path)
    tensors, description = storage.read("load", path)
    change(ChainMap(description["model"], description))
    storage.write(path, tensors, description)


def test_arrays_of_another_architecture(path):
    rewrite(path, lambda header: header["layer"]["layers"][0].update(units=7, bias={"class": "Zeros"}))
    refused(path, match=r"expected params\.0\.\w+ of shape")
    rewrite(path, lambda header: header["layer"]["layers"].append({"class": "Dense", "units": 2}))
    refused(path, match="expected the arrays of the architecture in its header, got others: params.4.bias")
    rewrite(path, lambda header: header.update(optimizer={"class": "SGD"}))
    refused(path, match="expected the arrays of the architecture in its header, got others: state")
    rewrite(path, lambda header: header.pop("seed"))
    refused(path, match=r"load: expected the description of a model .* wrong 'seed'")
    make().save(path)
    tensors, description = storage.read("load", path)
    for change in ({"params.0.weight": np.zeros((4, 7))}, {"params.9.weight": np.zeros(1)}):
        storage.write(path, tensors | change, description)
        refused(path, match=r"load: .*expected .*params\.[09]\.weight")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("layer"),
        lambda header: header.maps[1].pop("epoch"),
        lambda header: header.update(dtype="float16"),
        lambda header: header.update(seed=-1),
        lambda header: header.maps[1].update(epoch=None),
        lambda header: header.update(input_shape="x"),
        lambda header: header.update(layer={"class": "Dance", "units": 3}),
        lambda header: header.update(layer={"class": "Dense", "unit": 3}),
        lambda header: header.update(layer={"class": "Dense", "units": "3"}),
        lambda header: header.update(layer={"class": "Dense", "units": -3}),
        lambda header: header.update(layer={"class": ["Dense"]}),
        lambda header: header.update(layer={"class": "os"}),
        lambda header: header.update(layer={"class": "Model"}),
        lambda header: header.update(layer={"class": "Adam"}),
        lambda header: header.update(layer=[1, 2]),
        lambda header: header.update(layer=None),
        lambda header: header.update(loss={"class": "Dense", "units": 3}),
        lambda header: header.update(metrics=3),
        lambda header: header.clear(),
    ],
    ids=range(19),
)
def test_a_header_that_is_wrong(path, change):
    rewrite(path, change)
    with pytest.raises((ValueError, TypeError), match=r"expected .*, got "):
        load(path)

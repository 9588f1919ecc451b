"""Saving and loading: on any backend, whole or not at all, and with a clear word for every file that is no model."""

import json
import os
from collections import ChainMap

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from anynet import SGD, Adam, Dense, Dropout, MeanSquaredError, Model, ReLU, SoftmaxCrossEntropy, load
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
def test_goes_on_where_it_was(backend, path, dtype):
    model = make(backend, dtype=dtype)
    model.fit(X, Y, epochs=2, batch_size=8)
    model.save(path)
    again = load(path, backend=backend)
    assert again.layer == model.layer and again.loss == model.loss and again.optimizer == model.optimizer
    assert again.metrics == model.metrics and (again.dtype, again.seed, again.epoch) == (dtype, 5, 2)
    assert_same(fetch(backend, again.params), fetch(backend, model.params))
    for each in (model, again):  # optimiser state, masks and order of the data too
        each.fit(X, Y, epochs=2, batch_size=8)
    assert_same(fetch(backend, again.params), fetch(backend, model.params))


def test_loads_on_another_backend(backend, path):
    model = make("numpy", dtype="float64")
    model.fit(X, Y, epochs=1)
    model.save(path)
    again = load(path, backend=backend)
    assert_close(np.asarray(again.predict(X)), model.predict(X), rtol=1e-12)
    assert load(path).backend.name == "numpy"


def test_the_file_is_plain_safetensors_and_json(path):
    model = make()
    model.save(path)
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["params.0.weight"], model.params[0]["weight"])
    assert {name.split(".")[0] for name in tensors} == {"params", "state", "key"}
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["anynet"])["model"]
    assert header["layer"]["layers"][0]["units"] == 6
    assert b"pickle" not in path.read_bytes()


@pytest.mark.parametrize("optimizer", [None, SGD(0.1), SGD(0.1, momentum=0.9)])
@pytest.mark.parametrize("loss", [None, MeanSquaredError()])
def test_with_and_without_parts(optimizer, loss, path):
    model = make(optimizer=optimizer, loss=loss, metrics=())
    model.save(path)
    again = load(path)
    assert (again.optimizer, again.loss, again.metrics) == (optimizer, loss, ())


def test_saves_over_an_older_file_and_leaves_no_other(path):
    for _ in range(2):
        make().save(path)
        make().save(str(path))
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_save_keeps_the_old_file(path, monkeypatch):
    make().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make(seed=6).save(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


# Files that are no model ------------------------------------------------------------------------------------------------


def refused(path, match=r"^load: expected .*, got "):
    with pytest.raises(ValueError, match=match) as raised:
        load(path)
    assert path.name in str(raised.value) or "class of anynet" in str(raised.value)


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=r"load: expected a file, got .*model.safetensors, which is not there"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x80\x04K\x01.", b"x" * 500, b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"]
)
def test_not_a_model(path, content):
    path.write_bytes(content)
    refused(path)


def test_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"^load: expected a file, got the folder"):
        load(tmp_path)


def test_truncated_anywhere(path):
    make().save(path)
    whole = path.read_bytes()
    for length in [*range(40), *range(40, len(whole) - 1, 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path, match="^load: expected a (whole safetensors file|file as it was written), got")


def test_damaged_anywhere(path):
    make().save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 2500), 3)] ^= rng.integers(1, 255, 3, dtype=np.uint8)
        path.write_bytes(damaged.tobytes())
        refused(path)


def rewrite(path, change):
    """Save a model and change its description, as a later version or another program might."""
    make().save(path)
    tensors, description = storage.read("load", path)
    change(ChainMap(description["model"], description))
    storage.write(path, tensors, description)


def test_other_safetensors(path):
    save_file({"weight": np.ones(3)}, path)
    refused(path, match="expected a file that anynet wrote, got")


def test_arrays_of_another_architecture(path):
    rewrite(path, lambda header: header["layer"]["layers"][0].update(units=7, bias={"class": "Zeros"}))
    refused(path, match=r"expected params\.0\.\w+ of shape")
    rewrite(path, lambda header: header["layer"]["layers"].append({"class": "Dense", "units": 2}))
    refused(path, match="expected the arrays of the architecture in its header, got others: params.4.bias")
    rewrite(path, lambda header: header.update(optimizer={"class": "SGD"}))
    refused(path, match="expected the arrays of the architecture in its header, got others: state")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("layer"),
        lambda header: header.maps[1].pop("epoch"),
        lambda header: header.maps[1].update(format=999),
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
    ids=range(20),
)
def test_a_header_that_is_wrong(path, change):
    rewrite(path, change)
    with pytest.raises((ValueError, TypeError), match=r"expected .*, got "):
        load(path)


def test_what_cannot_be_described_is_refused_before_writing(path):
    model = make(optimizer=SGD(lambda step: 0.1 + 0.0 * step))
    with pytest.raises(TypeError, match=r"save: expected .* got <function .*; write it as a frozen dataclass"):
        model.save(path)
    assert not path.exists()

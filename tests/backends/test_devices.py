"""Models on a device that is not the current one: every public method computes there, and leaves the current device alone."""

import dataclasses
import threading

import numpy as np
import pytest

from anynet import (
    EMA,
    SGD,
    Adam,
    BatchNorm,
    Callback,
    Checkpoint,
    Dense,
    Dropout,
    EarlyStopping,
    Model,
    ReLU,
    SoftmaxCrossEntropy,
    StopOnNaN,
    backends,
    check_gradients,
    explain,
    learning_rate_test,
    load,
    tree,
)
from anynet.config import ModelConfig
from tests.conftest import KINDS
from tests.tools import assert_close, assert_same

x = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
y = np.arange(24) % 3
SETTINGS = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": EMA(Adam(0.01)), "metrics": ["accuracy"]}
LAYERS = [Dense(6), BatchNorm(), ReLU(), Dropout(0.1), Dense(3)]

only_the_second = pytest.mark.without(*(kind for kind in KINDS if kind != "cupy:1"))
"""A test runs with cupy:1 alone, where there is a second GPU."""


def batches(x, y):
    return [(x[i : i + 8], y[i : i + 8]) for i in range(0, 24, 8)]


def trained(model, x, y, path):
    """Fit in every way that takes another course through the sources, with callbacks that look at the arrays."""
    looks = [StopOnNaN(every=2), EarlyStopping("val_loss"), Checkpoint(path), Looking()]
    model.fit(x, y, epochs=2, batch_size=8, validation_split=0.25, class_weight="balanced", callbacks=looks)
    model.fit(x, y, epochs=2, batch_size=8, sample_weight=np.ones(24), validation_data=(x, y), shuffle=False)
    model.fit(x, y, epochs=1, batch_size=None)
    model.fit(batches(x, y), validation_data=batches(x, y))
    again = Model(LAYERS, backend=model.backend, **SETTINGS)
    again.fit(
        x, y, epochs=3, batch_size=8, validation_split=0.25, class_weight="balanced", callbacks=looks, resume=path
    )


class Looking(Callback):
    """Compute with the model's arrays, as callbacks may."""

    def on_batch_end(self, run):
        assert run.running()["loss"] > 0
        assert all(float((a * a).sum()) >= 0 for a in tree.leaves(run.model.params))


def frozen(model, x, y, path):
    model.freeze(0)
    model.train_step(x, y)
    model.unfreeze()


def set_params(model, x, y, path):
    model.params = tree.map(model.backend.to_numpy, model.params)


def set_state(model, x, y, path):
    model.state = tree.map(model.backend.to_numpy, model.state)


def set_factor(model, x, y, path):
    model.learning_rate_factor = 0.5
    assert model.learning_rate_factor == 0.5


CALLS = {
    "fit": trained,
    "train_step": lambda model, x, y, path: [model.train_step(x, y, np.ones(24)) for _ in range(2)],
    "gradients": lambda model, x, y, path: model.gradients(x, y, np.ones(24)),
    "predict": lambda model, x, y, path: model.predict(x),
    "predict_proba": lambda model, x, y, path: model.predict_proba(x),
    "predict_classes": lambda model, x, y, path: model.predict_classes(x),
    "evaluate": lambda model, x, y, path: (model.evaluate(x, y, np.ones(24)), model.evaluate(batches(x, y))),
    "freeze": frozen,
    "unfreeze": frozen,
    "summary": lambda model, x, y, path: model.summary(),
    "to": lambda model, x, y, path: (model.to(model.backend), model.to("numpy").to(model.backend)),
    "to_onnx": lambda model, x, y, path: pytest.importorskip("onnx") and model.to_onnx(),
    "weights": lambda model, x, y, path: model.weights(),
    "load_weights": lambda model, x, y, path: model.load_weights(model.weights()),
    "averaged": lambda model, x, y, path: model.averaged(),
    "save": lambda model, x, y, path: (model.save(path), load(path, backend=model.backend)),
    "params": set_params,
    "copy_params": lambda model, *_: model.copy_params(),
    "learning_rate_factor": set_factor,
    "state": set_state,
    "from_config": lambda model, x, y, path: type(model).from_config(model.config, model.backend).predict(x),
    "from_snapshot": lambda model, x, y, path: (model.save(path), load(path, backend=model.backend).predict(x)),
}
"""A call of each public method and property of a model. A new one is a new row."""

FUNCTIONS = {
    "explain": lambda model, x, y, path: explain(model, x, y),
    "learning_rate_test": lambda model, x, y, path: learning_rate_test(
        Model(LAYERS, backend=model.backend, **{**SETTINGS, "optimizer": SGD(0.1)}), x, y, steps=5
    ),
    "check_gradients": lambda model, x, y, path: (
        check_gradients(Dense(3), x, backend=model.backend),
        check_gradients(Model([Dense(3)], backend=model.backend, **SETTINGS), x, y),
    ),
}


def test_the_table_has_every_public_method():
    settings = {field.name for field in dataclasses.fields(ModelConfig)}
    assert CALLS.keys() == {name for name in dir(Model) if not name.startswith("_")} - settings


@only_the_second
@pytest.mark.parametrize("data", ["host", "current", "second"])
@pytest.mark.parametrize("name", [*CALLS, *FUNCTIONS])
def test_a_public_method_computes_on_the_models_device(name, data, backend, tmp_path):
    """With data on the host, on the current device, and on the model's."""
    import cupy

    place = {"host": lambda a: a, "current": backends.get("cupy:0").asarray, "second": backend.asarray}[data]
    current = cupy.cuda.Device().id
    assert current != backend.device.id
    model = Model(LAYERS, backend=backend, **SETTINGS)
    (CALLS | FUNCTIONS)[name](model, place(x), place(y), tmp_path / "model.safetensors")
    assert cupy.cuda.Device().id == current
    assert {a.device.id for a in tree.leaves(model._owner.shared)} == {backend.device.id}


@only_the_second
def test_a_model_on_another_device_is_the_same_model(backend):
    one, other = (Model(LAYERS, backend=kind, **SETTINGS) for kind in ("cupy:0", backend))
    for model in (one, other):
        model.fit(x, y, epochs=3, batch_size=7)
    assert_close(other.predict(x), one.predict(x), rtol=1e-12)
    assert dict(other.history) == dict(one.history)


@only_the_second
def test_predictions_come_back_to_the_device_of_the_data(backend):
    model = Model(LAYERS, backend=backend, **SETTINGS)
    first = backends.get("cupy:0")
    assert model.predict(first.asarray(x)).device.id == 0
    assert model.predict(backend.asarray(x)).device.id == backend.device.id


@only_the_second
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("copy", [None, True])
def test_arrays_move_between_devices(dtype, copy, backend):
    for host in (x, x.T, x[::2, ::3], x[0, 0]):
        array = backends.get("cupy:0").asarray(x)
        array = {x.shape: array, x.T.shape: array.T, (): array[0, 0]}.get(host.shape, array[::2, ::3])
        moved = backend.asarray(array, dtype, copy=copy)
        assert moved.device.id == backend.device.id
        assert_same(backend.to_numpy(moved), np.asarray(host, dtype))


def test_the_context_can_be_nested_and_entered_by_threads(backend):
    """One object per backend serves all of its models."""
    model = Model([Dense(2)], input_shape=4, backend=backend)
    expected = backend.to_numpy(model.predict(backend.asarray(x)))
    found = []

    def work():
        for _ in range(5):
            with backend.activate(), backend.activate():
                found.append(backend.to_numpy(model.predict(backend.asarray(x))))

    threads = [threading.Thread(target=work) for _ in range(3)]
    with backend.activate():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 15
    for array in found:
        np.testing.assert_array_equal(array, expected)

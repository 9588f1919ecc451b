"""Test the settings of a model: normal form, equality, errors and assignment."""

import dataclasses

import numpy as np
import pytest

from anynet import (
    L2,
    SGD,
    Accuracy,
    Adam,
    Dense,
    MeanSquaredError,
    Model,
    Parallel,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    TopK,
)
from anynet.config import ModelConfig
from anynet.metrics import LossMetric
from tests.tools import assert_same, fetch

pytestmark = pytest.mark.without("jax")

FIELDS = [field.name for field in dataclasses.fields(ModelConfig)]
OTHER = {
    "layer": Sequential([Dense(4), Dense(3)]),
    "input_shape": (5,),
    "loss": MeanSquaredError(),
    "optimizer": SGD(0.1),
    "regularizer": L2(0.1),
    "metrics": (TopK(2),),
    "dtype": "float64",
    "compute_dtype": "bfloat16",
    "seed": 8,
}
"""A value of each field that differs from those of `config`."""


def config(**changes):
    arguments = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.01), "metrics": ["accuracy"]}
    return ModelConfig([Dense(5), ReLU(), Dense(3)], **{**arguments, "seed": 7, **changes})


def changed(name):
    return dataclasses.replace(config(), **{name: OTHER[name]})


# Values -----------------------------------------------------------------------------------------------------------------


def test_normal_form():
    found = config(seed=np.int64(7))
    assert found.layer == Sequential([Dense(5), ReLU(), Dense(3)])
    assert found.input_shape == (4,) and found.metrics == (Accuracy(),)
    assert type(found.seed) is int and found.seed == 7
    assert config(input_shape=[8, 8, 1]).input_shape == (8, 8, 1)
    branches = Parallel([Dense(1), Dense(2)])
    assert ModelConfig(branches, input_shape=[[3], (np.int32(2),)]).input_shape == ((3,), (2,))
    assert ModelConfig(branches, input_shape=2).layer == branches
    assert isinstance(config(metrics=[MeanSquaredError()]).metrics[0], LossMetric)


def test_of_normal_form_nothing_changes():
    assert ModelConfig(**{name: getattr(config(), name) for name in FIELDS}) == config()
    assert dataclasses.replace(config()) == config()


def test_equal_settings_are_equal_values():
    assert config() == config() and hash(config()) == hash(config())
    assert config(input_shape=(4,), metrics=(Accuracy(),)) == config()
    assert len({config(), config(), changed("seed")}) == 2


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_distinguishes(name):
    assert changed(name) != config() and getattr(changed(name), name) == OTHER[name]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config(), name, OTHER[name])


def test_defaults():
    found = ModelConfig(Dense(1), 2)
    assert found == ModelConfig(Dense(1), (2,), None, None, None, (), "float32", None, 0)
    assert found.reported == {}


def test_required_parts():
    assert config().required_loss == SoftmaxCrossEntropy() and config().required_optimizer == Adam(0.01)
    with pytest.raises(ValueError, match=r"Model: expected a loss, got none; pass loss=..., for example Softmax"):
        _ = config(loss=None, metrics=()).required_loss
    with pytest.raises(ValueError, match=r"Model: expected an optimizer, got none; pass optimizer=..., for example Ad"):
        _ = config(optimizer=None).required_optimizer


def test_the_loss_is_reported_first():
    found = config(metrics=["accuracy", TopK(2)]).reported
    assert list(found) == ["loss", "accuracy", "top_2"] and found["accuracy"] == Accuracy()
    assert list(config(loss=None, metrics=[TopK(2)]).reported) == ["top_2"]


def test_equal_settings_start_with_the_same_state(backend):
    one, other = (Model.from_config(config(), backend) for _ in range(2))
    assert_same(fetch(backend, one.state), fetch(backend, other.state))
    assert one.config == config() and one.epoch == 0 and len(one.history) == 0


# Settings of a model ----------------------------------------------------------------------------------------------------


@pytest.fixture
def model(backend):
    return Model.from_config(config(), backend)


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_of_a_model_is_that_of_its_config(name):
    model = Model.from_config(config())
    assert getattr(model, name) is getattr(model.config, name)
    assert getattr(Model, name).__doc__.endswith(", read-only.")


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_cannot_be_assigned(name):
    model = Model.from_config(config())
    before = getattr(model, name)
    message = (
        rf"^Model\.{name}: expected no assignment, .*, got .*; create "
        rf"Model\.from_config\(dataclasses\.replace\(model\.config, {name}=\.\.\.\), model\.backend\)"
    )
    for value in (OTHER[name], before, None):
        with pytest.raises(AttributeError, match=message):
            setattr(model, name, value)
    with pytest.raises(AttributeError):
        delattr(model, name)
    assert getattr(model, name) is before and model.config == config()


def test_the_advice_for_an_assignment_works(model, backend):
    model.train_step(np.ones((6, 4)), np.arange(6) % 3)
    other = Model.from_config(dataclasses.replace(model.config, optimizer=SGD(0.5)), model.backend)
    other.params = model.params
    before = fetch(backend, model.params)
    assert_same(fetch(backend, other.params), before)
    grads = fetch(backend, other.gradients(np.ones((6, 4)), np.arange(6) % 3)[1])
    other.train_step(np.ones((6, 4)), np.arange(6) % 3)
    moved = before[0]["weight"] - np.float32(0.5) * grads[0]["weight"]
    np.testing.assert_allclose(fetch(backend, other.params)[0]["weight"], moved, rtol=1e-6, atol=1e-7)
    assert_same(fetch(backend, model.params), before)


@pytest.mark.parametrize(
    ("settings", "kind", "match"),
    [
        ({"dtype": "float16"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'float16'"),
        ({"dtype": np.int32}, ValueError, "dtype: expected one of 'float32', 'float64', got 'int32'"),
        ({"seed": -1}, ValueError, "Model: expected seed >= 0, got -1"),
        ({"seed": None}, TypeError, "Model: expected seed to be an integer, got None"),
        ({"seed": 1.0}, TypeError, "Model: expected seed to be an integer, got 1.0"),
        ({"input_shape": 0}, ValueError, "expected input_shape >= 1, got 0"),
        (
            {"input_shape": (2, 2)},
            ValueError,
            r"SoftmaxCrossEntropy: expected outputs of shape \(classes,\), got \(2, 3\); for one class per example put Flatten",
        ),
        ({"metrics": ["roc_auk"]}, ValueError, "expected metrics to be .*, got 'roc_auk'; did you mean ROCAUC"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "metrics: expected different names"),
        ({"device": "nowhere"}, (ValueError, RuntimeError), "expected an available device, .*got 'nowhere'"),
        ({"optimizer": Adam}, TypeError, "expected optimizer .*, got the class Adam; write it with parentheses"),
        ({"loss": 3}, TypeError, "expected loss to be .*, got 3"),
    ],
)
def test_settings_of_a_model(settings, kind, match, backend):
    if "device" in settings:
        backend = backend.name.partition(":")[0]
    arguments = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "backend": backend, **settings}
    with pytest.raises(kind, match=match):
        Model([Dense(5), Dense(3)], **arguments)

"""Names as text, names of other libraries, and constructors that explain wrong arguments."""

import abc
import copy
import inspect
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import anynet
from anynet import (
    MAE,
    MSE,
    SGD,
    Accuracy,
    Adam,
    Dense,
    EarlyStopping,
    Layer,
    Loss,
    MeanAbsoluteError,
    Model,
    Optimizer,
    ReLU,
    SigmoidCrossEntropy,
    SiLU,
    SoftmaxCrossEntropy,
    Swish,
)
from anynet.metrics import LossMetric
from anynet.names.text import ALIASES, INSTEAD, advice, plain


def model(**settings):
    return Model([Dense(1)], **{"input_shape": 2, **settings})


@pytest.mark.parametrize("text", ["mse", "MSE", "mean_squared_error", "MeanSquaredError", "mean-squared error"])
def test_a_loss_by_name(text):
    assert model(loss=text).loss == MSE()


@pytest.mark.parametrize(
    ("text", "loss"),
    [("mae", MeanAbsoluteError()), ("cross_entropy", SoftmaxCrossEntropy()), ("huber", anynet.Huber())],
)
def test_other_words_for_losses(text, loss):
    one = Model([Dense(2)], input_shape=2, loss=text)
    assert one.loss == loss


def test_optimizers_metrics_layers_and_dtypes_by_name():
    one = Model(
        [Dense(4), "relu", "swish", Dense(1), "linear"],
        input_shape=2,
        loss="mse",
        optimizer="adam",
        metrics=["mae", "r2", "huber"],
        dtype=np.float64,
    )
    assert one.optimizer == Adam() and one.dtype == "float64"
    assert one.layer.layers[1:3] == (ReLU(), SiLU()) and Swish is SiLU
    assert one.metrics == (MAE(), anynet.R2(), LossMetric(anynet.Huber()))
    assert np.isfinite(one.fit(np.ones((4, 2)), np.ones(4), progress=False)["mae"][0])


def test_accuracy_by_name_or_instance_has_the_threshold_of_the_loss():
    for metric in ("accuracy", "acc", Accuracy()):
        assert model(loss=SigmoidCrossEntropy(), metrics=[metric]).metrics == (Accuracy(0.0),)
    assert model(loss=SigmoidCrossEntropy(), metrics=[Accuracy(0.3)]).metrics == (Accuracy(0.3),)


def test_the_learning_rate_has_a_short_name():
    assert Adam(lr=0.1) == Adam(0.1) and SGD(lr=0.1, momentum=0.9) == SGD(0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"Adam: expected learning_rate in \(0, inf\), got -1"):
        Adam(lr=-1)
    with pytest.raises(TypeError, match=r"Adam: expected arguments among .* got lr=1"):
        Adam(lr=1, learning_rate=1)


def test_calling_a_model_predicts():
    one, x = model(), np.ones((3, 2))
    np.testing.assert_array_equal(one(x), one.predict(x))


@pytest.mark.parametrize("name", [key.split(".")[1] for key in INSTEAD if key.startswith("anynet.")])
def test_a_name_of_another_library_says_what_to_write(name):
    assert name not in anynet.__all__
    with pytest.raises(AttributeError, match=r"expected a public name, got '.*; write "):
        getattr(anynet, name)


@pytest.mark.parametrize("name", [key[6:] for key in INSTEAD if key.startswith("Model.") and key[6:].isidentifier()])
def test_a_method_of_another_library_says_what_to_write(name):
    with pytest.raises(AttributeError, match=r"expected one of its attributes, got '.*; write "):
        getattr(model(), name)


def test_aliases_are_of_public_classes():
    assert set(ALIASES.values()) <= set(anynet.__all__)
    assert all(plain(key) == key for key in ALIASES)


@pytest.mark.parametrize(
    ("name", "near"),
    [("Relu", "ReLU"), ("Conv2d", "Conv2D"), ("SoftmaxCrossentropy", "SoftmaxCrossEntropy"), ("q", "")],
)
def test_the_nearest_name(name, near):
    assert advice(("anynet",), name, anynet.__all__) == (f"; did you mean {near}?" if near else "")


def test_private_and_missing_names_have_no_advice():
    for subject in (anynet, model()):
        assert not hasattr(subject, "__deepcopy__") and not hasattr(subject, "_nothing")


def test_signatures_and_copies_are_those_of_the_class():
    assert list(inspect.signature(Dense).parameters) == ["units", "use_bias", "weight", "bias"]
    assert list(inspect.signature(Model).parameters)[:2] == ["layers", "input_shape"]
    assert pickle.loads(pickle.dumps(Dense(3))) == copy.deepcopy(Dense(3)) == Dense(3)


def test_an_error_inside_a_constructor_is_its_own():
    @dataclass(frozen=True)
    class Odd(Layer):
        units: int

        def __post_init__(self):
            raise TypeError("its own")

    with pytest.raises(TypeError, match=r"^its own$"):
        Odd(3)


def test_a_layer_may_be_abstract():
    class Base(Layer, abc.ABC):
        @abc.abstractmethod
        def anything(self): ...

    with pytest.raises(TypeError, match="abstract"):
        Base()


class OwnLayer(Layer):
    def __init__(self, slope):
        self.slope = slope


class OwnLoss(Loss):
    def __init__(self, *, power=2):
        self.power = power


class OwnOptimizer(Optimizer):
    def __init__(self, *rates):
        self.rates = rates


@pytest.mark.parametrize(
    ("make", "name"), [(lambda: OwnLayer(2.0), "slope"), (OwnLoss, "power"), (lambda: OwnOptimizer(0.1), "rates")]
)
def test_a_class_with_its_own_init_is_refused(make, name):
    """It would be saved without its settings, and equal to one with others."""
    with pytest.raises(
        TypeError, match=rf"expected a frozen dataclass whose arguments are fields, got __init__\({name}\)"
    ):
        make()


def test_a_dataclass_may_check_its_fields_in_its_own_init():
    @dataclass(frozen=True, init=False)
    class Halved(Layer):
        units: int

        def __init__(self, units):
            object.__setattr__(self, "units", units // 2)

    assert Halved(6).units == 3


def test_a_forgotten_decorator():
    class Scaled(Layer):
        factor: float = 2.0

    assert Scaled() == Scaled()
    with pytest.raises(TypeError, match=r"got 3.0; factor is not a field: write @dataclass"):
        Scaled(3.0)


def test_misspelled_arguments_of_callbacks():
    with pytest.raises(TypeError, match=r"got patiense=3; did you mean patience\?"):
        EarlyStopping(patiense=3)

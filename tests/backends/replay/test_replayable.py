"""Which training steps may be replayed: those of anynet's own parts, and of classes that declare themselves."""

from dataclasses import dataclass

import numpy as np
import pytest

from anynet import (
    L2,
    SGD,
    Accuracy,
    Adam,
    Clip,
    Dense,
    GlorotUniform,
    Groups,
    HalfSquaredError,
    Model,
    Parallel,
    ReLU,
    Residual,
    StepDecay,
    tree,
)
from anynet.backends.numpy import NumpyBackend
from anynet.backends.replay import ReplayedStep
from anynet.backends.replay.replayable import is_replayable
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS


def make(layers=(Dense(3),), loss=HalfSquaredError(), optimizer=SGD(0.1), **more):  # noqa: B008 - immutable
    return Model(list(layers), input_shape=4, loss=loss, optimizer=optimizer, **more)


def is_replayed(model):
    """Return whether the steps of `fit` may be replayed; those of `train_step` have no metrics, and agree without any."""
    in_fit = any(isinstance(cell.cell_contents, ReplayedStep) for cell in model._compiled.loop.__closure__)
    assert model.metrics or isinstance(model._compiled.step, ReplayedStep) == in_fit
    return in_fit


@pytest.mark.parametrize("row", [*LAYERS, *LOSSES, *OPTIMIZERS], ids=lambda row: str(row[0]).replace(" ", "")[:60])
def test_own_parts_are(row):
    assert is_replayable(row[0])


def test_own_models_are():
    metrics = [Accuracy(), HalfSquaredError()]
    assert is_replayed(make([Residual([Dense(4)]), Dense(3)], metrics=metrics, regularizer=L2(0.1)))
    assert is_replayed(make(optimizer=Clip(SGD(StepDecay(0.1, 5)), norm=1.0), compute_dtype="float16"))


@dataclass(frozen=True)
class Foreign(ReLU):
    """A subclass adds what is not known."""


@dataclass(frozen=True)
class Declared(ReLU):
    replayable = True


@dataclass(frozen=True)
class Heir(Declared):
    """A permission is not inherited."""


@dataclass(frozen=True)
class Denied(ReLU):
    replayable = False


@dataclass(frozen=True)
class ForeignLoss(HalfSquaredError):
    pass


@dataclass(frozen=True)
class ForeignMetric(Accuracy):
    pass


@dataclass(frozen=True)
class ForeignOptimizer(Adam):
    pass


@dataclass(frozen=True)
class ForeignSchedule(StepDecay):
    pass


@dataclass(frozen=True)
class ForeignRegularizer(L2):
    pass


@dataclass(frozen=True)
class ForeignInitializer(GlorotUniform):
    pass


class ForeignBackend(NumpyBackend):
    pass


class Text(str):
    pass


@pytest.mark.parametrize(
    "arguments",
    [
        {"layers": [Foreign(), Dense(3)]},
        {"layers": [Heir(), Dense(3)]},
        {"layers": [Denied(), Dense(3)]},
        {"layers": [Residual([Parallel([Foreign(), Dense(4)], combine="add")]), Dense(3)]},
        {"layers": [Dense(3, weight=ForeignInitializer())]},
        {"loss": ForeignLoss()},
        {"metrics": [ForeignMetric()]},
        {"metrics": [ForeignLoss()]},
        {"metrics": [lambda y_true, y_pred: 1.0]},
        {"optimizer": ForeignOptimizer()},
        {"optimizer": SGD(ForeignSchedule(0.1, 5))},
        {"optimizer": SGD(lambda step: 0.1)},
        {"optimizer": Groups(SGD(0.1), {1: {"learning_rate": lambda step: 0.1}})},
        {"optimizer": Clip(ForeignOptimizer(), norm=1.0)},
        {"regularizer": ForeignRegularizer(0.1)},
        {"regularizer": L2(0.1) + ForeignRegularizer(0.1)},
        {"backend": ForeignBackend()},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_parts_of_others_are_not(arguments):
    assert not is_replayed(make(**arguments))


@pytest.mark.parametrize("value", [np.zeros(3), object(), Text("a"), print, [Foreign()], {"a": {1: Foreign()}}])
def test_what_may_change_is_not(value):
    assert not is_replayable(value)


def test_a_class_may_declare_itself():
    assert is_replayed(make([Declared(), Dense(3)]))


def test_a_function_is_what_it_closes_over():
    def unassigned():
        return later

    assert not is_replayable(unassigned)  # a function of a test is not anynet's
    later = 1
    assert is_replayable(NumpyBackend().elementwise)


def test_state_in_a_closure_is_seen():
    """A schedule that looks at something outside: its changes take effect in the very next step."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    rate = [0.1]
    model = make(optimizer=SGD(lambda step: rate[0]))
    for _ in range(20):
        model.train_step(x, y)
    before = tree.map(np.copy, model.params)
    rate[0] = 0.0
    model.train_step(x, y)
    for now, then in zip(tree.leaves(model.params), tree.leaves(before), strict=True):
        np.testing.assert_array_equal(now, then)

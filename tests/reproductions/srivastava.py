"""Srivastava et al. (2014), table 2: dropout, ReLU and max-norm on MNIST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from anynet import SGD, Dense, Dropout, HeNormal, MaxNorm, Model, PolynomialDecay, ReLU, SoftmaxCrossEntropy
from anynet.layers import Layer

from .base import Choice, Part, Run, Setting, Values, error_rate

BATCH = 100
NORM = 2.0
MOMENTUM = 0.95
UPDATES = 1_000_000
"""Weight updates of the paper."""


@dataclass(frozen=True)
class InverseTime:
    """Schedule :math:`α / (1 + t/T)`: half of the initial value after T steps."""

    replayable: ClassVar[bool] = True

    initial: float
    steps: int

    def __call__(self, step: Any) -> Any:
        return self.initial / (1.0 + step / self.steps)


def layers_of(hidden: int, units: int) -> list[Layer]:
    """Return hidden layers of ReLU with dropout: 20 % of the inputs, half of the hidden units."""
    layers: list[Layer] = [Dropout(0.2)]
    for _ in range(hidden):
        layers += [Dense(units, weight=HeNormal()), ReLU(), Dropout(0.5)]
    return [*layers, Dense(10, weight=HeNormal())]


def optimizer(rate: float, updates: int, *, max_norm: bool) -> Any:
    """Return SGD whose momentum rises linearly from 0.5 to 0.95 in the first tenth of the updates.

    The learning rate is divided by 1 + t/T, where T is also a tenth of the updates.
    """
    tenth = max(1, updates // 10)
    sgd = SGD(InverseTime(rate, tenth), momentum=PolynomialDecay(0.5, steps=tenth, final=MOMENTUM))
    return MaxNorm(sgd, NORM) if max_norm else sgd


def trained(run: Run, hidden: int, units: int, rate: float, updates: int, training: Part, *, max_norm: bool) -> Model:
    """Return the network after this number of updates, rounded to whole epochs."""
    epochs = max(1, round(updates * BATCH / len(training.x)))
    model = Model(
        layers_of(hidden, run.count(units, 16)),
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=optimizer(rate, updates, max_norm=max_norm),
        **run.model,
    )
    model.fit(*training, epochs=epochs, batch_size=BATCH, progress=False)
    return model


def validation_error(run: Run, rate: float) -> float:
    """Return the validation error of 784-512-512-10 after 1000 updates."""
    model = trained(run, 2, 512, rate, run.count(1000, 3), run.data.training, max_norm=True)
    return error_rate(model, run.data.validation)


RATE = Choice(
    "srivastava/learning rate",
    (0.01, 0.03, 0.1),
    validation_error,
    "error in % of 784-512-512-10 on the 10 000 validation images after 1000 updates",
)


def train(hidden: int, units: int, updates: int, *, max_norm: bool) -> Callable[[Run], Values]:
    def error(run: Run) -> Values:
        rate = run.chosen(RATE)
        data = run.data
        model = trained(run, hidden, units, rate, run.count(updates, 3), data.all_training, max_norm=max_norm)
        return {"value": error_rate(model, data.test), "rate": rate}

    return error


def setting(name: str, hidden: int, units: int, target: float, *, max_norm: bool, updates: int) -> Setting:
    full = updates == UPDATES
    return Setting(
        f"srivastava/{name}",
        "Srivastava et al. 2014, table 2",
        f"{hidden} × {units} ReLU, dropout{', max-norm' if max_norm else ''}, {updates:,} updates",
        f"784-{units}×{hidden}-10, ReLU, dropout of 0.2 and 0.5, {'max-norm 2' if max_norm else 'no max-norm'}, "
        f"momentum up to 0.95, {updates:,} updates{'' if full else ' of their 1,000,000'}; test error. Not theirs: "
        "batches of 100, weights from He's initialization, and the learning rate α / (1 + t/T), α chosen on 10 "
        "000 validation images.",
        f"{target} %",
        train(hidden, units, updates, max_norm=max_norm),
        target=target,
        better="lower",
        seeds=3,
        full=full,
    )


SETTINGS = (
    setting("3x1024", 3, 1024, 1.25, max_norm=False, updates=UPDATES),
    setting("3x1024 max-norm", 3, 1024, 1.06, max_norm=True, updates=UPDATES),
    setting("2x8192 max-norm", 2, 8192, 0.95, max_norm=True, updates=UPDATES),
    setting("3x1024 max-norm, 12000 updates", 3, 1024, 1.06, max_norm=True, updates=12_000),
    setting("3x1024 max-norm, 160000 updates", 3, 1024, 1.06, max_norm=True, updates=160_000),
)

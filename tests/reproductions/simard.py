"""Simard, Steinkraus and Platt (2003): 784-800-10 with cross-entropy, without and with elastic distortions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anynet import SGD, Dense, Model, Normal, SoftmaxCrossEntropy, StepDecay, Tanh
from anynet.datasets.augment import ElasticDistortions, elastic

from .base import Choice, Part, Run, Setting, Values, error_rate, mnist

FACTOR = 0.3
"""The paper multiplies its learning rate by this every 100 epochs; fewer epochs are divided into four equal parts."""

BATCH = 32


def trained(run: Run, rate: float, epochs: int, training: Part, *, distorted: bool) -> Model:
    """Return 784-800-10 after training, on the images themselves or on new distortions in every epoch."""
    model = Model(
        [Dense(run.count(800, 16), weight=Normal(0.05)), Tanh(), Dense(10, weight=Normal(0.05))],
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        optimizer=SGD(StepDecay(rate, epochs=max(1, epochs // 4), factor=FACTOR)),
        **run.model,
    )
    if distorted:
        images = training.x.reshape(-1, 28, 28)
        batches = ElasticDistortions(images, training.y, batch_size=BATCH, seed=run.seed)
        model.fit(batches, epochs=epochs, progress=False)
    else:
        model.fit(*training, epochs=epochs, batch_size=BATCH, progress=False)
    return model


def choice(name: str, candidates: tuple[float, ...], epochs: int) -> Choice:
    """Return the learning rate by the validation error after some epochs without distortions."""

    def validation_error(run: Run, rate: float) -> float:
        model = trained(run, rate, run.count(epochs), run.data.training, distorted=False)
        return error_rate(model, run.data.validation)

    criterion = f"error in % on the 10 000 validation images after {epochs} epochs without distortions"
    return Choice(name, candidates, validation_error, criterion)


RATE = choice("simard/learning rate", (0.03, 0.1, 0.3), 2)
LONGER_RATE = choice("simard/learning rate of longer training", (0.1, 0.3, 1.0), 8)


def train(epochs: int, *, distorted: bool) -> Callable[[Run], Values]:
    def error(run: Run) -> Values:
        rate = run.chosen(RATE if epochs == 20 else LONGER_RATE)
        model = trained(run, rate, run.count(epochs), run.data.all_training, distorted=distorted)
        return {"value": error_rate(model, run.data.test), "rate": rate}

    return error


def draw(_: Any) -> Any:
    """Draw six digits and seven distortions of each."""
    import matplotlib.pyplot as plt

    images = mnist(True).training.x[:6].reshape(-1, 28, 28)
    rng = np.random.default_rng(0)
    columns = [images, *(elastic(images, rng) for _ in range(7))]
    figure, axes = plt.subplots(6, 8, figsize=(6.4, 4.8), layout="constrained")
    for row, ax_row in enumerate(axes):
        for column, ax in zip(columns, ax_row, strict=True):
            ax.imshow(column[row], cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=(), yticks=())
    axes[0, 0].set_title("original", fontsize="small")
    return figure


FIGURES = {"simard": ((), draw)}


def setting(name: str, target: float, epochs: int, *, distorted: bool) -> Setting:
    distortions = "elastic distortions with σ = 4 and α = 34, new in every epoch" if distorted else "no distortions"
    return Setting(
        f"simard/{name}",
        "Simard et al. 2003, table 1",
        f"784-800-10, {'elastic' if distorted else 'no'} distortions, {epochs} epochs",
        f"784-800-10, cross-entropy, weights from N(0, 0.05²), {distortions}, {epochs} epochs; test error. Not "
        f"theirs: tanh, batches of {BATCH}, and the initial learning rate, chosen on 10 000 validation images; it "
        f"is multiplied by 0.3 every {epochs // 4} epochs.",
        f"{target} %",
        train(epochs, distorted=distorted),
        target=target,
        better="lower",
        seeds=3,
    )


SETTINGS = (
    setting("784-800-10", 1.6, 20, distorted=False),
    setting("distorted", 0.7, 20, distorted=True),
    setting("784-800-10, 100 epochs", 1.6, 100, distorted=False),
    setting("distorted, 400 epochs", 0.7, 400, distorted=True),
)

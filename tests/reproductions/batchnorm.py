"""Ioffe and Szegedy (2015), section 4.1: 784-100-100-100-10 sigmoid with and without batch normalization, figure 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from anynet import SGD, BatchNorm, Dense, LambdaCallback, Model, Normal, Sequential, Sigmoid, SoftmaxCrossEntropy
from anynet.backends import to_numpy
from anynet.layers import Layer

from .base import Choice, Part, Run, Setting, Values, error_rate

EPOCHS = 50  # of 1000 batches of 60: the paper's 50 000 steps
WEIGHT = Normal(0.1)
PROBE = 1000  # test images whose inputs to a sigmoid are recorded


def layers_of(normalized: bool) -> list[Layer]:
    """Return three hidden layers of 100 sigmoids; normalized ones have no bias of their own."""
    hidden: list[Layer] = []
    for _ in range(3):
        hidden.append(Dense(100, weight=WEIGHT, use_bias=not normalized))
        hidden += [BatchNorm(), Sigmoid()] if normalized else [Sigmoid()]
    return [*hidden, Dense(10, weight=WEIGHT)]


def percentiles(model: Model, x: np.ndarray) -> list[float]:
    """Return percentiles 15, 50 and 85 of the input to a sigmoid of the last hidden layer."""
    count = len(model.params) - 2
    network = Sequential(model.layer.layers[:count])
    z, _ = network.forward(model.params[:count], model.backend.asarray(x))
    return [round(float(value), 3) for value in np.percentile(to_numpy(z)[:, 0], (15, 50, 85))]


def train(run: Run, normalized: bool, rate: float, epochs: int, training: Part, held_out: Part) -> Values:
    """Return the accuracy on held-out images and the percentiles after each epoch."""
    model = Model(layers_of(normalized), input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=SGD(rate), **run.model)
    accuracy, inputs = [], [percentiles(model, held_out.x[:PROBE])]

    def record(_: Any) -> None:
        accuracy.append(round(100 - error_rate(model, held_out), 2))
        inputs.append(percentiles(model, held_out.x[:PROBE]))

    model.fit(*training, epochs=epochs, batch_size=60, callbacks=[LambdaCallback(on_epoch_end=record)], progress=False)
    return {"accuracy": accuracy, "inputs": inputs}


def validation_error(run: Run, rate: float) -> float:
    """Return the error after ten epochs without normalization."""
    training, validation, _ = run.data
    return 100 - train(run, False, rate, run.count(10), training, validation)["accuracy"][-1]


RATE = Choice(
    "batchnorm/learning rate",
    (0.03, 0.1, 0.3, 1.0),
    validation_error,
    "error in % on the 10 000 validation images after 10 epochs without normalization",
)


def compare(run: Run) -> Values:
    """Train both networks with the learning rate that suits the one without normalization."""
    rate, data = run.chosen(RATE), run.data
    curves = {
        name: train(run, normalized, rate, run.count(EPOCHS), data.all_training, data.test)
        for name, normalized in (("without", False), ("with", True))
    }
    plain, normalized = (curves[name]["accuracy"] for name in ("without", "with"))
    reached = next((epoch for epoch, value in enumerate(normalized, 1) if value >= max(plain)), len(normalized))
    return {"value": normalized[-1] - plain[-1], "without": plain[-1], "with": normalized[-1], "epochs": reached} | {
        "rate": rate,
        "curves": curves,
    }


def draw(results: Any) -> Any:
    """Draw the paper's figure 1 from the run with seed 0."""
    import matplotlib.pyplot as plt

    curves = results.find("batchnorm/784-100-100-100-10", 0)["curves"]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    steps = np.arange(1, len(curves["with"]["accuracy"]) + 1)
    for name, style in (("without", "--"), ("with", "-")):
        axes[0].plot(steps, curves[name]["accuracy"], style, label=f"{name} batch normalization")
    axes[0].set(xlabel="thousands of steps", ylabel="test accuracy, %", ylim=(70, 100))
    axes[0].legend()
    for ax, name in zip(axes[1:], ("without", "with"), strict=True):
        ax.plot(np.arange(len(steps) + 1), curves[name]["inputs"], "C0" if name == "without" else "C1")
        ax.set(xlabel="thousands of steps", ylim=(-8, 8), title=f"input to a sigmoid, {name} normalization")
    axes[1].set_ylabel("15th, 50th and 85th percentile")
    return figure


FIGURES = {"batchnorm": (("batchnorm/784-100-100-100-10",), draw)}

SETTINGS = (
    Setting(
        "batchnorm/784-100-100-100-10",
        "Ioffe and Szegedy 2015, figure 1",
        "accuracy with minus without normalization",
        "784-100-100-100-10, sigmoid, 50 000 steps of batches of 60: final test accuracy with minus without batch "
        "normalization. Not theirs: weights from N(0, 0.1²) and plain SGD for both networks, its learning rate "
        "chosen for the one without normalization.",
        "above 0",
        compare,
        also={
            "with": "accuracy with",
            "without": "without",
            "epochs": "epochs of 1000 steps until the normalized network exceeds the best of the other",
        },
    ),
)

"""Jordan et al. (2024): steps to a target loss with Muon and with AdamW."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from anynet import AdamW, Dense, Groups, HeNormal, Model, Muon, Optimizer, ReLU, SoftmaxCrossEntropy

from .base import Choice, Part, Run, Setting, Values

TARGET = 0.15
EVERY = 10
STEPS = 1500
WIDTH = 128

OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], tuple[float, ...]]] = {
    "Muon": (
        lambda rate: Groups(Muon(rate, weight_decay=0.0), {"4.*": AdamW(1e-3, weight_decay=0.0)}),
        (0.003, 0.005, 0.01, 0.02),
    ),
    "AdamW": (lambda rate: AdamW(rate, weight_decay=0.0), (5e-4, 1e-3, 2e-3, 5e-3)),
}
"""Optimizers by name, each with candidates of its learning rate; Muon's last layer and biases use AdamW."""


def curve(run: Run, optimizer: Optimizer, held_out: Part) -> list[float]:
    """Return the loss on held-out images every ten steps, up to the target."""
    hidden = [layer for _ in range(2) for layer in (Dense(run.count(WIDTH, 16), weight=HeNormal()), ReLU())]
    model = Model([*hidden, Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=optimizer, **run.model)
    x, y = run.data.training
    rng, found = np.random.default_rng((run.seed, 7)), []
    while len(found) < run.count(STEPS // EVERY, 2) and not (found and found[-1] <= TARGET):
        for _ in range(EVERY):
            rows = rng.integers(0, len(x), 128)
            model.train_step(x[rows], y[rows])
        found.append(round(float(model.evaluate(*held_out)["loss"]), 4))
    return found


def steps(losses: list[float]) -> float:
    """Return the number of steps to the target; infinite if it was not reached."""
    return len(losses) * EVERY if losses[-1] <= TARGET else float("inf")


def first_images(part: Part) -> Part:
    return Part(part.x[:2000], part.y[:2000])


def validation_steps(run: Run, optimizer: Optimizer) -> float:
    """Return the mean number of steps of three seeds to the target on validation images."""
    runs = [dataclasses.replace(run, seed=seed) for seed in range(run.count(3))]
    return float(np.mean([steps(curve(r, optimizer, first_images(run.data.validation))) for r in runs]))


RATES = {
    name: Choice(
        f"muon/learning rate of {name}",
        candidates,
        lambda run, rate, make=make: validation_steps(run, make(rate)),
        f"mean number of steps of three seeds until the loss on 2000 validation images is {TARGET}",
    )
    for name, (make, candidates) in OPTIMIZERS.items()
}


def compare(run: Run) -> Values:
    """Count the steps of both optimizers until the loss on test images reaches the target."""
    rates = {name: run.chosen(choice) for name, choice in RATES.items()}
    held_out = first_images(run.data.test)
    curves = {name: curve(run, make(rates[name]), held_out) for name, (make, _) in OPTIMIZERS.items()}
    counts = {name: min(steps(losses), STEPS) for name, losses in curves.items()}
    return {"value": counts["AdamW"] - counts["Muon"], **counts, "rates": rates, "loss": curves}


def draw(results: Any) -> Any:
    """Draw the loss on test images against steps, one line per seed."""
    import matplotlib.pyplot as plt

    rows = results.of("muon/784-128-128-10")
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for i, name in enumerate(OPTIMIZERS):
        for row in rows:
            losses = row["loss"][name]
            ax.semilogy(np.arange(1, len(losses) + 1) * EVERY, losses, color=f"C{i}", alpha=0.7)
        ax.plot([], [], color=f"C{i}", label=f"{name}, learning rate {rows[0]['rates'][name]:g}")
    ax.axhline(TARGET, color="gray", linewidth=1)
    ax.set(xlabel="step", ylabel="test loss")
    ax.legend()
    return figure


FIGURES = {"muon": (("muon/784-128-128-10",), draw)}

SETTINGS = (
    Setting(
        "muon/784-128-128-10",
        "Jordan et al. 2024, Muon",
        "steps of AdamW minus steps of Muon",
        "784-128-128-10, ReLU, batches of 128: steps of AdamW minus steps of Muon until the loss on 2000 test "
        "images is 0.15. No weight decay; both learning rates chosen from four candidates by the mean steps of "
        "three seeds on 2000 validation images. Theirs are language models and convolutional networks. With "
        "learning rates chosen on one seed, three of five seeds took fewer steps with Muon.",
        "above 0",
        compare,
        unit="steps",
        also={"Muon": "steps of Muon", "AdamW": "of AdamW"},
    ),
)

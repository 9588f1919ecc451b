"""Jordan et al. (2024): steps to a target loss with Muon and with AdamW."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from anynet import (
    AdamW,
    Dense,
    Groups,
    HeNormal,
    Model,
    Muon,
    Optimizer,
    PolynomialDecay,
    ReLU,
    SoftmaxCrossEntropy,
)

from .base import Choice, Part, Run, Setting, Values

TARGET = 0.15
LENGTHS = (100, 150, 200, 300, 400, 600, 800, 1200)
"""Lengths of training to try, in steps of batches of 128."""


def muon(rate: float, steps: int) -> Optimizer:
    """Return Muon for hidden layers, with AdamW for biases and the last layer."""
    adamw = AdamW(PolynomialDecay(2e-3, steps=steps), weight_decay=0.0)
    hidden = Muon(PolynomialDecay(rate, steps=steps), weight_decay=0.0, otherwise=adamw)
    return Groups(hidden, {"4.*": adamw})


def adamw(rate: float, steps: int) -> Optimizer:
    return AdamW(PolynomialDecay(rate, steps=steps), weight_decay=0.0)


OPTIMIZERS: dict[str, tuple[Callable[[float, int], Optimizer], tuple[float, ...]]] = {
    "Muon": (muon, (0.01, 0.02, 0.05, 0.1)),
    "AdamW": (adamw, (1e-3, 3e-3, 1e-2, 3e-2)),
}
"""Optimizers by name, with a rate that falls linearly to 0, and candidates of that rate."""


def loss_after(run: Run, optimizer: Optimizer, steps: int, held_out: Part) -> float:
    """Return the loss on held-out images after a number of steps."""
    hidden = [layer for _ in range(2) for layer in (Dense(run.count(128, 16), weight=HeNormal()), ReLU())]
    model = Model([*hidden, Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=optimizer, **run.model)
    x, y = run.data.training
    rng = np.random.default_rng((run.seed, 7))
    for _ in range(steps):
        rows = rng.integers(0, len(x), 128)
        model.train_step(x[rows], y[rows])
    return round(float(model.evaluate(*held_out)["loss"]), 4)


def validation_loss(run: Run, make: Callable[[float, int], Optimizer], rate: float) -> float:
    """Return the mean validation loss of three seeds after 200 steps."""
    steps = run.count(200, 3)
    runs = [dataclasses.replace(run, seed=seed) for seed in range(run.count(3))]
    return float(np.mean([loss_after(r, make(rate, steps), steps, run.data.validation) for r in runs]))


RATES = {
    name: Choice(
        f"muon/learning rate of {name}",
        candidates,
        lambda run, rate, make=make: validation_loss(run, make, rate),
        "loss on the 10 000 validation images after 200 steps, mean of three seeds",
    )
    for name, (make, candidates) in OPTIMIZERS.items()
}


def compare(run: Run) -> Values:
    """Find the shortest training of each optimizer that reaches the target on test images."""
    rates = {name: run.chosen(choice) for name, choice in RATES.items()}
    losses: dict[str, dict[str, float]] = {}
    counts = {}
    for name, (make, _) in OPTIMIZERS.items():
        losses[name] = {}
        for steps in LENGTHS[: run.count(len(LENGTHS))]:
            counts[name] = steps
            losses[name][str(steps)] = loss_after(run, make(rates[name], steps), run.count(steps, 3), run.data.test)
            if losses[name][str(steps)] <= TARGET:
                break
    return {"value": counts["AdamW"] - counts["Muon"], **counts, "rates": rates, "loss": losses}


def draw(results: Any) -> Any:
    """Draw the test loss against the length of training, one line per seed."""
    import matplotlib.pyplot as plt

    rows = results.of("muon/784-128-128-10")
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for i, name in enumerate(OPTIMIZERS):
        for row in rows:
            losses = row["loss"][name]
            ax.plot([int(steps) for steps in losses], [*losses.values()], ".-", color=f"C{i}", alpha=0.7)
        ax.plot([], [], color=f"C{i}", label=f"{name}, initial learning rate {rows[0]['rates'][name]:g}")
    ax.axhline(TARGET, color="gray", linewidth=1)
    ax.set(xlabel="length of training in steps", ylabel="test loss at its end")
    ax.legend()
    return figure


FIGURES = {"muon": (("muon/784-128-128-10",), draw)}

SETTINGS = (
    Setting(
        "muon/784-128-128-10",
        "Jordan et al. 2024, Muon",
        "steps of AdamW minus steps of Muon",
        "784-128-128-10, ReLU, batches of 128, learning rates that fall linearly to 0: length of the shortest "
        "training, of 100, 150, 200, 300, 400, 600, 800 and 1200 steps, that ends with a test loss of at most "
        "0.15, with AdamW minus with Muon. No weight decay; both initial learning rates chosen from four "
        "candidates by the loss on 10 000 validation images. Theirs are language models and convolutional "
        "networks. With constant learning rates, an earlier version, three of five seeds took fewer steps with "
        "Muon, 60 fewer on average.",
        "above 0",
        compare,
        unit="steps",
        digits=0,
        also={"Muon": "steps of Muon", "AdamW": "of AdamW"},
    ),
)

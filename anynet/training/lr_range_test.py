"""The learning-rate range test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from anynet.checks import check_int, check_number
from anynet.data.adapter import DataAdapter
from anynet.data.plan import Plan

MAX_LOSS_RATIO = 4.0
"""Ratio of the loss to its minimum at which the test ends."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test measured.

    Attributes
    ----------
    rates : tuple of float
        The learning rate of each step.
    losses : tuple of float
        The loss of its batch, smoothed.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the loss was least: there it still falls, and is far from exploding."""
        return self.rates[int(np.argmin(self.losses))] / 10.0

    def plot(self, ax: Any = None) -> Any:
        """Plot the loss over the rate with the suggestion; return matplotlib's Axes."""
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError:
                raise ImportError(
                    'plot: expected the package matplotlib to be installed, got none; run: pip install "anynet-nn[plots]"'
                ) from None
            _, ax = plt.subplots()
        ax.semilogx(self.rates, self.losses)
        ax.axvline(self.suggestion, linestyle="dashed", color="grey", label=f"suggestion: {self.suggestion:.2g}")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss, smoothed")
        ax.legend()
        return ax


def learning_rate_test(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.9,
) -> RangeTest:
    """Train a copy of a model while the learning rate grows geometrically, and return the losses; the model stays as it is.

    Parameters
    ----------
    model : Model
        With a loss and an optimizer whose learning rate is a number.
    x, y
        As in `Model.fit`; as many epochs as the steps need.
    low, high : float > 0
        The first and the last rate.
    steps : int >= 2
        How many steps.
    batch_size : int >= 1
        Examples in each.
    smoothing : float in [0, 1)
        How much of the running average of losses survives a step.

    Notes
    -----
    It ends early when the loss is no number any more or four times the least so far. `RangeTest.suggestion` is a place to
    begin; with a schedule that rises and falls, the rate may go higher.

    References
    ----------
    Smith (2017), "Cyclical learning rates for training neural networks", section 3.3, with a geometric rate in place of the
    linear one.

    Examples
    --------
    >>> from anynet import SGD, Dense, Model, SoftmaxCrossEntropy, load_digits
    >>> (x, y), _ = load_digits()
    >>> model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1))
    >>> 0.01 < learning_rate_test(model, x / 16, y).suggestion < 10
    True
    """
    where = "learning_rate_test"
    check_number(where, "low", low, "(0, inf)")
    check_number(where, "high", high, f"({low:g}, inf)")
    check_int(where, "steps", steps, at_least=2)
    check_number(where, "smoothing", smoothing, "[0, 1)")
    optimizer = model.config.required_optimizer
    start = getattr(optimizer, "learning_rate", None)
    if not isinstance(start, (int, float)):
        raise ValueError(f"{where}: expected an optimizer whose learning_rate is a number, got {optimizer!r}")
    with model.backend.activate():
        copy = model.to(model.backend)
        source = DataAdapter(copy.config, copy.backend, copy.output_shape).source(where, x, y)
        plan = Plan(1, batch_size, True, model.seed, 0.0)
        batches = (batch for epoch in count() for chunk in source.chunks(plan, epoch, 0) for batch in chunk.batches())
        rates: list[float] = []
        losses: list[float] = []
        average = 0.0
        for rate, batch in zip(np.geomspace(low, high, steps).tolist(), batches, strict=False):
            copy.learning_rate_factor = rate / start
            with np.errstate(all="ignore"):
                loss = float(copy.train_step(*batch))
            average = smoothing * average + (1.0 - smoothing) * loss
            smooth = average / (1.0 - smoothing ** (len(rates) + 1))
            if not math.isfinite(smooth):
                break
            rates.append(rate)
            losses.append(smooth)
            if smooth > MAX_LOSS_RATIO * min(losses):
                break
    if not rates:
        raise ValueError(f"{where}: expected a finite loss at the first step, got {loss}; lower low, {low:g}")
    return RangeTest(tuple(rates), tuple(losses))

"""The learning-rate range test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet.arrays.namespace import ArrayLike
from anynet.checks import check_int, check_number
from anynet.data.adapter import DataAdapter
from anynet.data.plan import Plan
from anynet.display import html_table

if TYPE_CHECKING:
    from anynet.model import Model

MAX_LOSS_RATIO = 4.0
"""Ratio of the loss to its minimum at which the test ends."""


@dataclass(frozen=True, repr=False)
class RangeTest:
    """Result of a learning-rate range test.

    Attributes
    ----------
    rates : tuple of float
        Learning rate of each step.
    losses : tuple of float
        Smoothed loss of its batch.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """A tenth of the rate of the minimal loss, where the loss still decreases."""
        return self.rates[int(np.argmin(self.losses))] / 10.0

    def __repr__(self) -> str:
        rates, losses = self.rates, self.losses
        return (
            f"<RangeTest of {len(rates)} learning rates from {rates[0]:.2g} to {rates[-1]:.2g}: "
            f"minimal loss {min(losses):.4g}, suggestion {self.suggestion:.2g}>"
        )

    def _repr_html_(self) -> str:
        steps = range(0, len(self.rates), max(1, len(self.rates) // 10))
        rows = [[f"{self.rates[i]:.2g}", f"{self.losses[i]:.4g}"] for i in steps]
        return html_table(["learning rate", "smoothed loss"], rows, repr(self).strip("<>"))

    def plot(self, ax: Any = None) -> Any:
        """Plot the loss over the rate with the suggestion, and return the Axes."""
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError:
                raise ImportError(
                    'plot: expected the package matplotlib to be installed, got none; run: pip install "anynet-nn[plots]"'
                ) from None
            _, ax = plt.subplots()
        ax.semilogx(self.rates, self.losses)
        ax.axvline(self.suggestion, linestyle="dashed", color="gray", label=f"suggestion: {self.suggestion:.2g}")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("smoothed loss")
        ax.legend()
        return ax


def learning_rate_test(
    model: Model,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.9,
) -> RangeTest:
    """Train a copy of a model at geometrically increasing learning rates.

    Parameters
    ----------
    model : Model
        A model with a loss and an optimizer whose learning rate is a number. It is not changed.
    x, y
        Training data as in `Model.fit`, repeated as often as the steps need.
    low, high : float, in (0, inf)
        First and last learning rate.
    steps : int, in [2, inf)
        Number of steps.
    batch_size : int, in [1, inf)
        Examples per step.
    smoothing : float, in [0, 1)
        Decay rate of the running mean of the losses.

    Notes
    -----
    The test ends early when the loss is not finite or exceeds four times its minimum. `RangeTest.suggestion` is a first choice;
    a schedule that increases and decreases the rate can use a higher one.

    References
    ----------
    Smith (2017), "Cyclical learning rates for training neural networks", section 3.3, with a geometric rate in place of the
    linear one.

    Examples
    --------
    >>> from anynet import SGD, Dense, Model, SoftmaxCrossEntropy, load_digits
    >>> (x, y), _ = load_digits()
    >>> model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1))
    >>> suggestion = learning_rate_test(model, x / 16, y).suggestion
    >>> 0.01 < suggestion < 10
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

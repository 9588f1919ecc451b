"""Schedules that turn: they rise and fall, or rise before another goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter, check_int, check_number
from anynet.schedules.decay import check_range, half_cosine


@dataclass(frozen=True)
class CosineRestarts:
    r"""`CosineDecay` over and over, each time over T times as many steps as before.

    .. math:: v_1 + \tfrac12 (v_0 - v_1)\Big(1 + \cos π \frac{t - t_i}{T_i}\Big), \qquad
              T_i = T_0 f^i, \quad t_i = T_0 \frac{f^i - 1}{f - 1} ≤ t < t_{i+1}

    Parameters
    ----------
    initial, final : float >= 0
        v₀ and v₁.
    steps : int >= 1
        T₀, the length of the first cycle.
    factor : int >= 1
        f, how many times longer each cycle is than the one before.

    Notes
    -----
    PyTorch's `CosineAnnealingWarmRestarts`.

    Examples
    --------
    >>> import numpy as np
    >>> [round(float(CosineRestarts(1.0, steps=2, factor=2)(np.asarray(float(t)))), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", eq. 5.
    """

    initial: float
    _: KW_ONLY
    steps: int
    factor: int = 1
    final: float = 0.0

    def __post_init__(self) -> None:
        check_range("CosineRestarts", self.initial, self.final, self.steps)
        check_int("CosineRestarts", "factor", self.factor, at_least=1)

    def __call__(self, step: Array) -> Array:
        xp, first, f = namespace(step), self.steps, self.factor
        cycles = step + 0.5  # between two steps, so that no rounding puts a cycle's first step into the one before
        if f == 1:
            begin, length = xp.floor(cycles / first) * first, float(first)
        else:
            power = f ** xp.floor(xp.log1p(cycles * ((f - 1) / first)) / math.log(f))
            begin, length = (power - 1.0) * (first / (f - 1)), power * first
        return half_cosine(self.initial, self.final, (step - begin) / length)


@dataclass(frozen=True)
class OneCycle:
    r"""Rise to a peak on half a cosine, then fall far below the start on another.

    Parameters
    ----------
    peak : float >= 0
        The highest value.
    steps : int >= 2
        Length of the whole cycle; the last value stays after it.
    rise : float in (0, 1)
        The part of the steps in which it rises.
    start : float >= 0
        The first value, as a part of the peak.
    end : float >= 0
        The last value, as a part of the peak.

    Notes
    -----
    PyTorch's `OneCycleLR` with its defaults, where start is 1/div_factor and end is start/final_div_factor; the peak is at
    step ``rise · steps − 1`` and the end at ``steps − 1``. That changes the momentum in the opposite sense too: give
    `SGD.momentum` a schedule of its own for this.

    Examples
    --------
    >>> import numpy as np
    >>> print(OneCycle(0.1, steps=100)(np.asarray(29.0)))
    0.1

    References
    ----------
    Smith, Topin (2019), "Super-convergence: very fast training of neural networks using large learning rates", section 2;
    with cosines instead of straight lines.
    """

    peak: float
    _: KW_ONLY
    steps: int
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 25e4

    def __post_init__(self) -> None:
        check_number("OneCycle", "peak", self.peak, "[0, inf)")
        check_int("OneCycle", "steps", self.steps, at_least=2)
        check_number("OneCycle", "rise", self.rise, "(0, 1)")
        if self.rise * self.steps <= 1.0:
            raise ValueError(f"OneCycle: expected rise · steps > 1, got {self.rise} · {self.steps}; take more steps")
        check_number("OneCycle", "start", self.start, "[0, inf)")
        check_number("OneCycle", "end", self.end, "[0, inf)")

    def __call__(self, step: Array) -> Array:
        xp, top = namespace(step), self.rise * self.steps - 1.0
        up = half_cosine(self.start * self.peak, self.peak, xp.minimum(step / top, 1.0))
        fall = xp.minimum(xp.maximum((step - top) / (self.steps - 1.0 - top), 0.0), 1.0)
        return xp.where(step < top, up, half_cosine(self.peak, self.end * self.peak, fall))


@dataclass(frozen=True)
class Warmup:
    r"""Rise linearly to the first value of another schedule, then go on with that.

    .. math:: v(t) = \big(a + (1 - a) \min(t/T, 1)\big) \, \text{after}(\max(t - T, 0))

    Parameters
    ----------
    after : float >= 0, or a schedule
        What follows; its own steps count from the end of the warm-up.
    steps : int >= 1
        T.
    start : float in [0, 1]
        a, where it begins, as a part of that first value.

    Examples
    --------
    >>> import numpy as np
    >>> print(Warmup(1e-3, steps=100)(np.asarray(50.0)))
    0.0005

    References
    ----------
    Goyal et al. (2017), "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 2.2, the gradual warm-up.
    """

    after: float | Callable[[Array], Array]
    _: KW_ONLY
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        check_hyperparameter("Warmup", "after", self.after, "[0, inf)")
        check_int("Warmup", "steps", self.steps, at_least=1)
        check_number("Warmup", "start", self.start, "[0, 1]")

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        share = self.start + (1.0 - self.start) * xp.minimum(step / self.steps, 1.0)
        return share * (self.after(xp.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after)

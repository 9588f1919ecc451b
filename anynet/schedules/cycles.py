"""Schedules that increase and decrease, or that precede another schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter, check_int, check_number
from anynet.schedules.base import TimedSchedule
from anynet.schedules.decay import check_range, half_cosine


@dataclass(frozen=True)
class CosineRestarts(TimedSchedule):
    r"""Repeat `CosineDecay` in cycles, each f times as long as the previous one.

    .. math:: v_1 + \tfrac12 (v_0 - v_1)\Big(1 + \cos π \frac{t - t_i}{T_i}\Big), \qquad
              T_i = T_0 f^i, \quad t_i = T_0 \frac{f^i - 1}{f - 1} ≤ t < t_{i+1}

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁ at the start and end of each cycle.
    steps : int, in [1, inf), optional
        Length T₀ of the first cycle, in steps.
    epochs : float, in (0, inf), optional
        The same in epochs, as an alternative to `steps`; see `CosineDecay`.
    factor : int, in [1, inf)
        Ratio f of the lengths of consecutive cycles.

    Notes
    -----
    Equivalent to PyTorch's `CosineAnnealingWarmRestarts`.

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
    steps: int | None = None
    epochs: float | None = None
    factor: int = 1
    final: float = 0.0

    def __post_init__(self) -> None:
        check_range("CosineRestarts", self.initial, self.final)
        self.check_length()
        check_int("CosineRestarts", "factor", self.factor, at_least=1)

    def __call__(self, step: Array) -> Array:
        xp, first, f = namespace(step), self.length, self.factor
        cycles = step + 0.5  # halfway between steps, so that rounding cannot assign a step to the wrong cycle
        if f == 1:
            begin, length = xp.floor(cycles / first) * first, float(first)
        else:
            power = f ** xp.floor(xp.log1p(cycles * ((f - 1) / first)) / math.log(f))
            begin, length = (power - 1.0) * (first / (f - 1)), power * first
        return half_cosine(self.initial, self.final, (step - begin) / length)


@dataclass(frozen=True)
class CosLog(TimedSchedule):
    r"""Rise from zero to a peak and fall back, in cycles of increasing length.

    .. math:: \frac{p}{2} \Big(1 - \cos\big(2π \log_2(1 + (2^k - 1) \min(t/T, 1))\big)\Big)

    Parameters
    ----------
    peak : float, in [0, inf)
        Maximum p of each cycle.
    steps : int, in [1, inf), optional
        Number T of steps of all cycles; the value is 0 from then on.
    epochs : float, in (0, inf), optional
        The same in epochs, as an alternative to `steps`; see `CosineDecay`.
    cycles : int, in [1, inf)
        Number k of cycles, each about twice as long as the previous one.

    Examples
    --------
    >>> import numpy as np
    >>> [round(float(CosLog(1.0, steps=30)(np.asarray(float(t)))), 3) for t in (0, 1, 2, 4, 6, 10, 14, 22, 30)]
    [0.0, 0.93, 0.0, 0.93, 0.0, 0.93, 0.0, 0.93, 0.0]

    References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
    the schedule coslog₄.
    """

    peak: float
    _: KW_ONLY
    steps: int | None = None
    epochs: float | None = None
    cycles: int = 4

    def __post_init__(self) -> None:
        check_number("CosLog", "peak", self.peak, "[0, inf)")
        self.check_length()
        check_int("CosLog", "cycles", self.cycles, at_least=1)

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        part = xp.minimum(step / self.length, 1.0)
        turns = xp.log1p((2.0**self.cycles - 1.0) * part) / math.log(2.0)
        return self.peak * xp.sin(math.pi * turns) ** 2  # (1 − cos 2a)/2, without its cancellation near 0


@dataclass(frozen=True)
class OneCycle(TimedSchedule):
    r"""Increase to a peak along half a cosine, then decrease along another.

    Parameters
    ----------
    peak : float, in [0, inf)
        Maximum value.
    steps : int, in [2, inf), optional
        Length of the cycle, in steps; the final value is kept afterwards.
    epochs : float, in (0, inf), optional
        The same in epochs, as an alternative to `steps`; see `CosineDecay`.
    rise : float, in (0, 1)
        Fraction of the steps in which the value increases.
    start : float, in [0, inf)
        First value, as a fraction of the peak.
    end : float, in [0, inf)
        Final value, as a fraction of the peak.

    Notes
    -----
    Equivalent to PyTorch's `OneCycleLR` with its defaults, where start is 1/div_factor and end is start/final_div_factor. The
    peak is at step ``rise · steps − 1`` and the end at ``steps − 1``. PyTorch also cycles the momentum in the opposite
    direction; pass a schedule as `SGD.momentum` for this.

    Examples
    --------
    >>> import numpy as np
    >>> print(OneCycle(0.1, steps=100)(np.asarray(29.0)))
    0.1

    References
    ----------
    Smith, Topin (2019), "Super-convergence: very fast training of neural networks using large learning rates", section 2,
    with cosines instead of straight lines.
    """

    least = 2

    peak: float
    _: KW_ONLY
    steps: int | None = None
    epochs: float | None = None
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 25e4

    def __post_init__(self) -> None:
        check_number("OneCycle", "peak", self.peak, "[0, inf)")
        self.check_length()
        check_number("OneCycle", "rise", self.rise, "(0, 1)")
        if self.steps is not None and self.rise * self.steps <= 1.0:
            raise ValueError(f"OneCycle: expected rise · steps > 1, got {self.rise} · {self.steps}; take more steps")
        check_number("OneCycle", "start", self.start, "[0, inf)")
        check_number("OneCycle", "end", self.end, "[0, inf)")

    def __call__(self, step: Array) -> Array:
        xp, steps = namespace(step), self.length
        top = self.rise * steps - 1.0
        up = half_cosine(self.start * self.peak, self.peak, xp.minimum(step / top, 1.0))
        fall = xp.minimum(xp.maximum((step - top) / (steps - 1.0 - top), 0.0), 1.0)
        return xp.where(step < top, up, half_cosine(self.peak, self.end * self.peak, fall))


@dataclass(frozen=True)
class Warmup(TimedSchedule):
    r"""Increase linearly to the first value of another schedule, then follow that schedule.

    .. math:: v(t) = \big(a + (1 - a) \min(t/T, 1)\big) \, \text{after}(\max(t - T, 0))

    Parameters
    ----------
    after : float or Schedule, in [0, inf)
        Schedule after the warm-up; its steps count from the end of the warm-up.
    steps : int, in [1, inf), optional
        Number T of warm-up steps.
    epochs : float, in (0, inf), optional
        The same in epochs, as an alternative to `steps`; see `CosineDecay`.
    start : float, in [0, 1]
        Start a, as a fraction of the first value of `after`.

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
    steps: int | None = None
    epochs: float | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        check_hyperparameter("Warmup", "after", self.after, "[0, inf)")
        self.check_length()
        check_number("Warmup", "start", self.start, "[0, 1]")

    def __call__(self, step: Array) -> Array:
        xp, steps = namespace(step), self.length
        share = self.start + (1.0 - self.start) * xp.minimum(step / steps, 1.0)
        return share * (self.after(xp.maximum(step - steps, 0.0)) if callable(self.after) else self.after)

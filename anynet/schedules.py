r"""Schedules: hyper-parameters that change with the step.

A schedule is a frozen dataclass that is called with the number of updates made before, a 0-d float array, and gives a 0-d
array. Any number that an optimiser takes may be one, but for counts and what `LossScale` and `LBFGS` take. All are written in
array API functions, so that they work inside a compiled step, and none can go below zero.

====================  ================================================================================================
`ConstantSchedule`    one value; the same as a number
`StepDecay`           times a factor every so many steps
`ExponentialDecay`    the same, smoothly
`PolynomialDecay`     down to a final value on a power of the time left; linear by default
`CosineDecay`         down to a final value on half a cosine
`CosineRestarts`      the same over and over, each time longer
`OneCycle`            up on half a cosine, then far down on another
`Warmup`              up from zero, in front of any of these or of a number
====================  ================================================================================================

>>> import numpy as np
>>> from anynet import Adam
>>> schedule = Warmup(CosineDecay(1e-3, steps=900), steps=100)
>>> [round(float(schedule(np.asarray(float(step)))), 7) for step in (0, 50, 100, 550, 1000)]
[0.0, 0.0005, 0.001, 0.0005, 0.0]
>>> optimizer = Adam(schedule)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from anynet.namespace import Array, namespace
from anynet.validation import check_hyperparameter, check_int, check_number


@dataclass(frozen=True)
class ConstantSchedule:
    r"""One value for all steps.

    Parameters
    ----------
    value : float >= 0

    Examples
    --------
    >>> import numpy as np
    >>> print(ConstantSchedule(0.1)(np.asarray(5.0)))
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        check_number("ConstantSchedule", "value", self.value, low=0.0)

    def __call__(self, step: Array) -> Array:
        return step * 0.0 + self.value


@dataclass(frozen=True)
class StepDecay:
    r"""Multiply by a factor every so many steps: :math:`v_0 γ^{⌊t/T⌋}`.

    Parameters
    ----------
    initial : float >= 0
        v₀.
    every : int >= 1
        T, in steps, not epochs.
    factor : float >= 0
        γ.

    Notes
    -----
    PyTorch's `StepLR`.

    Examples
    --------
    >>> import numpy as np
    >>> print(StepDecay(1.0, every=10, factor=0.5)(np.asarray(25.0)))
    0.25
    """

    initial: float
    every: int
    _: KW_ONLY
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_number("StepDecay", "initial", self.initial, low=0.0)
        check_int("StepDecay", "every", self.every, at_least=1)
        check_number("StepDecay", "factor", self.factor, low=0.0)

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** namespace(step).floor(step / self.every)


@dataclass(frozen=True)
class ExponentialDecay:
    r"""Multiply by a factor over so many steps, a little at each: :math:`v_0 γ^{t/T}`.

    Parameters
    ----------
    initial : float >= 0
        v₀.
    factor : float >= 0
        γ.
    steps : int >= 1
        T.

    Notes
    -----
    Keras' `ExponentialDecay`; with T = 1 PyTorch's `ExponentialLR`.

    Examples
    --------
    >>> import numpy as np
    >>> print(ExponentialDecay(1.0, factor=0.5, steps=10)(np.asarray(20.0)))
    0.25
    """

    initial: float
    _: KW_ONLY
    factor: float
    steps: int = 1

    def __post_init__(self) -> None:
        check_number("ExponentialDecay", "initial", self.initial, low=0.0)
        check_number("ExponentialDecay", "factor", self.factor, low=0.0)
        check_int("ExponentialDecay", "steps", self.steps, at_least=1)

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** (step / self.steps)


@dataclass(frozen=True)
class PolynomialDecay:
    r"""Fall to a final value on a power of the time left: :math:`v_1 + (v_0 - v_1)(1 - \min(t/T, 1))^p`.

    Parameters
    ----------
    initial, final : float >= 0
        v₀ and v₁; the final value stays after T. It may be the larger.
    steps : int >= 1
        T.
    power : float > 0
        p; 1 is linear.

    Notes
    -----
    Keras' `PolynomialDecay`; with final 0 PyTorch's `PolynomialLR`.

    Examples
    --------
    >>> import numpy as np
    >>> print(PolynomialDecay(1.0, steps=10, final=0.5)(np.asarray(5.0)))
    0.75
    """

    initial: float
    _: KW_ONLY
    steps: int
    final: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _check_range("PolynomialDecay", self.initial, self.final, self.steps)
        check_number("PolynomialDecay", "power", self.power, low=0.0, open_low=True)

    def __call__(self, step: Array) -> Array:
        left = 1.0 - namespace(step).minimum(step / self.steps, 1.0)
        return self.final + (self.initial - self.final) * left**self.power


@dataclass(frozen=True)
class CosineDecay:
    r"""Fall to a final value on half a cosine: :math:`v_1 + \frac12 (v_0 - v_1)(1 + \cos π \min(t/T, 1))`.

    Parameters
    ----------
    initial, final : float >= 0
        v₀ and v₁; the final value stays after T.
    steps : int >= 1
        T.

    Notes
    -----
    PyTorch's `CosineAnnealingLR` up to T, after which that rises again; Keras' `CosineDecay` with alpha = v₁/v₀.

    Examples
    --------
    >>> import numpy as np
    >>> print(CosineDecay(1.0, steps=10)(np.asarray(5.0)).round(12))
    0.5

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", eq. 5, without restarts.
    """

    initial: float
    _: KW_ONLY
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_range("CosineDecay", self.initial, self.final, self.steps)

    def __call__(self, step: Array) -> Array:
        return _cosine(self.initial, self.final, namespace(step).minimum(step / self.steps, 1.0))


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
        _check_range("CosineRestarts", self.initial, self.final, self.steps)
        check_int("CosineRestarts", "factor", self.factor, at_least=1)

    def __call__(self, step: Array) -> Array:
        xp, first, f = namespace(step), self.steps, self.factor
        cycles = step + 0.5  # between two steps, so that no rounding puts a cycle's first step into the one before
        if f == 1:
            begin, length = xp.floor(cycles / first) * first, float(first)
        else:
            power = f ** xp.floor(xp.log1p(cycles * ((f - 1) / first)) / math.log(f))
            begin, length = (power - 1.0) * (first / (f - 1)), power * first
        return _cosine(self.initial, self.final, (step - begin) / length)


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
        check_number("OneCycle", "peak", self.peak, low=0.0)
        check_int("OneCycle", "steps", self.steps, at_least=2)
        check_number("OneCycle", "rise", self.rise, low=0.0, high=1.0, open_low=True, open_high=True)
        if self.rise * self.steps <= 1.0:
            raise ValueError(f"OneCycle: expected rise · steps > 1, got {self.rise} · {self.steps}; take more steps")
        check_number("OneCycle", "start", self.start, low=0.0)
        check_number("OneCycle", "end", self.end, low=0.0)

    def __call__(self, step: Array) -> Array:
        xp, top = namespace(step), self.rise * self.steps - 1.0
        up = _cosine(self.start * self.peak, self.peak, xp.minimum(step / top, 1.0))
        fall = xp.minimum(xp.maximum((step - top) / (self.steps - 1.0 - top), 0.0), 1.0)
        return xp.where(step < top, up, _cosine(self.peak, self.end * self.peak, fall))


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
        check_hyperparameter("Warmup", "after", self.after, low=0.0)
        check_int("Warmup", "steps", self.steps, at_least=1)
        check_number("Warmup", "start", self.start, low=0.0, high=1.0)

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        share = self.start + (1.0 - self.start) * xp.minimum(step / self.steps, 1.0)
        return share * (self.after(xp.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after)


def _cosine(begin: float, end: float, part: Array) -> Array:
    """Return the value after `part`, from 0 to 1, of half a cosine between two values."""
    return end + (begin - end) * 0.5 * (1.0 + namespace(part).cos(math.pi * part))


def _check_range(where: str, initial: float, final: float, steps: int) -> None:
    check_number(where, "initial", initial, low=0.0)
    check_number(where, "final", final, low=0.0)
    check_int(where, "steps", steps, at_least=1)

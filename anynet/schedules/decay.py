"""Schedules that change monotonically from an initial to a final value."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int, check_number


@dataclass(frozen=True)
class ConstantSchedule:
    r"""Return the same value at every step.

    Parameters
    ----------
    value : float, in [0, inf)

    Examples
    --------
    >>> import numpy as np
    >>> print(ConstantSchedule(0.1)(np.asarray(5.0)))
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        check_number("ConstantSchedule", "value", self.value, "[0, inf)")

    def __call__(self, step: Array) -> Array:
        return step * 0.0 + self.value


@dataclass(frozen=True)
class StepDecay:
    r"""Multiply by a factor every T steps: :math:`v_0 γ^{⌊t/T⌋}`.

    Parameters
    ----------
    initial : float, in [0, inf)
        Initial value v₀.
    every : int, in [1, inf)
        Period T, in steps, not epochs.
    factor : float, in [0, inf)
        Factor γ.

    Notes
    -----
    Equivalent to PyTorch's `StepLR`.

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
        check_number("StepDecay", "initial", self.initial, "[0, inf)")
        check_int("StepDecay", "every", self.every, at_least=1)
        check_number("StepDecay", "factor", self.factor, "[0, inf)")

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** namespace(step).floor(step / self.every)


@dataclass(frozen=True)
class ExponentialDecay:
    r"""Multiply by a factor per T steps, continuously: :math:`v_0 γ^{t/T}`.

    Parameters
    ----------
    initial : float, in [0, inf)
        Initial value v₀.
    factor : float, in [0, inf)
        Factor γ.
    steps : int, in [1, inf)
        Number T of steps per factor.

    Notes
    -----
    Equivalent to Keras' `ExponentialDecay` and, with T = 1, to PyTorch's `ExponentialLR`.

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
        check_number("ExponentialDecay", "initial", self.initial, "[0, inf)")
        check_number("ExponentialDecay", "factor", self.factor, "[0, inf)")
        check_int("ExponentialDecay", "steps", self.steps, at_least=1)

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** (step / self.steps)


@dataclass(frozen=True)
class PolynomialDecay:
    r"""Change as a power of the remaining time.

    .. math:: v_1 + (v_0 - v_1)(1 - \min(t/T, 1))^p

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁; the final value is kept after T steps, and may be larger than the initial one.
    steps : int, in [1, inf)
        Number T of steps.
    power : float, in (0, inf)
        Exponent p; 1 is linear.

    Notes
    -----
    Equivalent to Keras' `PolynomialDecay` and, with a final value of 0, to PyTorch's `PolynomialLR`.

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
        check_range("PolynomialDecay", self.initial, self.final, self.steps)
        check_number("PolynomialDecay", "power", self.power, "(0, inf)")

    def __call__(self, step: Array) -> Array:
        left = 1.0 - namespace(step).minimum(step / self.steps, 1.0)
        return self.final + (self.initial - self.final) * left**self.power


@dataclass(frozen=True)
class CosineDecay:
    r"""Change along half a cosine.

    .. math:: v_1 + \tfrac12 (v_0 - v_1)(1 + \cos π \min(t/T, 1))

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁; the final value is kept after T steps.
    steps : int, in [1, inf)
        Number T of steps.

    Notes
    -----
    Equivalent to PyTorch's `CosineAnnealingLR` up to T, after which that increases again, and to Keras' `CosineDecay` with
    alpha = v₁/v₀.

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
        check_range("CosineDecay", self.initial, self.final, self.steps)

    def __call__(self, step: Array) -> Array:
        return half_cosine(self.initial, self.final, namespace(step).minimum(step / self.steps, 1.0))


def half_cosine(begin: float, end: float, part: Array) -> Array:
    """Return the value after a fraction `part` of half a cosine between two values."""
    return end + (begin - end) * 0.5 * (1.0 + namespace(part).cos(math.pi * part))


def check_range(where: str, initial: float, final: float, steps: int) -> None:
    check_number(where, "initial", initial, "[0, inf)")
    check_number(where, "final", final, "[0, inf)")
    check_int(where, "steps", steps, at_least=1)

"""Schedules that change monotonically from an initial to a final value."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_number
from anynet.names.constructors import Value
from anynet.schedules.base import TimedSchedule


@dataclass(frozen=True)
class ConstantSchedule(metaclass=Value):
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
class StepDecay(TimedSchedule):
    r"""Multiply by a factor every T steps: :math:`v_0 γ^{⌊t/T⌋}`.

    Parameters
    ----------
    initial : float, in [0, inf)
        Initial value v₀.
    every : int, in [1, inf), optional
        Period T in steps.
    epochs : float, in (0, inf), optional
        Period in epochs, as an alternative to `every`; see `CosineDecay`.
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

    in_steps_field = "every"

    initial: float
    every: int | None = None
    _: KW_ONLY
    epochs: float | None = None
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_number("StepDecay", "initial", self.initial, "[0, inf)")
        self.check_length()
        check_number("StepDecay", "factor", self.factor, "[0, inf)")

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** namespace(step).floor(step / self.length)


@dataclass(frozen=True)
class ExponentialDecay(TimedSchedule):
    r"""Multiply by a factor per T steps, continuously: :math:`v_0 γ^{t/T}`.

    Parameters
    ----------
    initial : float, in [0, inf)
        Initial value v₀.
    factor : float, in [0, inf)
        Factor γ.
    steps : int, in [1, inf), optional
        Number T of steps per factor; 1 if `epochs` is not given either.
    epochs : float, in (0, inf), optional
        T in epochs, as an alternative to `steps`; see `CosineDecay`.

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
    steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        check_number("ExponentialDecay", "initial", self.initial, "[0, inf)")
        check_number("ExponentialDecay", "factor", self.factor, "[0, inf)")
        if self.steps is None and self.epochs is None:
            object.__setattr__(self, "steps", 1)
        self.check_length()

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** (step / self.length)


@dataclass(frozen=True)
class PolynomialDecay(TimedSchedule):
    r"""Change as a power of the remaining time.

    .. math:: v_1 + (v_0 - v_1)(1 - \min(t/T, 1))^p

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁; the final value is kept after T steps, and may be larger than the initial one.
    steps : int, in [1, inf), optional
        Number T of steps.
    epochs : float, in (0, inf), optional
        T in epochs, as an alternative to `steps`; see `CosineDecay`.
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
    steps: int | None = None
    epochs: float | None = None
    final: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        check_range("PolynomialDecay", self.initial, self.final)
        self.check_length()
        check_number("PolynomialDecay", "power", self.power, "(0, inf)")

    def __call__(self, step: Array) -> Array:
        left = 1.0 - namespace(step).minimum(step / self.length, 1.0)
        return self.final + (self.initial - self.final) * left**self.power


@dataclass(frozen=True)
class CosineDecay(TimedSchedule):
    r"""Change along half a cosine.

    .. math:: v_1 + \tfrac12 (v_0 - v_1)(1 + \cos π \min(t/T, 1))

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁; the final value is kept after T steps.
    steps : int, in [1, inf), optional
        Number T of steps; a step is a batch, or `Accumulate.steps` batches.
    epochs : float, in (0, inf), optional
        T in epochs, as an alternative to `steps`. The first `Model.fit` converts it to steps, which the model keeps from then
        on; `Model.train_step` before that raises ValueError.

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
    steps: int | None = None
    epochs: float | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        check_range("CosineDecay", self.initial, self.final)
        self.check_length()

    def __call__(self, step: Array) -> Array:
        return half_cosine(self.initial, self.final, namespace(step).minimum(step / self.length, 1.0))


@dataclass(frozen=True)
class FlatCosine(TimedSchedule):
    r"""Keep the initial value, then change along half a cosine.

    .. math:: v_1 + \tfrac12 (v_0 - v_1)\Big(1 + \cos π \frac{\max(\min(t/T, 1) - f, 0)}{1 - f}\Big)

    Parameters
    ----------
    initial, final : float, in [0, inf)
        Values v₀ and v₁; the final value is kept after T steps.
    steps : int, in [1, inf), optional
        Number T of steps.
    epochs : float, in (0, inf), optional
        T in epochs, as an alternative to `steps`; see `CosineDecay`.
    flat : float, in [0, 1)
        Fraction f of the steps with the initial value.

    Notes
    -----
    Equivalent to PyTorch's `ConstantLR` with a factor of 1, followed by `CosineAnnealingLR`.

    Examples
    --------
    >>> import numpy as np
    >>> [round(float(FlatCosine(1.0, steps=8)(np.asarray(float(t)))), 3) for t in (0, 4, 5, 6, 7, 8)]
    [1.0, 1.0, 0.854, 0.5, 0.146, 0.0]

    References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
    the schedule flat_cos.
    """

    initial: float
    _: KW_ONLY
    steps: int | None = None
    epochs: float | None = None
    flat: float = 0.5
    final: float = 0.0

    def __post_init__(self) -> None:
        check_range("FlatCosine", self.initial, self.final)
        self.check_length()
        check_number("FlatCosine", "flat", self.flat, "[0, 1)")

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        part = (xp.minimum(step / self.length, 1.0) - self.flat) / (1.0 - self.flat)
        return half_cosine(self.initial, self.final, xp.maximum(part, 0.0))


def half_cosine(begin: float, end: float, part: Array) -> Array:
    """Return the value after a fraction `part` of half a cosine between two values."""
    return end + (begin - end) * 0.5 * (1.0 + namespace(part).cos(math.pi * part))


def check_range(where: str, initial: float, final: float) -> None:
    check_number(where, "initial", initial, "[0, inf)")
    check_number(where, "final", final, "[0, inf)")

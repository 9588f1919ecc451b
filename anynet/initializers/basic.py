"""Distributions and constants, and the base class of initializers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.blas import limited
from anynet.arrays.convert import to_numpy
from anynet.names.constructors import Value

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Initializer(metaclass=Value):
    """Base class of initializers, which map a generator and a shape to a float64 array."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__}: expected __call__(rng, shape) to be implemented, got none")


def fans(shape: Shape) -> tuple[int, int]:
    """Return the fan-in and fan-out of a parameter of shape ``(*window, in, out)``."""
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@dataclass(frozen=True)
class Zeros(Initializer):
    """Zeros, the usual initial values of biases."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """A constant value."""

    value: float

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Given(Initializer):
    """Given values, stored as nested tuples so that layers remain immutable and comparable.

    Examples
    --------
    >>> Given([[0.1], [0.6]])(None, (2, 1))
    array([[0.1],
           [0.6]])
    """

    values: Any

    def __post_init__(self) -> None:
        array = np.asarray(self.values, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ValueError(
                "Given: expected finite values, got NaN or infinity; check the array passed as a parameter"
            )
        object.__setattr__(self, "values", _nested_tuple(array.tolist()))

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        array = np.array(self.values, dtype=np.float64)
        if array.shape != shape:
            raise ValueError(
                f"expected given values of shape {shape}, got {array.shape}" + transposed_hint(shape, array.shape)
            )
        return array


def _nested_tuple(values: Any) -> Any:
    return tuple(_nested_tuple(v) for v in values) if isinstance(values, list) else values


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal distribution with a given mean and standard deviation."""

    std: float = 0.05
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not self.std >= 0:
            raise ValueError(f"Normal: expected std >= 0, got {self.std!r}")

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform distribution on [low, high)."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"Uniform: expected low <= high, got low={self.low!r}, high={self.high!r}")

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Distributions with zero mean and a variance that depends on the fans."""

    def variance(self, fan_in: int, fan_out: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class _ScaledUniform(_Scaled):
    """Uniform distribution on ±√(3·variance)."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        limit = math.sqrt(3.0 * self.variance(*fans(shape)))
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class _ScaledNormal(_Scaled):
    """Normal distribution, not truncated, as in PyTorch; Keras truncates at two standard deviations."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.normal(0.0, math.sqrt(self.variance(*fans(shape))), shape)


class _Glorot:
    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / max(fan_in + fan_out, 1)


class _He:
    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / max(fan_in, 1)


class _Lecun:
    def variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / max(fan_in, 1)


@dataclass(frozen=True)
class GlorotUniform(_Glorot, _ScaledUniform):
    """Uniform distribution with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio (2010), equation 16."""


@dataclass(frozen=True)
class GlorotNormal(_Glorot, _ScaledNormal):
    """Normal distribution with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio (2010), equation 12."""


@dataclass(frozen=True)
class HeUniform(_He, _ScaledUniform):
    """Uniform distribution with variance ``2 / fan_in``: He et al. (2015), equation 10."""


@dataclass(frozen=True)
class HeNormal(_He, _ScaledNormal):
    """Normal distribution with variance ``2 / fan_in``: He et al. (2015), equation 10."""


@dataclass(frozen=True)
class LecunUniform(_Lecun, _ScaledUniform):
    """Uniform distribution with variance ``1 / fan_in``: LeCun et al. (1998), "Efficient BackProp", equation 16."""


@dataclass(frozen=True)
class LecunNormal(_Lecun, _ScaledNormal):
    """Normal distribution with variance ``1 / fan_in``: LeCun et al. (1998), "Efficient BackProp", equation 16."""


@dataclass(frozen=True)
class FanInUniform(Initializer):
    """Uniform distribution on ±1/√fan_in, the default of PyTorch's layers."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        limit = max(fans(shape)[0], 1) ** -0.5
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class RandomSigns(Initializer):
    """+1 or −1, with a probability of one half each."""

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.choice([-1.0, 1.0], shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Random matrix with orthonormal rows or columns, times `gain`: Saxe, McClelland, Ganguli (2014), section 3.

    All axes except the last are flattened to the rows of the matrix.
    """

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a shape of two axes or more, got {shape}; use Normal for vectors")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        with limited():  # the result depends on the number of threads
            q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the distribution uniform (Haar), Mezzadri (2007)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


def transposed_hint(expected: Shape, got: Shape) -> str:
    """Return the end of a message about a wrong shape, if it is transposed."""
    if len(expected) > 1 and got == (expected[-1], expected[-2], *expected[:-2]):
        axes = "array.T" if len(got) == 2 else f"array.transpose({', '.join(map(str, (*range(2, len(got)), 1, 0)))})"
        return f"; it is transposed: a weight is (..., inputs, outputs), in PyTorch (outputs, inputs, ...); pass {axes}"
    return ""


@dataclass(frozen=True)
class ForgetBias(Initializer):
    """The bias of an `LSTM`: a constant for the forget gate, 0 for the others.

    See Jozefowicz et al. (2015), section 2.1.
    """

    value: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        units = shape[0] // 4
        bias = np.zeros(shape)
        bias[units : 2 * units] = self.value
        return bias


@dataclass(frozen=True)
class Sinusoids(Initializer):
    """Sines and cosines of the position, with periods from 2π to 2π · `base`: Vaswani et al. (2017), section 3.5.

    The shape is (positions, channels). Channel 2i has sin(t · base^(−2i/C)), channel 2i + 1 the cosine.

    Examples
    --------
    >>> Sinusoids()(np.random.default_rng(0), (2, 2)).round(4).tolist()
    [[0.0, 1.0], [0.8415, 0.5403]]
    """

    base: float = 10000.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Sinusoids: expected a shape (positions, channels), got {shape}")
        channel = np.arange(shape[1])
        angle = np.arange(shape[0])[:, None] * self.base ** (-(channel - channel % 2) / shape[1])
        return np.where(channel % 2, np.cos(angle), np.sin(angle))


def as_initializer(value: Any, where: str) -> Initializer:
    """Return an initializer unchanged, and an array or nested list as `Given`."""
    if isinstance(value, Initializer):
        return value
    if isinstance(value, (str, type, bool)):
        hint = f"use_bias={value!r}" if isinstance(value, bool) else "for example HeNormal()"
        got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        raise TypeError(f"{where}: expected an initializer or an array, got {got}; write {hint}")
    return Given(to_numpy(value))

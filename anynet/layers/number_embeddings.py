"""Vectors for the numbers of a table, as `Embedding` has for integers.

Legend: N batch, F columns, H frequencies, B bins, D features of a number. Derivations: docs/derivations/number-embeddings.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.convert import to_numpy
from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_int
from anynet.initializers import FanInUniform, Given, Normal, Stacked, Uniform, Zeros, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, axis_sizes, init_param
from anynet.layers.stacks import each_gradient, each_matmul, each_transposed, over_examples


@dataclass(frozen=True)
class PeriodicEmbedding(Layer):
    """Return each number of a table with a linear map of cosines of it.

    .. math:: y_{nf} = \\big(x_{nf},\\; \\cos(2π x_{nf} w_f + φ_f)\\, V_f + b_f\\big)

    A network without embeddings is slow to learn functions of a column that are not smooth.

    Parameters
    ----------
    features : int, at least 2
        Number D of features per column, including the number itself.
    frequencies : int, at least 1
        Number H of cosines per column.
    frequency, phase : Initializer or array
        w and φ, of shape (F, H); normal with a standard deviation of 0.1, and uniform on ±π.
    weight : Initializer or array
        V, of shape (F, H, D − 1); uniform on ±1/√H as in PyTorch.
    bias : Initializer or array, optional
        b, of shape (F, D − 1); by default, uniform on ±1/√H.

    Notes
    -----
    Input (N, F), output (N, F, D); put `Flatten` after it. Cache: x, and the cosines and their arguments (N, F, H).

    Raises
    ------
    ValueError
        If an example is not a vector of columns, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = PeriodicEmbedding(2, 1, frequency=[[1.0]], phase=[[0.0]], weight=[[[1.0]]], bias=[[0.0]])
    >>> params, shape = layer.init(np.random.default_rng(0), (1,))
    >>> shape, layer.forward(params, np.array([[0.5]]))[0].tolist()
    ((1, 2), [[[0.5, -1.0]]])

    References
    ----------
    Gorishniy, Rubachev, Babenko (2022), "On embeddings for numerical features in tabular deep learning", section 3.3; with a
    phase, without sines, and with the number itself as in Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong
    pre-tuned MLPs and boosted trees on tabular data", the PBLD embeddings.
    """

    features: int = 4
    frequencies: int = 16
    _: KW_ONLY
    frequency: Any = Normal(0.1)
    phase: Any = Uniform(-math.pi, math.pi)
    weight: Any = Stacked(FanInUniform())
    bias: Any = None

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("PeriodicEmbedding", "features", self.features, at_least=2)
        check_int("PeriodicEmbedding", "frequencies", self.frequencies, at_least=1)
        limit = self.frequencies**-0.5
        for name in ("frequency", "phase", "weight", "bias"):
            value = getattr(self, name)
            value = Uniform(-limit, limit) if value is None else as_initializer(value, f"PeriodicEmbedding: {name}")
            object.__setattr__(self, name, value)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        (columns,) = _columns("PeriodicEmbedding", input_shape)
        frequencies, outputs = self.frequencies, self.features - 1
        shapes = {
            "frequency": (columns, frequencies),
            "phase": (columns, frequencies),
            "weight": (columns, frequencies, outputs),
            "bias": (columns, outputs),
        }
        params = {
            name: init_param(f"PeriodicEmbedding: {name}", getattr(self, name), rng, shape)
            for name, shape in shapes.items()
        }
        return params, (columns, self.features)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        _check_columns("PeriodicEmbedding", x, params["frequency"].shape[0])
        column = x[:, :, None]
        angle, cosine = _cosines(column, params["frequency"], params["phase"])
        y = each_matmul(cosine, params["weight"]) + params["bias"]
        return namespace(x).concat([column, y], axis=2), (x, angle, cosine)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, angle, cosine = cache
        d = dy[:, :, 1:]
        dangle = _minus_sine(angle, each_transposed(d, params["weight"]))
        grads = {
            "frequency": over_examples(dangle, (2.0 * math.pi) * x[:, :, None]),
            "phase": total(dangle, axis=0),
            "weight": each_gradient(cosine, d),
            "bias": total(d, axis=0),
        }
        if not need_dx:
            return None, grads
        return dy[:, :, 0] + total(dangle * ((2.0 * math.pi) * params["frequency"]), axis=2), grads


@dataclass(frozen=True)
class PiecewiseLinear(Layer):
    """Return a learned piecewise linear function of each number of a table.

    .. math::

        y_{nf} = x_{nf} w_f + b_f + \\sum_b t_{nfb} V_{fb}, \\qquad
        t_{nfb} = \\min\\Big(\\max\\Big(\\frac{x_{nf} - e_{fb}}{e_{f,b+1} - e_{fb}}, 0\\Big), 1\\Big)

    where t has no lower bound in the first bin of a column and no upper bound in the last one. V is zero at first, so that
    training starts from a linear function.

    Parameters
    ----------
    edges : sequence with one sequence of increasing numbers per column
        Edges e of the bins, two or more for each column, such as the quantiles of the training examples.
    features : int, at least 1
        Number D of features per column.
    weight, bias : Initializer or array
        w and b, of shape (F, D); by default, uniform on ±1/√D.
    bin_weight : Initializer or array
        V, of shape (F, B, D), where B is the largest number of bins; zeros.

    Notes
    -----
    Input (N, F), output (N, F, D); put `Flatten` after it. Buffers, computed from the edges: `left`, `slope`, `below` and
    `above`, of shape (F, B). Cache: x and t.

    Raises
    ------
    ValueError
        If an example has another number of columns than edges, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = PiecewiseLinear([[0.0, 1.0, 3.0]], 1, weight=[[0.0]], bias=[[0.0]], bin_weight=[[[1.0], [10.0]]])
    >>> params, shape = layer.init(np.random.default_rng(0), (1,))
    >>> [layer.forward(params, np.array([[x]]))[0].item() for x in (-1.0, 0.5, 1.0, 2.0, 5.0)]
    [-1.0, 0.5, 1.0, 6.0, 21.0]

    References
    ----------
    Gorishniy, Rubachev, Babenko (2022), "On embeddings for numerical features in tabular deep learning", eq. 1; version B, with
    the linear part, as in Gorishniy, Kotelnikov, Babenko (2025), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling".
    """

    edges: Any
    features: int = 16
    _: KW_ONLY
    weight: Any = None
    bias: Any = None
    bin_weight: Any = Zeros()

    uses_key: ClassVar[bool] = False
    buffers: ClassVar[tuple[str, ...]] = ("left", "slope", "below", "above")

    def __post_init__(self) -> None:
        check_int("PiecewiseLinear", "features", self.features, at_least=1)
        object.__setattr__(self, "edges", _checked_edges(self.edges))
        limit = self.features**-0.5
        for name in ("weight", "bias", "bin_weight"):
            value = getattr(self, name)
            value = Uniform(-limit, limit) if value is None else as_initializer(value, f"PiecewiseLinear: {name}")
            object.__setattr__(self, name, value)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        (columns,) = _columns("PiecewiseLinear", input_shape)
        if columns != len(self.edges):
            raise ValueError(f"PiecewiseLinear: expected edges of {columns} columns, got {len(self.edges)}")
        bins = max(map(len, self.edges)) - 1
        output = columns, self.features
        params = {
            "weight": init_param("PiecewiseLinear: weight", self.weight, rng, output),
            "bias": init_param("PiecewiseLinear: bias", self.bias, rng, output),
            "bin_weight": init_param("PiecewiseLinear: bin_weight", self.bin_weight, rng, (columns, bins, output[1])),
        }
        for name, array in zip(self.buffers, _bins(self.edges, bins), strict=True):
            params[name] = init_param(f"PiecewiseLinear: {name}", Given(array), rng, (columns, bins))
        return params, output

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        _check_columns("PiecewiseLinear", x, params["weight"].shape[0])
        column = x[:, :, None]
        t = _encoded(column, *(params[name] for name in self.buffers))
        return each_matmul(t, params["bin_weight"]) + column * params["weight"] + params["bias"], (x, t)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, t = cache
        grads = {
            "weight": over_examples(dy, x[:, :, None]),
            "bias": total(dy, axis=0),
            "bin_weight": each_gradient(t, dy),
        }
        if not need_dx:
            return None, grads
        dt = each_transposed(dy, params["bin_weight"])  # (N, F, B)
        dt = _slopes(t, dt, *(params[name] for name in self.buffers[1:]))
        return total(dt, axis=2) + total(dy * params["weight"], axis=2), grads


def _columns(where: str, input_shape: Shape) -> tuple[int, ...]:
    return axis_sizes(where, input_shape, "columns")


def _check_columns(where: str, x: Array, columns: int) -> None:
    if x.ndim != 2 or x.shape[1] != columns:
        raise ValueError(f"{where}: expected x of shape (N, {columns}), got {tuple(x.shape)}")


@fused
def _cosines(x: Array, frequency: Array, phase: Array) -> tuple[Array, Array]:
    angle = x * frequency * (2.0 * math.pi) + phase
    return angle, namespace(x).cos(angle)


@fused
def _minus_sine(angle: Array, d: Array) -> Array:
    return -d * namespace(angle).sin(angle)


@fused
def _encoded(x: Array, left: Array, slope: Array, below: Array, above: Array) -> Array:
    """Return t (N, F, B); `below` and `above` are 1 for bins without a lower or upper bound."""
    xp, u = namespace(x), (x - left) * slope
    return xp.minimum(xp.maximum(u, 0.0), 1.0) + below * xp.minimum(u, 0.0) + above * xp.maximum(u - 1.0, 0.0)


@fused
def _slopes(t: Array, dt: Array, slope: Array, below: Array, above: Array) -> Array:
    """Return ∂t/∂x times dt; t is between its bounds exactly where its argument is."""
    xp = namespace(t)
    inside = xp.astype((t > 0.0) & (t < 1.0), dt.dtype)
    return dt * slope * (inside + below * xp.astype(t <= 0.0, dt.dtype) + above * xp.astype(t >= 1.0, dt.dtype))


def _checked_edges(edges: Any) -> tuple[tuple[float, ...], ...]:
    """Return edges as tuples of floats."""
    if isinstance(edges, str) or not isinstance(edges, Iterable):
        raise TypeError(f"PiecewiseLinear: expected edges with a sequence of numbers per column, got {edges!r}")
    columns = [np.asarray(to_numpy(column), dtype=np.float64) for column in edges]
    if not columns:
        raise ValueError("PiecewiseLinear: expected edges of one or more columns, got none")
    for number, column in enumerate(columns):
        if column.ndim != 1 or len(column) < 2 or not np.isfinite(column).all() or not (np.diff(column) > 0).all():
            raise ValueError(
                f"PiecewiseLinear: expected two or more finite, increasing edges for column {number}, got "
                f"{column.tolist()}"
            )
    return tuple(tuple(column.tolist()) for column in columns)


def _bins(edges: tuple[tuple[float, ...], ...], count: int) -> tuple[np.ndarray, ...]:
    """Return the left edges, 1/width, and which bins have no lower and no upper bound, (F, B) each.

    A column with fewer bins ends in bins of slope zero.
    """
    left, slope, below, above = (np.zeros((len(edges), count)) for _ in range(4))
    for column, row in enumerate(edges):
        bins = len(row) - 1
        left[column, :bins] = row[:-1]
        slope[column, :bins] = 1.0 / np.diff(row)
        below[column, 0] = above[column, bins - 1] = 1.0
    return left, slope, below, above

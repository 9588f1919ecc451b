"""Selection of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import device

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, empty_like, last_axis


@dataclass(frozen=True)
class Columns(Layer):
    """Select consecutive features.

    .. math:: y = x_{start:stop}, \\qquad
              \\frac{∂L}{∂x} = \\Big(0, \\frac{∂L}{∂y}, 0\\Big)

    With `Parallel`, parts of a network process parts of its input, such as the numbers and the categories of a table.

    Parameters
    ----------
    start : int, in [0, inf)
        Index of the first feature.
    stop : int, in (start, inf)
        Index after the last feature.

    Notes
    -----
    Input (N, ..., C), output (N, ..., stop − start). Cache: an empty array with the input's shape.

    Raises
    ------
    ValueError
        If there are fewer than `stop` features.

    Examples
    --------
    >>> from anynet import Dense, Parallel
    >>> Columns(1, 3).forward({}, np.array([[1.0, 2.0, 3.0, 4.0]]))[0].tolist()
    [[2.0, 3.0]]
    >>> Parallel([[Columns(0, 2), Dense(5)], Columns(2, 4)]).init(np.random.default_rng(0), (4,))[1]
    (7,)
    """

    uses_key: ClassVar[bool] = False
    preserves_values: ClassVar[bool] = True

    start: int
    stop: int

    def __post_init__(self) -> None:
        check_int("Columns", "start", self.start, at_least=0)
        check_int("Columns", "stop", self.stop, at_least=self.start + 1)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        features = last_axis("Columns", input_shape)
        if features < self.stop:
            raise ValueError(f"Columns: expected at least {self.stop} features, got {features} in input {input_shape}")
        return {}, (*input_shape[:-1], self.stop - self.start)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return x[..., self.start : self.stop], empty_like(x)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        xp, parts = namespace(dy), (self.start, cache.shape[-1] - self.stop)
        before, after = (xp.zeros((*dy.shape[:-1], width), dtype=dy.dtype, device=device(dy)) for width in parts)
        return xp.concat([before, dy, after], axis=-1), {}

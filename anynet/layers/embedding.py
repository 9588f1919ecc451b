"""A table of learned vectors. Derivation: docs/derivations/embedding.md."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.arrays.scatter import scatter_add
from anynet.checks import check_int
from anynet.initializers import Normal, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, init_param, single_shape


@dataclass(frozen=True)
class Embedding(Layer):
    """Look up a vector for each integer in a learned table.

    .. math:: y_n = W_{x_n}, \\qquad \\frac{∂L}{∂W_v} = \\sum_{n:\\, x_n = v} \\frac{∂L}{∂y_n}

    Parameters
    ----------
    entries : int, at least 1
        Number of rows V of the table.
    features : int, at least 1
        Length D of each vector.
    weight : Initializer or array
        W, of shape (V, D); standard normal by default, as in PyTorch.

    Notes
    -----
    Input (N, ...) of integers from 0 to V − 1, output (N, ..., D). Cache: x. Integers have no derivative, so ∂L/∂x is None.
    `Model.fit`, `evaluate`, `gradients` and `predict` check the range of x once; `train_step` and the layer itself do not,
    and the behavior for out-of-range indices is undefined.

    Examples
    --------
    >>> layer = Embedding(3, 2, weight=[[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])
    >>> params, shape = layer.init(np.random.default_rng(0), (2,))
    >>> shape, layer.forward(params, np.array([[2, 0]]))[0].tolist()
    ((2, 2), [[[2.0, 2.1], [0.0, 0.1]]])

    References
    ----------
    Bengio, Ducharme, Vincent, Jauvin (2003), "A neural probabilistic language model", section 2.
    """

    uses_key: ClassVar[bool] = False
    integer_input: ClassVar[bool] = True

    entries: int
    features: int
    _: KW_ONLY
    weight: Any = Normal(1.0)

    def __post_init__(self) -> None:
        check_int("Embedding", "entries", self.entries, at_least=1)
        check_int("Embedding", "features", self.features, at_least=1)
        object.__setattr__(self, "weight", as_initializer(self.weight, "Embedding: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params = {"weight": init_param("Embedding: weight", self.weight, rng, (self.entries, self.features))}
        return params, (*single_shape("Embedding", input_shape), self.features)

    def check_input(self, where: str, x: Array) -> None:
        xp = namespace(x)
        low, high = int(xp.min(x)), int(xp.max(x))
        if low < 0 or high >= self.entries:
            raise ValueError(
                f"{where}: expected indices in x from 0 to {self.entries - 1}, got {low if low < 0 else high}; "
                f"Embedding({self.entries}, {self.features}) has no such row"
            )

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        if not xp.isdtype(x.dtype, "integral"):
            raise ValueError(
                f"Embedding({self.entries}, {self.features}): expected integers, got numbers of {x.dtype}; put it before "
                "layers that compute"
            )
        rows = xp.take(params["weight"], xp.reshape(x, (-1,)), axis=0)
        return xp.reshape(rows, (*x.shape, self.features)), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        reshape = namespace(dy).reshape
        index, values = reshape(cache, (-1,)), widened(reshape(dy, (-1, self.features)))
        return None, {"weight": narrowed(scatter_add(index, values, self.entries), dy.dtype)}

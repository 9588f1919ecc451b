"""A learned vector for each position of a sequence.

Legend: N batch, T positions, C channels.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array
from anynet.arrays.reduce import total
from anynet.initializers import Normal, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, axis_sizes, init_param


@dataclass(frozen=True)
class Position(Layer):
    """Add a vector for each position.

    Attention alone does not depend on the order of the positions; with these vectors it does.

    .. math:: y_{nt} = x_{nt} + w_t, \\qquad \\frac{∂L}{∂w_t} = \\sum_n \\frac{∂L}{∂y_{nt}}

    Parameters
    ----------
    weight : Initializer or array
        w, of shape (T, C). ``Frozen(Position(weight=Sinusoids()))`` has the fixed vectors of Vaswani et al.

    Notes
    -----
    Input and output (N, T, C). Cache: nothing.

    Raises
    ------
    ValueError
        If an example is not a sequence (positions, channels), or has another number of positions than the weight.

    Examples
    --------
    >>> layer = Position(weight=[[0.0], [1.0]])
    >>> params, _ = layer.init(np.random.default_rng(0), (2, 1))
    >>> layer.forward(params, np.full((1, 2, 1), 5.0))[0].tolist()
    [[[5.0], [6.0]]]

    References
    ----------
    Gehring et al. (2017), "Convolutional sequence to sequence learning", section 3.1; Vaswani et al. (2017), "Attention is all
    you need", section 3.5.
    """

    _: KW_ONLY
    weight: Any = Normal(0.02)

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_initializer(self.weight, "Position: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = axis_sizes("Position", input_shape, "positions", "channels")
        return {"weight": init_param("Position: weight", self.weight, rng, shape)}, shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        if x.shape[1:] != params["weight"].shape:
            raise ValueError(
                f"Position: expected x of shape (N, {', '.join(map(str, params['weight'].shape))}), got {x.shape}"
            )
        return x + params["weight"], None

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (dy if need_dx else None), {"weight": total(dy, axis=0)}

"""A learned factor for each feature."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.initializers import Constant, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, check_features, init_param, last_axis


@dataclass(frozen=True)
class Scale(Layer):
    """Multiply each feature by a learned factor.

    .. math:: y = x ⊙ w, \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ w, \\quad
              \\frac{∂L}{∂w} = \\sum_m \\frac{∂L}{∂y_m} ⊙ x_m

    As the first layer of a network for tables, it learns how important each column is.

    Parameters
    ----------
    weight : Initializer or array
        w, of shape (C,).

    Notes
    -----
    Input and output (N, ..., C). Cache: x. `Rescale` multiplies by one constant that is not trained.

    Raises
    ------
    ValueError
        If an example has no axis of features, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = Scale(weight=[1.0, 0.5])
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[3.0, 4.0]]))[0]
    array([[3., 2.]])

    References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
    the scaling layer of RealMLP.
    """

    _: KW_ONLY
    weight: Any = Constant(1.0)

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_initializer(self.weight, "Scale: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (last_axis("Scale", input_shape),)
        return {"weight": init_param("Scale: weight", self.weight, rng, shape)}, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        check_features("Scale", x, params["weight"].shape[0])
        return x * params["weight"], x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        each = widened(dy) * cache
        grads = {"weight": narrowed(namespace(dy).sum(each, axis=tuple(range(dy.ndim - 1))), dy.dtype)}
        return (dy * params["weight"] if need_dx else None), grads

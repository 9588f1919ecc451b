"""A learned mixture of a layer and the identity. Derivation: docs/derivations/activations.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.initializers import Constant, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, init_param, last_axis
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path


@dataclass(frozen=True)
class Blend(Container):
    """Mix an activation with its input by a learned factor for each unit.

    .. math::

        y = (1 - α) ⊙ x + α ⊙ f(x), \\qquad
        \\frac{∂L}{∂x} = (1 - α) ⊙ \\frac{∂L}{∂y} + \\Big(\\frac{∂f}{∂x}\\Big)^T \\Big(α ⊙ \\frac{∂L}{∂y}\\Big), \\quad
        \\frac{∂L}{∂α} = \\sum_m \\frac{∂L}{∂y_m} ⊙ (f(x_m) - x_m)

    Parameters
    ----------
    layer : Layer or sequence of Layer
        f, such as `SELU`, whose output shape equals its input shape.
    alpha : Initializer or array
        α, of shape (C,); ones, so that y = f(x) at first.

    Notes
    -----
    Input and output (N, ..., C). `params` is ``{"alpha": ..., "layer": ...}``. Cache: f(x) − x, and the cache of f.

    Raises
    ------
    ValueError
        If f changes the shape.

    Examples
    --------
    >>> from anynet import ReLU
    >>> layer = Blend(ReLU(), alpha=[1.0, 0.5])
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[-4.0, -4.0]]))[0]
    array([[ 0., -2.]])

    References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong pre-tuned MLPs and boosted trees on tabular data", the
    parametric activation functions of RealMLP.
    """

    layer: Any
    _: KW_ONLY
    alpha: Any = Constant(1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))
        object.__setattr__(self, "alpha", as_initializer(self.alpha, "Blend: alpha"))

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("layer", self.layer),))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params = {"alpha": init_param("Blend: alpha", self.alpha, rng, (last_axis("Blend", input_shape),))}
        try:
            inner, shape = self.layer.init(rng, input_shape)
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        if shape != input_shape:
            raise ValueError(f"Blend: expected a layer that keeps the shape {input_shape}, got {shape}")
        return {**params, "layer": inner}, shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        try:
            y, cache = self.layer.forward(params["layer"], x, key=child_key(self.layer, key, 0))
        except ValueError as error:
            raise with_layer_path("layer", error) from error
        y, difference = _mixed(x, y, params["alpha"])
        return y, (difference, cache)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        difference, inner = cache
        part, each = _parts(widened(dy), difference, params["alpha"])
        alpha = narrowed(namespace(dy).sum(each, axis=tuple(range(dy.ndim - 1))), dy.dtype)
        dx, grads = self.layer.backward(params["layer"], inner, narrowed(part, dy.dtype), need_dx=need_dx)
        return (_joined(dy, part, dx) if need_dx else None), {"alpha": alpha, "layer": grads}

    def check_input(self, where: str, x: Array) -> None:
        self.layer.check_input(where, x)

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return {**params, "layer": self.layer.update_buffers(params["layer"], cache[1])}

    def trainable(self, params: Params) -> Params:
        return {**params, "layer": self.layer.trainable(params["layer"])}


@fused
def _mixed(x: Array, y: Array, alpha: Array) -> tuple[Array, Array]:
    difference = y - x
    return x + alpha * difference, difference


@fused
def _parts(dy: Array, difference: Array, alpha: Array) -> tuple[Array, Array]:
    return alpha * dy, dy * difference


@fused
def _joined(dy: Array, part: Array, dx: Array) -> Array:
    return dy - part + dx

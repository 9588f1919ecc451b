"""Layers that are not trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.layers.containers import Container, as_layer, with_layer_path


@dataclass(frozen=True)
class Frozen(Container):
    """Apply layers without training them: parameters and running statistics stay fixed.

    .. math:: y = f(x), \\qquad \\frac{∂L}{∂x} = \\Big(\\frac{∂f}{∂x}\\Big)^T \\frac{∂L}{∂y}

    Parameters
    ----------
    layer : Layer or sequence of Layer
        f, always in inference mode: batch normalization uses its running statistics and dropout is off, even during training.

    Notes
    -----
    `params` is ``{"layer": ...}``, `grads` is empty, so the optimizer keeps no state for it. Cache: the cache of f.

    Examples
    --------
    >>> from anynet import Dense
    >>> layer = Frozen(Dense(2))
    >>> params, _ = layer.init(np.random.default_rng(0), (3,))
    >>> y, cache = layer.forward(params, np.ones((4, 3)))
    >>> layer.trainable(params), layer.backward(params, cache, y)[1]
    ({}, {})
    """

    layer: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))

    @property
    def uses_key(self) -> bool:  # type: ignore[override]
        return False

    @property
    def has_buffers(self) -> bool:
        return False

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("layer", self.layer),))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        try:
            params, shape = self.layer.init(rng, input_shape)
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        return {"layer": params}, shape

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        try:
            return self.layer.forward(params["layer"], x)
        except ValueError as error:
            raise with_layer_path("layer", error) from error

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        return (self.layer.backward(params["layer"], cache, dy)[0] if need_dx else None), {}

    def trainable(self, params: Params) -> Params:
        return {}

    def check_input(self, where: str, x: Arrays) -> None:
        self.layer.check_input(where, x)

    @property
    def integer_input(self) -> Any:
        return self.layer.integer_input

    @property
    def preserves_values(self) -> bool:  # type: ignore[override]
        return self.layer.preserves_values

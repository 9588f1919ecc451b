"""One table of vectors for input and output tokens. Derivation: docs/derivations/embedding.md.

Legend: N batch, T positions, V entries, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.initializers import Normal, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, as_rows, from_rows
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path
from anynet.layers.embedding import Embedding


@dataclass(frozen=True)
class Tied(Container):
    """Apply layers between a table of vectors and the products with its rows.

    .. math::

        h_{nt} = f(W_{x})_{nt}, \\quad y_{nt} = h_{nt} W^T, \\qquad
        \\frac{∂L}{∂h_{nt}} = \\frac{∂L}{∂y_{nt}} W, \\quad
        \\frac{∂L}{∂W_v} = \\sum_{nt} \\frac{∂L}{∂y_{ntv}} h_{nt} + \\sum_{nt:\\, x_{nt} = v} \\frac{∂L}{∂W_{x_{nt}}}

    Parameters
    ----------
    entries : int, at least 1
        Number V of tokens.
    features : int, at least 1
        Length D of each vector.
    layer : Layer or sequence of Layer
        f, which returns D features at each position.
    weight : Initializer or array
        W, of shape (V, D).

    Notes
    -----
    Input (N, T) of integers from 0 to V − 1, output (N, T, V), logits. `params` and `grads` are
    ``{"weight": ..., "layer": ...}``. Cache: x, the cache of f, and h.

    Raises
    ------
    ValueError
        If f does not return D features.

    Examples
    --------
    >>> from anynet import Identity
    >>> layer = Tied(2, 2, Identity(), weight=[[1.0, 0.0], [0.0, 2.0]])
    >>> params, shape = layer.init(np.random.default_rng(0), (1,))
    >>> shape, layer.forward(params, np.array([[1]]))[0].tolist()
    ((1, 2), [[[0.0, 4.0]]])

    References
    ----------
    Press, Wolf (2017), "Using the output embedding to improve language models", section 2.
    """

    entries: int
    features: int
    layer: Any
    _: KW_ONLY
    weight: Any = Normal(0.02)

    integer_input: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))
        object.__setattr__(self, "weight", as_initializer(self.weight, "Tied: weight"))
        _ = self._embedding

    @property
    def _embedding(self) -> Embedding:
        return Embedding(self.entries, self.features, weight=self.weight)

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("layer", self.layer),))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = self._embedding.init(rng, input_shape)
        try:
            inner, shape = self.layer.init(rng, shape)
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        if not shape or shape[-1] != self.features:
            raise ValueError(f"Tied: expected a layer that returns {self.features} features, as its input, got {shape}")
        return {**params, "layer": inner}, (*shape[:-1], self.entries)

    def check_input(self, where: str, x: Array) -> None:
        self._embedding.check_input(where, x)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        vectors, _ = self._embedding.forward(params, x)
        try:
            h, cache = self.layer.forward(params["layer"], vectors, key=child_key(self.layer, key, 0))
        except ValueError as error:
            raise with_layer_path("layer", error) from error
        return from_rows(namespace(h).matmul(as_rows(h), params["weight"].T), like=h), (x, cache, h)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, inner, h = cache
        rows, matmul = as_rows(dy), namespace(dy).matmul
        dh = from_rows(matmul(rows, params["weight"]), like=dy)
        dx, grads = self.layer.backward(params["layer"], inner, dh)
        _, looked_up = self._embedding.backward(params, x, dx)
        return None, {"weight": looked_up["weight"] + matmul(rows.T, as_rows(h)), "layer": grads}

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return {**params, "layer": self.layer.update_buffers(params["layer"], cache[1])}

    def trainable(self, params: Params) -> Params:
        return {**params, "layer": self.layer.trainable(params["layer"])}

"""Sequences of different lengths in one batch.

Legend: N batch, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.checks import is_multi
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path
from anynet.layers.hooks import map_layers


@dataclass(frozen=True)
class Lengths(Container):
    """Apply a network to padded sequences, whose lengths are a second input.

    Layers that mix positions (`SelfAttention`, `Attention`, `LSTM`, `GRU`, `GlobalAvgPool1D`) receive the lengths and ignore what
    comes after the end of an example; all other layers are applied to every position. The outputs before the end of an example
    then equal those for the sequence without its padding.

    Parameters
    ----------
    layer : Layer or sequence of Layer
        The network. A layer of your own receives ``(x, lengths)`` if its class sets ``takes_lengths = True``.

    Notes
    -----
    Input: a tuple of x (N, T, ...) and lengths (N,), integers from 0 to T. `Attention` takes the lengths as those of its keys.
    `params` and `grads` are ``{"layer": ...}``. Cache: the cache of the network.

    Raises
    ------
    ValueError
        If there are not two inputs of shapes (positions, ...) and ().

    Examples
    --------
    >>> from anynet import LSTM
    >>> network = Lengths(LSTM(2, sequences=False))
    >>> params, shape = network.init(np.random.default_rng(0), ((5, 3), ()))
    >>> x = np.ones((1, 5, 3))
    >>> short, _ = network.forward(params, (x, np.array([2])))
    >>> unpadded, _ = network.forward(params, (x[:, :2], np.array([2])))
    >>> shape, bool((short == unpadded).all())
    ((2,), True)
    """

    layer: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("layer", self.layer),))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shapes: Any = input_shape
        if not is_multi(shapes) or len(shapes) != 2 or not shapes[0] or shapes[1] != ():
            raise ValueError(f"Lengths: expected two inputs of shapes (positions, ...) and (), got {input_shape}")
        try:
            params, shape = self.layer.init(rng, shapes[0])
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        return {"layer": params}, shape

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        x, lengths = x
        network = map_layers(
            self.layer, lambda layer, _: _WithLengths(layer, lengths) if layer.takes_lengths else layer
        )
        try:
            return network.forward(params["layer"], x, key=child_key(network, key, 0))
        except ValueError as error:
            raise with_layer_path("layer", error) from error

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        dx, grads = self.layer.backward(params["layer"], cache, dy, need_dx=need_dx)
        return ((dx, None) if need_dx else None), {"layer": grads}

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return {"layer": self.layer.update_buffers(params["layer"], cache)}

    def trainable(self, params: Params) -> Params:
        return {"layer": self.layer.trainable(params["layer"])}

    def check_input(self, where: str, x: Arrays) -> None:
        x, lengths = x
        xp, positions = namespace(lengths), x.shape[1]
        low, high = int(xp.min(lengths)), int(xp.max(lengths))
        if low < 0 or high > positions:
            raise ValueError(f"{where}: expected lengths from 0 to {positions}, got {low if low < 0 else high}")
        self.layer.check_input(where, x)

    @property
    def integer_input(self) -> Any:
        return self.layer.integer_input, True


@dataclass(frozen=True, eq=False)
class _WithLengths(Layer):
    """A layer that receives the lengths of a batch with its input; it exists during one forward pass."""

    layer: Layer
    lengths: Array

    @property
    def uses_key(self) -> bool:  # type: ignore[override]
        return self.layer.uses_key

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        pair: Any = (x, self.lengths)
        return self.layer.forward(params, pair, key=key)

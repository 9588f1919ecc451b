"""Sequences of different lengths in one batch.

Legend: N batch, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import AnySize, is_multi
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path
from anynet.layers.hooks import map_layers


@dataclass(frozen=True)
class Lengths(Container):
    """Apply a network to padded sequences, whose lengths are a second input.

    Layers that mix positions (`SelfAttention`, `Attention`, `LSTM`, `GRU`, `GlobalAvgPool1D`) receive the lengths and ignore what
    comes after the end of an example; all other layers are applied to every position. The outputs before the end of an example
    then equal those for the sequence without its padding. Of convolutions, those that read no later position are accepted:
    ``Conv1D(filters, k, padding=(k - 1, 0))``.

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
        If there are not two inputs of shapes (positions, ...) and (), or a layer would read the padding: a convolution that reads
        later positions, pooling over a window, `Flatten`, or `BatchNorm`, whose averages would include it.

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
        checked = map_layers(self.layer, lambda layer, _: _Checked(layer))
        try:
            params, shape = checked.init(rng, _marked(shapes[0]))
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        return {"layer": params}, tree.map(lambda n: int(n) if isinstance(n, _Positions) else n, shape)

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


class _Positions(int):
    """The number of positions in a shape; arithmetic returns an ordinary number."""


def _marked(shape: Shape) -> Shape:
    """Return a shape whose first axis is that of the positions."""
    positions: Any = shape[0]
    return shape if isinstance(positions, AnySize) else (_Positions(positions), *shape[1:])


@dataclass(frozen=True, eq=False)
class _Checked(Layer):
    """A layer whose `init` refuses the axis of the positions if the layer would read the padding."""

    layer: Layer

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = self.layer.init(rng, input_shape)
        positions = input_shape[0] if input_shape else None
        if not isinstance(positions, (_Positions, AnySize)) or self.layer.takes_lengths:
            return params, shape
        if self.layer.mixes_positions or is_multi(shape) or shape[:1] != (positions,):
            raise ValueError(
                f"{type(self.layer).__name__}: expected a layer that takes lengths or treats each position alone, inside "
                f"Lengths, got one that would read the padding, for input ({', '.join(map(str, input_shape))}); put it "
                "after a layer with one output per sequence, such as GlobalAvgPool1D() or LSTM(units, sequences=False)"
            )
        return params, _marked(shape)


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

"""Sequential, and the base class of the other containers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from sys import modules
from typing import Any, ClassVar

import numpy as np

from anynet.checks import check_kind
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.names.text import classes_of, from_text
from anynet.random import fold_in


@dataclass(frozen=True)
class Sequential(Layer):
    """Apply layers one after another.

    .. math:: y = f_L(… f_2(f_1(x)) …), \\qquad
              \\frac{∂L}{∂a_{l-1}} = \\Big(\\frac{∂f_l}{∂a_{l-1}}\\Big)^T \\frac{∂L}{∂a_l}

    Parameters
    ----------
    layers : sequence of Layer
        The layers, in order; a container such as `Sequential` is a layer too.

    Notes
    -----
    `params`, `grads` and the cache are lists with one entry per layer. Each layer that uses the key gets its own.

    Raises
    ------
    ValueError
        If a layer does not accept its input; the message names the layer.

    Examples
    --------
    >>> from anynet import Dense, ReLU
    >>> Sequential([Dense(8), ReLU(), Dense(2)]).init(np.random.default_rng(0), (4,))[1]
    (2,)
    """

    layers: tuple[Layer, ...]
    _moving: ClassVar[tuple[int, ...]] = ()

    def __init__(self, layers: Any) -> None:
        object.__setattr__(self, "layers", check_layers("Sequential", layers))
        object.__setattr__(self, "uses_key", any(layer.uses_key for layer in self.layers))
        moving = tuple(i for i, layer in enumerate(self.layers) if layer.has_buffers)
        object.__setattr__(self, "_moving", moving)

    @property
    def has_buffers(self) -> bool:
        return bool(self._moving)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = [], input_shape
        for index, layer in enumerate(self.layers):
            try:
                part, shape = layer.init(rng, shape)
            except ValueError as error:
                raise with_layer_path(index, error) from None
            params.append(part)
        return params, shape

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        caches = []
        index = 0
        try:
            for index, (layer, part) in enumerate(zip(self.layers, params, strict=True)):
                x, cache = layer.forward(part, x, key=child_key(layer, key, index))
                caches.append(cache)
        except ValueError as error:
            raise with_layer_path(index, error) from error
        return x, caches

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        grads: list[Grads] = [{}] * len(self.layers)
        for index in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[index]
            if dy is None and not layer.preserves_values:
                raise ValueError(f"layer {index + 1}: expected backward to return the gradient of its input, got None")
            dy, grads[index] = layer.backward(params[index], cache[index], dy, need_dx=need_dx or index > 0)
        return (dy if need_dx else None), grads

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        if not self._moving:
            return params
        params = list(params)
        for i in self._moving:
            params[i] = self.layers[i].update_buffers(params[i], cache[i])
        return params

    def trainable(self, params: Params) -> Params:
        return [layer.trainable(part) for layer, part in zip(self.layers, params, strict=True)]

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter(enumerate(self.layers))

    @property
    def preserves_values(self) -> bool:  # type: ignore[override]
        return all(layer.preserves_values for layer in self.layers)

    def check_input(self, where: str, x: Arrays) -> None:
        first = self._first()
        (super().check_input if first is None else first.check_input)(where, x)

    @property
    def integer_input(self) -> Any:
        first = self._first()
        return first is not None and first.integer_input

    def _first(self) -> Layer | None:
        """Return the first layer that changes values, which decides on valid inputs; if there is none, the first layer."""
        return next(
            (layer for layer in self.layers if not layer.preserves_values), self.layers[0] if self.layers else None
        )


@dataclass(frozen=True)
class Container(Layer):
    """Base class of layers with `children`, which may use the key or have buffers."""

    @property
    def uses_key(self) -> bool:  # type: ignore[override]
        return any(layer.uses_key for _, layer in self.children())

    @property
    def has_buffers(self) -> bool:
        return any(layer.has_buffers for _, layer in self.children())


def child_key(layer: Layer, key: Key | None, index: int) -> Key | None:
    """Return the key for a child, derived from `key` if the child uses it."""
    return key if key is None or not layer.uses_key else fold_in(key, index)


def as_layer(layers: Any) -> Layer:
    """Return a layer unchanged, and a sequence of layers as a `Sequential`."""
    return layers if isinstance(layers, Layer) else Sequential(layers)


def check_layers(where: str, layers: Any) -> tuple[Layer, ...]:
    """Return layers as a tuple; raise TypeError unless each is a `Layer`."""
    named = classes_of(Layer, modules["anynet.layers"])
    layers = tuple(from_text(where, f"layer {index}", layer, named, "Dense(10)") for index, layer in enumerate(layers))
    for index, layer in enumerate(layers):
        check_kind(where, f"layer {index}", layer, Layer, "Dense(10)")
    return layers


def with_layer_path(index: int | str, error: ValueError) -> ValueError:
    """Return the error prefixed with the path of the layer, which each enclosing container extends."""
    text = str(error)
    return ValueError(
        f"layer {index}.{text.removeprefix('layer ')}" if text.startswith("layer ") else f"layer {index}: {text}"
    )

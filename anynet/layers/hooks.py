"""Hooks on the plain layers of a network, however deeply its containers nest.

A layer is an immutable value, so a hook cannot be attached to it. `with_hook` returns an equal network instead, in which
each plain layer calls the hook. `Model.summary`, `explain` and `StopOnNaN` are built on it.

>>> import numpy as np
>>> from anynet import Dense, ReLU, Sequential
>>> calls = []
>>> network = with_hook(Sequential([Dense(3), ReLU()]), lambda call: calls.append((call.path, call.method, call.output)))
>>> _ = network.init(np.random.default_rng(0), (2,))
>>> calls
[((0,), 'init', (3,)), ((1,), 'init', (3,))]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape
from anynet.tree import Path


@dataclass(frozen=True)
class LayerCall:
    """One call of a method of a plain layer.

    Attributes
    ----------
    path : tuple
        Path of the layer in `params`; empty if the network is a single layer.
    layer : Layer
        The layer.
    method : "init", "forward" or "backward"
        The method that was called.
    params : dict
        Parameters of the layer: those that `init` returned, or those passed to the other methods.
    input, output :
        Shapes for init; x and y for forward; ∂L/∂y and ∂L/∂x (None where not needed) for backward.
    cache :
        Cache of the forward pass, for forward and backward.
    grads : dict
        ∂L/∂params, for backward.
    """

    path: Path
    layer: Layer
    method: str
    params: Any
    input: Any
    output: Any
    cache: Any = None
    grads: Any = None


Hook = Callable[[LayerCall], None]
"""A function that receives each call of a layer after it returned."""


@dataclass(frozen=True)
class HookedLayer(Layer):
    """A plain layer that passes each of its calls to a hook."""

    layer: Layer
    path: Path
    hook: Hook

    @property
    def buffers(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.buffers

    @property
    def integer_input(self) -> Any:
        return self.layer.integer_input

    @property
    def preserves_values(self) -> bool:  # type: ignore[override]
        return self.layer.preserves_values

    @property
    def takes_lengths(self) -> bool:  # type: ignore[override]
        return self.layer.takes_lengths

    @property
    def mixes_positions(self) -> bool:  # type: ignore[override]
        return self.layer.mixes_positions

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = self.layer.init(rng, input_shape)
        self.hook(LayerCall(self.path, self.layer, "init", params, input_shape, shape))
        return params, shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y, cache = self.layer.forward(params, x, key=key)
        self.hook(LayerCall(self.path, self.layer, "forward", params, x, y, cache))
        return y, cache

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        dx, grads = self.layer.backward(params, cache, dy, need_dx=need_dx)
        self.hook(LayerCall(self.path, self.layer, "backward", params, dy, dx, cache, grads))
        return dx, grads

    def check_input(self, where: str, x: Array) -> None:
        self.layer.check_input(where, x)

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return self.layer.update_buffers(params, cache)

    def trainable(self, params: Params) -> Params:
        return self.layer.trainable(params)


def with_hook(layer: Layer, hook: Hook, path: Path = ()) -> Layer:
    """Return an equal network whose plain layers call `hook` after each of their methods.

    The children of a container must be held in its fields, one by one or in tuples, in the order of `children`.
    """
    return map_layers(layer, lambda plain, path: HookedLayer(plain, path, hook), path)


def map_layers(
    layer: Layer, function: Callable[[Layer, Path], Layer], path: Path = (), *, but: tuple[type, ...] | type = ()
) -> Layer:
    """Return a network with ``function(layer, path)`` in place of each plain layer; itself if nothing changes.

    Layers of the types in `but` are kept, with all their children. The children of a container must be held in its fields, one
    by one or in tuples, in the order of `children`.
    """
    if isinstance(layer, but):
        return layer
    keys = (key for key, _ in layer.children())
    changes: dict[str, Any] = {}
    is_plain = True
    for field in dataclasses.fields(layer):
        value: Any = getattr(layer, field.name)
        is_layers = isinstance(value, tuple) and bool(value) and all(isinstance(v, Layer) for v in value)
        if not is_layers and not isinstance(value, Layer):
            continue
        is_plain = False
        old = value if is_layers else (value,)
        new = tuple(map_layers(v, function, (*path, next(keys)), but=but) for v in old)
        if any(a is not b for a, b in zip(old, new, strict=True)):
            changes[field.name] = new if is_layers else new[0]
    if is_plain:
        return function(layer, path)
    return dataclasses.replace(layer, **changes) if changes else layer


def own_params(layer: Layer, params: Params, path: Path = ()) -> Iterator[tuple[Path, Layer, Params]]:
    """Yield the containers that have parameters of their own, with these."""
    children = dict(layer.children())
    if children and isinstance(params, dict) and len(params) > len(children):
        yield path, layer, {name: value for name, value in params.items() if name not in children}
    for key, child in children.items():
        yield from own_params(child, params[key], (*path, key))

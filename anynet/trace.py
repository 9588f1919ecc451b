"""Watch what passes through each plain layer of a network, however its containers are nested.

Layers are values, so nothing can be hooked into them; instead `observed` makes an equal network in which every plain layer
is wrapped by one that reports. The table of `Model.summary` and the search for the first NaN are both a few lines on it.

>>> import numpy as np
>>> from anynet import Dense, ReLU, Sequential
>>> seen = []
>>> network = observed(Sequential([Dense(3), ReLU()]), lambda event: seen.append((event.path, event.what, event.output)))
>>> _ = network.init(np.random.default_rng(0), (2,))
>>> seen
[((0,), 'init', (3,)), ((1,), 'init', (3,))]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.layers.base import Cache, Layer, Params, Shape
from anynet.tree import Path


@dataclass(frozen=True)
class Event:
    """One call of a plain layer.

    Attributes
    ----------
    path : tuple
        The layer's place in `params`; empty for a network that is one layer.
    layer : Layer
        The layer itself.
    what : "init", "forward" or "backward"
        Which method was called.
    params : dict
        Its parameters; what `init` made of them.
    input, output :
        Shapes for init; x and y for forward; ∂L/∂y and ∂L/∂x (None where not needed) for backward.
    cache :
        What forward remembered, for forward and backward.
    grads : dict
        ∂L/∂params, for backward.
    """

    path: Path
    layer: Layer
    what: str
    params: Any
    input: Any
    output: Any
    cache: Any = None
    grads: Any = None


See = Callable[[Event], None]


@dataclass(frozen=True)
class Observed(Layer):
    """A plain layer that reports each call."""

    layer: Layer
    path: Path
    see: See

    @property
    def integer_input(self) -> Any:
        return self.layer.integer_input

    @property
    def passes_on(self) -> bool:  # type: ignore[override]
        return self.layer.passes_on

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = self.layer.init(rng, input_shape)
        self.see(Event(self.path, self.layer, "init", params, input_shape, shape))
        return params, shape

    def forward(self, params: Params, x: Array, *, key: Array | None = None) -> tuple[Array, Cache]:
        y, cache = self.layer.forward(params, x, key=key)
        self.see(Event(self.path, self.layer, "forward", params, x, y, cache))
        return y, cache

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Params]:
        dx, grads = self.layer.backward(params, cache, dy, need_dx=need_dx)
        self.see(Event(self.path, self.layer, "backward", params, dy, dx, cache, grads))
        return dx, grads

    def check_input(self, where: str, x: Array) -> None:
        self.layer.check_input(where, x)

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return self.layer.update_buffers(params, cache)

    def trainable(self, params: Params) -> Params:
        return self.layer.trainable(params)


def observed(layer: Layer, see: See, path: Path = ()) -> Layer:
    """Return an equal network whose plain layers call `see` with an `Event` after each of their calls.

    A container's children are taken to stand in its fields, one by one or in tuples, in the order of `children`.
    """
    keys = (key for key, _ in layer.children())
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, Layer):
            changes[field.name] = observed(value, see, (*path, next(keys)))
        elif isinstance(value, tuple) and value and all(isinstance(v, Layer) for v in value):
            changes[field.name] = tuple(observed(v, see, (*path, next(keys))) for v in value)
    return dataclasses.replace(layer, **changes) if changes else Observed(layer, path, see)

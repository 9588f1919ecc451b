"""Layers that use one set of parameters several times.

Layers are values: two equal layers, or one layer listed twice, have separate parameters. These containers share them, and
the gradients of all uses add up: docs/derivations/containers.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import add
from typing import Any, Self

import numpy as np

from anynet import tree
from anynet.checks import check_int, is_multi
from anynet.durations import fields_in_steps
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path


@dataclass(frozen=True)
class Sharing(Container):
    """Base class of `Repeat` and `Shared`: one set of parameters, one cache per use."""

    layer: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("layer", self.layer),))

    def _init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        try:
            params, shape = self.layer.init(rng, input_shape)
        except ValueError as error:
            raise with_layer_path("layer", error) from None
        return {"layer": params}, shape

    def _forward(self, params: Params, x: Arrays, key: Key | None, use: int) -> tuple[Arrays, Cache]:
        try:
            return self.layer.forward(params["layer"], x, key=child_key(self.layer, key, use))
        except ValueError as error:
            raise with_layer_path("layer", error) from error

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        inner = params["layer"]
        for one in cache:
            inner = self.layer.update_buffers(inner, one)
        return {"layer": inner}

    def trainable(self, params: Params) -> Params:
        return {"layer": self.layer.trainable(params["layer"])}

    @property
    def integer_input(self) -> Any:
        return self.layer.integer_input

    @property
    def preserves_values(self) -> bool:  # type: ignore[override]
        return self.layer.preserves_values


@dataclass(frozen=True)
class Repeat(Sharing):
    """Apply a layer several times in sequence, with one set of parameters.

    .. math:: y = f_θ(f_θ(… f_θ(x))), \\qquad \\frac{∂L}{∂θ} = \\sum_t \\Big(\\frac{∂a_t}{∂θ}\\Big)^T \\frac{∂L}{∂a_t}

    where a_t is the output of use t.

    Parameters
    ----------
    layer : Layer or sequence of Layer
        f, whose output shape must equal its input shape.
    times : int, at least 1
        Number of uses.

    Notes
    -----
    `params` and `grads` are ``{"layer": ...}``. Cache: a list with the cache of each use. Each use gets its own key.

    Raises
    ------
    ValueError
        If the layer changes the shape.

    Examples
    --------
    >>> from anynet import Dense
    >>> layer = Repeat(Dense(1, weight=[[2.0]]), 3)
    >>> params, _ = layer.init(np.random.default_rng(0), (1,))
    >>> y, cache = layer.forward(params, np.ones((1, 1)))
    >>> y.item(), layer.backward(params, cache, np.ones((1, 1)))[1]["layer"]["weight"].item()  # w³ and 3w²
    (8.0, 12.0)

    References
    ----------
    Rumelhart, Hinton, Williams (1986), "Learning representations by back-propagating errors", last page.
    """

    times: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("Repeat", "times", self.times, at_least=1)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = self._init(rng, input_shape)
        if shape != input_shape:
            raise ValueError(f"Repeat: expected a layer that keeps the shape {input_shape}, got {shape}")
        return params, shape

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        caches = []
        for use in range(self.times):
            x, cache = self._forward(params, x, key, use)
            caches.append(cache)
        return x, caches

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        grads: Grads = None
        for use in range(self.times - 1, -1, -1):
            dy, own = self.layer.backward(params["layer"], cache[use], dy, need_dx=need_dx or use > 0)
            grads = own if grads is None else tree.map(add, grads, own)
        return (dy if need_dx else None), {"layer": grads}

    def check_input(self, where: str, x: Arrays) -> None:
        self.layer.check_input(where, x)

    def in_steps(self, per_epoch: float) -> Self:
        """Return the layer with schedules in steps; inside, each use is one."""
        return fields_in_steps(self, per_epoch * self.times)


@dataclass(frozen=True)
class Shared(Sharing):
    """Apply a layer with one set of parameters to each of several inputs.

    .. math:: y_b = f_θ(x_b), \\qquad \\frac{∂L}{∂θ} = \\sum_b \\Big(\\frac{∂y_b}{∂θ}\\Big)^T \\frac{∂L}{∂y_b}

    Parameters
    ----------
    layer : Layer or sequence of Layer
        The layers f.

    Notes
    -----
    Input and output are tuples of arrays; a `Parallel` of `Identity` layers can combine the outputs. `params` and `grads` are
    ``{"layer": ...}``. Cache: a list with the cache of each use. Each use gets its own key.

    Raises
    ------
    ValueError
        If the input is not a tuple of arrays of one shape.

    Examples
    --------
    >>> from anynet import Dense
    >>> layer = Shared(Dense(2))
    >>> params, shape = layer.init(np.random.default_rng(0), ((3,), (3,)))
    >>> shape, params["layer"]["weight"].shape
    (((2,), (2,)), (3, 2))

    References
    ----------
    Bromley, Guyon, LeCun, Säckinger, Shah (1994), "Signature verification using a siamese time delay neural network",
    section 3.
    """

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        if not is_multi(input_shape) or len(set(input_shape)) > 1:
            raise ValueError(f"Shared: expected several inputs of one shape, such as ((3,), (3,)), got {input_shape}")
        one: Any = input_shape[0]
        params, shape = self._init(rng, one)
        return params, (shape,) * len(input_shape)

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        if not isinstance(x, tuple):
            raise ValueError(f"Shared: expected a tuple of arrays, got one of shape {tuple(x.shape)}")
        ys, caches = zip(*(self._forward(params, one, key, use) for use, one in enumerate(x)), strict=True)
        return ys, list(caches)

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        dxs, grads = [], None
        for own, d in zip(cache, dy, strict=True):
            dx, grad = self.layer.backward(params["layer"], own, d, need_dx=need_dx)
            dxs.append(dx)
            grads = grad if grads is None else tree.map(add, grads, grad)
        return (tuple(dxs) if need_dx else None), {"layer": grads}

    def check_input(self, where: str, x: Arrays) -> None:
        for one in x:
            self.layer.check_input(where, one)

    def in_steps(self, per_epoch: float) -> Self:
        """Return the layer; raise ValueError if a schedule inside is in epochs."""
        if fields_in_steps(self, per_epoch) is not self:
            raise ValueError(
                "Shared: expected schedules in steps, as each use of the layer is one, got one in epochs; write steps=..., the "
                "number of batches times that of the inputs"
            )
        return self

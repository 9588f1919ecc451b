"""Residual connections. Derivation: docs/derivations/containers.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.layers.activations import Identity
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape
from anynet.layers.containers import Container, as_layer, child_key, with_layer_path


@dataclass(frozen=True)
class Residual(Container):
    """Add the output of layers to their input.

    .. math:: y = f(x) + s(x), \\qquad
              \\frac{∂L}{∂x} = \\Big(\\frac{∂f}{∂x}\\Big)^T \\frac{∂L}{∂y} + \\Big(\\frac{∂s}{∂x}\\Big)^T \\frac{∂L}{∂y}

    Parameters
    ----------
    body : Layer or sequence of Layer
        The layers f.
    shortcut : Layer or sequence of Layer
        s, by default the identity; a projection such as ``Dense(units)`` or ``Conv2D(filters, 1, stride=2)`` if f changes
        the shape.

    Notes
    -----
    `params` and `grads` are dicts with "body" and "shortcut". Cache: a dict with both caches.

    Raises
    ------
    ValueError
        If the outputs of f and s differ in shape.

    Examples
    --------
    >>> from anynet import Dense
    >>> Residual([Dense(3, weight=np.eye(3))]).forward({"body": [{"weight": np.eye(3), "bias": np.ones(3)}],
    ...     "shortcut": {}}, np.ones((1, 3)))[0]
    array([[3., 3., 3.]])

    References
    ----------
    He, Zhang, Ren, Sun (2016), "Deep residual learning for image recognition", eqs. 1 and 2.
    """

    body: Any
    shortcut: Any = Identity()

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", as_layer(self.body))
        object.__setattr__(self, "shortcut", as_layer(self.shortcut))

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter((("body", self.body), ("shortcut", self.shortcut)))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shapes = {}, []
        for name, layer in self.children():
            try:
                params[name], shape = layer.init(rng, input_shape)
            except ValueError as error:
                raise with_layer_path(name, error) from None
            shapes.append(shape)
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Residual: expected body and shortcut with the same output shape for input {input_shape}, got {shapes[0]} and "
                f"{shapes[1]}; make the shortcut a projection, such as Dense or Conv2D with kernel_size=1"
            )
        return params, shapes[0]

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        try:
            y, body = self.body.forward(params["body"], x, key=child_key(self.body, key, 0))
        except ValueError as error:
            raise with_layer_path("body", error) from error
        around, shortcut = self.shortcut.forward(params["shortcut"], x, key=child_key(self.shortcut, key, 1))
        return y + around, {"body": body, "shortcut": shortcut}

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        dx, body = self.body.backward(params["body"], cache["body"], dy, need_dx=need_dx)
        around, shortcut = self.shortcut.backward(params["shortcut"], cache["shortcut"], dy, need_dx=need_dx)
        return (None if dx is None or around is None else dx + around), {"body": body, "shortcut": shortcut}

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return {name: layer.update_buffers(params[name], cache[name]) for name, layer in self.children()}

    def trainable(self, params: Params) -> Params:
        return {name: layer.trainable(params[name]) for name, layer in self.children()}

    def check_input(self, where: str, x: Arrays) -> None:
        self.body.check_input(where, x)

    @property
    def integer_input(self) -> Any:
        return self.body.integer_input

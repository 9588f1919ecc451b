"""A fixed scale and offset, for inputs such as the bytes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from anynet.arrays.namespace import Array
from anynet.checks import check_number
from anynet.layers.base import Cache, Grads, Key, Layer, Params


@dataclass(frozen=True)
class Rescale(Layer):
    """Multiply by a constant and add another.

    .. math:: y = s x + o, \\qquad \\frac{∂L}{∂x} = s \\frac{∂L}{∂y}

    As the first layer it saves memory: `Model.fit` keeps images as bytes (uint8), casts one batch at a time, and this layer
    then scales it to a magnitude of about 1. The scale is saved with the model and also applied by `Model.predict`.

    Parameters
    ----------
    scale : float
        Factor s.
    offset : float
        Summand o.

    Notes
    -----
    Any shape. Cache: None.

    Examples
    --------
    >>> import numpy as np
    >>> Rescale(1 / 255).forward({}, np.array([[0.0, 255.0]]))[0]
    array([[0., 1.]])
    """

    uses_key: ClassVar[bool] = False

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        check_number("Rescale", "scale", self.scale)
        check_number("Rescale", "offset", self.offset)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        y = x * self.scale
        return (y + self.offset if self.offset else y), None

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (dy * self.scale if need_dx else None), {}

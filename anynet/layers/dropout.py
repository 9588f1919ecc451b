"""Dropout: multiplicative noise. Derivation: docs/derivations/dropout.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from anynet import random
from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.checks import check_hyperparameter
from anynet.initializers import Zeros
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, init_param

UNIT = 2.0**-10
"""The count of passes goes up in this step: as whole numbers, it would leave the range of float16 after 65504 passes."""


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero each input with a given probability during training, and rescale the others.

    .. math:: y = x ⊙ \\frac{m}{1 - p}, \\quad m \\sim \\text{Bernoulli}(1 - p), \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\frac{m}{1 - p}

    Parameters
    ----------
    rate : float or Schedule, in [0, 1)
        Probability p of dropping an input, rounded to a multiple of 2⁻¹⁶, at most 1 − 2⁻¹⁶. The steps of a schedule
        are training passes of this layer, one per batch, or one per use within `Repeat` or `Shared`.

    Notes
    -----
    Any shape. Without a key, y = x. Cache: m / (1 − p), or None. The factor 1 / (1 − p) keeps the mean ("inverted" dropout, as
    in PyTorch and Keras); the paper scales at test time instead. With a schedule, the buffer `passes` counts the training passes
    with examples, in units of 2⁻¹⁰; it is saved with the model, and equal on all processes.

    Examples
    --------
    >>> from anynet.random import make_key
    >>> y, _ = Dropout(0.5).forward({}, np.ones((1, 8)), key=make_key(0))
    >>> sorted(set(y[0].tolist()))
    [0.0, 2.0]

    Dropout that ends before training does:

    >>> from anynet import FlatCosine
    >>> layer = Dropout(FlatCosine(0.15, epochs=20))

    References
    ----------
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", section 4.
    """

    buffers: ClassVar[tuple[str, ...]] = ("passes",)

    rate: float | Callable[[Array], Array]

    def __post_init__(self) -> None:
        check_hyperparameter("Dropout", "rate", self.rate, "[0, 1)")
        if not callable(self.rate) and random.rounded_probability(1.0 - self.rate) == 0.0:
            raise ValueError(
                f"Dropout: expected rate <= 1 - 2**-16, got {self.rate!r}; a larger rate drops every input"
            )

    @property
    def has_buffers(self) -> bool:
        return callable(self.rate)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params = {"passes": init_param("Dropout: passes", Zeros(), rng, ())} if callable(self.rate) else {}
        return params, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        if key is None or 0 in x.shape:
            return x, None
        keep: Any
        if callable(self.rate):
            keep = _kept_fraction(self.rate(_passes(params)))
            scale = narrowed(1.0 / keep, x.dtype)
        else:
            keep = random.rounded_probability(1.0 - self.rate)
            scale = 1.0 / keep
        return _masked(x, random.bernoulli(key, keep, x.shape), scale)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        return (dy if cache is None else dy * cache), {}

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        if cache is None or not callable(self.rate):
            return params
        return {"passes": (_passes(params) + 1.0) * UNIT}


def _passes(params: Params) -> Array:
    """Return the number of earlier passes; a mean over processes may differ from it by rounding."""
    passes = widened(params["passes"])
    return namespace(passes).round(passes / UNIT)


def _kept_fraction(rate: Array) -> Array:
    """Return 1 − p as a multiple of 2⁻¹⁶, from 2⁻¹⁶ to 1."""
    xp = namespace(rate)
    return xp.minimum(xp.maximum(xp.round((1.0 - rate) * 2.0**16), 1.0), 2.0**16) * 2.0**-16


@fused
def _masked(x: Array, kept: Array, scale: Any) -> tuple[Array, Array]:
    mask = namespace(x).astype(kept, x.dtype) * scale
    return x * mask, mask

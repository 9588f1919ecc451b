"""Dropout: multiplicative noise."""

from __future__ import annotations

from dataclasses import dataclass

from anynet import random
from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_number
from anynet.layers.base import Cache, Grads, Key, Layer, Params


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero each input with a given probability during training, and rescale the others.

    .. math:: y = x ⊙ \\frac{m}{1 - p}, \\quad m \\sim \\text{Bernoulli}(1 - p), \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ \\frac{m}{1 - p}

    Parameters
    ----------
    rate : float, in [0, 1)
        Probability p of dropping an input, rounded to a multiple of 2⁻¹⁶.

    Notes
    -----
    Any shape. Without a key, y = x. Cache: m / (1 − p), or None. The factor 1 / (1 − p) keeps the mean ("inverted" dropout, as
    in PyTorch and Keras); the paper scales at test time instead.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet.random import make_key
    >>> y, _ = Dropout(0.5).forward({}, np.ones((1, 8)), key=make_key(0))
    >>> sorted(set(y[0].tolist()))
    [0.0, 2.0]

    References
    ----------
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", section 4.
    """

    rate: float

    def __post_init__(self) -> None:
        check_number("Dropout", "rate", self.rate, "[0, 1)")
        if random.rounded_probability(1.0 - self.rate) == 0.0:
            raise ValueError(
                f"Dropout: expected rate <= 1 - 2**-16, got {self.rate!r}; a larger rate drops every input"
            )

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        if key is None:
            return x, None
        keep = random.rounded_probability(1.0 - self.rate)
        return _masked(x, random.bernoulli(key, keep, x.shape), 1.0 / keep)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        return (dy if cache is None else dy * cache), {}


@fused
def _masked(x: Array, kept: Array, scale: float) -> tuple[Array, Array]:
    mask = namespace(x).astype(kept, x.dtype) * scale
    return x * mask, mask

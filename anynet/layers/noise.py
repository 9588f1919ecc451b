"""Noise during training other than `Dropout`: Gaussian noise, and dropout for SELU.

Derivations: docs/derivations/dropout.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from anynet import random
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_number
from anynet.layers.base import Cache, Grads, Key, Layer, Params
from anynet.layers.rectifiers import SELU_ALPHA, SELU_SCALE


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """Add normal noise to each input during training.

    .. math:: y = x + σ z, \\quad z \\sim \\mathcal N(0, 1), \\qquad \\frac{∂L}{∂x} = \\frac{∂L}{∂y}

    Parameters
    ----------
    sigma : float, in [0, inf)
        Standard deviation σ of the noise.

    Notes
    -----
    Any shape. Without a key, y = x. Cache: None. With the same seed, z differs by up to 5e-7 between backends, because their
    logarithms and sines round differently.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet.random import make_key
    >>> GaussianNoise(0.1).forward({}, np.zeros((1, 2)), key=make_key(0))[0].round(3)
    array([[0.014, 0.022]])

    References
    ----------
    Bishop (1995), "Training with noise is equivalent to Tikhonov regularization", eq. 3.
    """

    sigma: float

    def __post_init__(self) -> None:
        check_number("GaussianNoise", "sigma", self.sigma, "[0, inf)")

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        return (x if key is None else x + self.sigma * random.normal(key, x.shape, x.dtype)), None

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        return (dy if need_dx else None), {}


@dataclass(frozen=True)
class AlphaDropout(Layer):
    """Drop inputs to the lower limit of `SELU`, keeping mean 0 and variance 1.

    .. math:: y = a \\big(x ⊙ m + α' (1 - m)\\big) + b, \\quad m \\sim \\text{Bernoulli}(q), \\qquad
              \\frac{∂L}{∂x} = \\frac{∂L}{∂y} ⊙ a\\, m

    with α′ = −λα ≈ −1.7581, q = 1 − rate, a = 1/√(q + α′² q (1 − q)) and b = −a (1 − q) α′.

    Parameters
    ----------
    rate : float, in [0, 1)
        Probability of dropping an input, rounded to a multiple of 2⁻¹⁶.

    Notes
    -----
    Any shape. Without a key, y = x. Cache: a m, or None.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet.random import make_key
    >>> y, _ = AlphaDropout(0.5).forward({}, np.zeros((1, 8)), key=make_key(0))
    >>> sorted(set(y[0].round(4).tolist()))
    [-0.7792, 0.7792]

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter (2017), "Self-normalizing neural networks", section 3, "New dropout technique".
    """

    rate: float

    def __post_init__(self) -> None:
        check_number("AlphaDropout", "rate", self.rate, "[0, 1)")
        if random.rounded_probability(1.0 - self.rate) == 0.0:
            raise ValueError(
                f"AlphaDropout: expected rate <= 1 - 2**-16, got {self.rate!r}; a larger rate drops every input"
            )

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        if key is None:
            return x, None
        keep = random.rounded_probability(1.0 - self.rate)
        low = -SELU_SCALE * SELU_ALPHA
        a = (keep + low * low * keep * (1.0 - keep)) ** -0.5
        mask = namespace(x).astype(random.bernoulli(key, keep, x.shape), x.dtype)
        return a * (x * mask + low * (1.0 - mask)) - a * (1.0 - keep) * low, a * mask

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        if not need_dx:
            return None, {}
        return (dy if cache is None else dy * cache), {}

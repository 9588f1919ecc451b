"""The transformer block, a composition of other layers."""

from __future__ import annotations

from typing import Any

from anynet.initializers import GlorotUniform
from anynet.layers.attention import SelfAttention
from anynet.layers.base import Layer
from anynet.layers.containers import Sequential
from anynet.layers.dense import Dense
from anynet.layers.dropout import Dropout
from anynet.layers.normalization import LayerNorm
from anynet.layers.residual import Residual
from anynet.layers.smooth import GELU


def transformer_block(
    features: int,
    heads: int,
    *,
    hidden: int | None = None,
    dropout: float = 0.0,
    causal: bool = True,
    rotary: bool = False,
    recompute: bool = False,
    activation: Layer | None = None,
    use_bias: bool = True,
    weight: Any = None,
    residual_weight: Any = None,
) -> Sequential:
    """Return a transformer block, self-attention followed by a network for each position.

    .. math::

        a = x + f(\\text{attention}(\\text{norm}(x))), \\qquad y = a + g(\\text{norm}(a))

    Parameters
    ----------
    features : int, at least 1
        Number C of channels of input and output.
    heads : int, at least 1
        Number of heads, which divides C.
    hidden : int, optional
        Units of the network g; by default 4C.
    dropout : float, in [0, 1)
        Probability of dropping an attention weight, and an output of f and of g.
    causal, rotary, recompute : bool
        As for `SelfAttention`.
    activation : Layer, optional
        The activation of g; by default `GELU`.
    use_bias : bool
        Whether the `Dense` layers have a bias.
    weight : Initializer, optional
        Initial weights of the `Dense` layers; by default `GlorotUniform`.
    residual_weight : Initializer, optional
        Initial weights of the last `Dense` layers of f and g, whose outputs are added to the input; by default `weight`. GPT-2
        uses ``Normal(0.02)``, and ``Normal(0.02 / (2 * blocks) ** 0.5)`` here.

    Returns
    -------
    Sequential
        Two `Residual` containers, for input and output (N, T, C).

    Examples
    --------
    >>> import numpy as np
    >>> block = transformer_block(8, 2)
    >>> block.init(np.random.default_rng(0), (5, 8))[1]
    (5, 8)

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.1; Xiong et al. (2020), "On layer normalization in the
    transformer architecture" (normalization before); Radford et al. (2019), "Language models are unsupervised multitask
    learners", section 2.3.
    """
    weight = GlorotUniform() if weight is None else weight
    last = weight if residual_weight is None else residual_weight

    def dense(units: int, weight: Any) -> Dense:
        return Dense(units, use_bias=use_bias, weight=weight)

    drop = [Dropout(dropout)] if dropout else []
    attention = SelfAttention(heads, causal=causal, rotary=rotary, dropout=dropout, recompute=recompute)
    wide = 4 * features if hidden is None else hidden
    return Sequential(
        [
            Residual([LayerNorm(), dense(3 * features, weight), attention, dense(features, last), *drop]),
            Residual([LayerNorm(), dense(wide, weight), activation or GELU(), dense(features, last), *drop]),
        ]
    )

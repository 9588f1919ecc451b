"""The gated recurrent unit. Derivation: docs/derivations/recurrent.md.

Legend: N batch, T positions, I inputs, H units.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.arrays.scan import Step
from anynet.initializers import Zeros, as_initializer
from anynet.layers.base import Params, Shape, init_param
from anynet.layers.recurrent import Recurrent, gates, hold, parts, plus, split_gradient


def gru_step(carry: tuple[Array], x: tuple[Any, ...], u: Array, bias: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return the next (h,), the next h, and the values that the backward step needs."""
    (h,), (z, present) = carry, x
    xp = namespace(u)
    past = xp.matmul(h, u)
    y, hn = gates(z[:2, ...], past[:2, ...]), past[2, ...] + bias
    r, keep = parts(y)
    n, out = gru_state(z[2, ...], r, keep, h, hn)
    h_next = hold(present, out, h)
    return (h_next,), (h_next, h, y, n, hn)


def gru_backward_step(carry: tuple[Array], x: tuple[Any, ...], u: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return ∂L/∂h of the state before, ∂L/∂z, and ∂L/∂(h U)."""
    (dh,), (dy, present, h, y, n, hn) = carry, x
    xp, (r, keep) = namespace(u), parts(y)
    dh, past = split_gradient(present, plus(dh, dy))
    dr, du, dn, dhn, dh = gru_gradients(dh, r, keep, n, h, hn)
    dz, d_recurrent = xp.stack([dr, du, dn], axis=0), xp.stack([dr, du, dhn], axis=0)
    return (plus(total(xp.matmul(d_recurrent, u), axis=0) + dh, past),), (dz, d_recurrent)


@fused
def gru_state(z: Array, r: Array, keep: Array, h: Array, hn: Array) -> tuple[Array, Array]:
    """Return n, and the next h."""
    n = namespace(z).tanh(z + r * hn)
    return n, n + keep * (h - n)


@fused
def gru_gradients(
    dh: Array, r: Array, keep: Array, n: Array, h: Array, hn: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Return ∂L/∂z of the three parts, ∂L/∂(h U) of the last, and ∂L/∂h of the state before except through h U."""
    dh_keep = dh * keep
    dn = (dh - dh_keep) * (1.0 - n * n)
    dhn = dn * r
    return dhn * hn * (1.0 - r), dh_keep * (h - n) * (1.0 - keep), dn, dhn, dh_keep


@dataclass(frozen=True)
class GRU(Recurrent):
    """Process a sequence with a state that two gates reset and keep.

    .. math::

        (r, u) &= σ(x_t W_{ru} + h_{t-1} U_{ru} + b_{ru}) \\\\
        n &= \\tanh(x_t W_n + b_n + r ⊙ (h_{t-1} U_n + d)) \\\\
        h_t &= (1 - u) ⊙ n + u ⊙ h_{t-1}

    with, from the last step to the first,

    .. math::

        \\frac{∂L}{∂n} = \\frac{∂L}{∂h_t} ⊙ (1 - u), \\qquad
        \\frac{∂L}{∂u} = \\frac{∂L}{∂h_t} ⊙ (h_{t-1} - n), \\qquad
        \\frac{∂L}{∂r} = \\frac{∂L}{∂n} ⊙ (1 - n^2) ⊙ (h_{t-1} U_n + d)

    Parameters
    ----------
    units, sequences, reverse
        As for `LSTM`.
    weight : Initializer or array
        W, of shape (I, 3H), with the gates in the order r, u, n of PyTorch, whose matrix is the transpose.
    recurrent_weight : Initializer or array
        U, of shape (H, 3H).
    bias : Initializer or array
        b, of shape (3H,); for r and u the sum of PyTorch's two.
    recurrent_bias : Initializer or array
        d, of shape (H,), the part for n of PyTorch's second bias.

    Notes
    -----
    Input (N, T, I), output (N, T, H) or (N, H). Inside a `Lengths`, the state is kept from the end of an example on. Cache: x,
    the states and the gates of all steps. h begins at 0. The reset gate is applied after the product, as in PyTorch and cuDNN;
    the paper applies it before.

    Raises
    ------
    ValueError
        If an example is not a sequence (positions, features), or a given array has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> params, shape = GRU(3).init(np.random.default_rng(0), (5, 2))
    >>> shape, params["weight"].shape, GRU(3, sequences=False).forward(params, np.ones((4, 5, 2)))[0].shape
    ((5, 3), (2, 9), (4, 3))

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation", section
    2.3; Chung, Gulcehre, Cho, Bengio (2014), "Empirical evaluation of gated recurrent neural networks on sequence modeling".
    """

    _: KW_ONLY
    recurrent_bias: Any = Zeros()

    gates: ClassVar[int] = 3
    states: ClassVar[int] = 1
    step: ClassVar[Step] = staticmethod(gru_step)
    backward_step: ClassVar[Step] = staticmethod(gru_backward_step)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "recurrent_bias", as_initializer(self.recurrent_bias, "GRU: recurrent_bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params, shape = super().init(rng, input_shape)
        where = f"GRU({self.units}): recurrent_bias"
        return params | {"recurrent_bias": init_param(where, self.recurrent_bias, rng, (self.units,))}, shape

    def _constants(self, params: Params) -> tuple[Array, ...]:
        return *super()._constants(params), params["recurrent_bias"]

    def _more_grads(self, more: list[Array]) -> dict[str, Array]:
        return {"recurrent_bias": total(more[0][:, 2 * self.units :], axis=0)}

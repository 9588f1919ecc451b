"""The gated recurrent unit. Derivation: docs/derivations/recurrent.md.

Legend: N batch, T positions, I inputs, H units.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.arrays.scan import Step
from anynet.initializers import Zeros, as_initializer
from anynet.layers.base import Params, Shape, as_rows, init_param
from anynet.layers.recurrent import Recurrent, gate, gate_slope, hold, parts, split_gradient, tanh_slope


def gru_step(carry: tuple[Array], x: tuple[Any, ...], u: Array, bias: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return the next (h,), and the values that the backward step needs."""
    (h,), (z, present) = carry, x
    xp = namespace(u)
    past, split = xp.matmul(h, u), 2 * h.shape[1]
    y, hn = gate(z[:, :split] + past[:, :split]), past[:, split:] + bias
    r, keep = parts(y, 2)
    n = xp.tanh(z[:, split:] + r * hn)
    h = hold(present, n + keep * (h - n), h)
    return (h,), (h, y, n, hn)


def gru_backward_step(carry: tuple[Array], x: tuple[Any, ...], u: Array, bias: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return ∂L/∂h of the state before, ∂L/∂z, and ∂L/∂(h U)."""
    (dh,), (dy, present, h, y, n, hn) = carry, x
    xp, (r, keep) = namespace(u), parts(y, 2)
    dh, past = split_gradient(present, dh if dy is None else dh + dy)
    dn = tanh_slope(n, dh * (1.0 - keep))
    d = gate_slope(y, xp.concat([dn * hn, dh * (h - n)], axis=1))
    dz, d_recurrent = xp.concat([d, dn], axis=1), xp.concat([d, dn * r], axis=1)
    return (xp.matmul(d_recurrent, u.T) + dh * keep + past,), (dz, d_recurrent)


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
        return params["recurrent_weight"], params["recurrent_bias"]

    def _more_grads(self, more: list[Array]) -> dict[str, Array]:
        return {"recurrent_bias": total(as_rows(more[0])[:, 2 * self.units :], axis=0)}

"""Long short-term memory. Derivation: docs/derivations/recurrent.md.

Legend: N batch, T positions, I inputs, H units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.scan import Step
from anynet.initializers import ForgetBias
from anynet.layers.base import Params
from anynet.layers.recurrent import Recurrent, gates, gates_slope, hold, parts, split_gradient, tanh_slope


def lstm_step(carry: tuple[Array, Array], x: tuple[Any, ...], u: Array, tanh: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return the next (h, c), and the values that the backward step needs."""
    (h, c), (z, present) = carry, x
    xp = namespace(u)
    y = gates(z, xp.matmul(h, u), tanh)
    i, f, g, o = parts(y, 4)
    new = f * c + i * g
    tanh_c = xp.tanh(new)
    h, c = hold(present, o * tanh_c, h), hold(present, new, c)
    return (h, c), (h, c, y, tanh_c)


def lstm_backward_step(
    carry: tuple[Array, Array], x: tuple[Any, ...], u: Array, tanh: Array
) -> tuple[Any, tuple[Array, ...]]:
    """Return ∂L/∂(h, c) of the state before, and ∂L/∂z."""
    (dh, dc), (dy, present, _, c, y, tanh_c) = carry, x
    i, f, g, o = parts(y, 4)
    dh, dh_past = split_gradient(present, dh if dy is None else dh + dy)
    dc, dc_past = split_gradient(present, dc)
    dc = dc + tanh_slope(tanh_c, dh * o)
    xp = namespace(u)
    dz = gates_slope(y, tanh, xp.concat([dc * g, dc * c, dc * i, dh * tanh_c], axis=1))
    return (xp.matmul(dz, u.T) + dh_past, dc * f + dc_past), (dz,)


@dataclass(frozen=True)
class LSTM(Recurrent):
    """Process a sequence with a memory that gates write, keep and read.

    .. math::

        (i, f, g, o) &= (σ, σ, \\tanh, σ)(x_t W + h_{t-1} U + b) \\\\
        c_t &= f ⊙ c_{t-1} + i ⊙ g, \\qquad h_t = o ⊙ \\tanh c_t

    with, from the last step to the first,

    .. math::

        \\frac{∂L}{∂c_t} = \\frac{∂L}{∂h_t} ⊙ o ⊙ (1 - \\tanh^2 c_t) + f_{t+1} ⊙ \\frac{∂L}{∂c_{t+1}}, \\qquad
        \\frac{∂L}{∂h_t} = \\frac{∂L}{∂y_t} + \\frac{∂L}{∂z_{t+1}} U^T

    where z is the argument of the gates.

    Parameters
    ----------
    units : int, at least 1
        Number H of units.
    sequences : bool
        Whether to return h at all positions, or only the last.
    reverse : bool
        Whether to go from the last position to the first. ``Parallel([LSTM(n), LSTM(n, reverse=True)])`` is bidirectional.
    weight : Initializer or array
        W, of shape (I, 4H), with the gates in the order i, f, g, o of PyTorch, whose matrix is the transpose.
    recurrent_weight : Initializer or array
        U, of shape (H, 4H).
    bias : Initializer or array
        b, of shape (4H,), the sum of PyTorch's two. By default 1 for f and 0 for the others.

    Notes
    -----
    Input (N, T, I), output (N, T, H) or (N, H). Inside a `Lengths`, the state is kept from the end of an example on. Cache: x,
    the states and the gates of all steps. h and c begin at 0.

    Raises
    ------
    ValueError
        If an example is not a sequence (positions, features), or a given array has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> params, shape = LSTM(3).init(np.random.default_rng(0), (5, 2))
    >>> shape, params["weight"].shape, LSTM(3, sequences=False).forward(params, np.ones((4, 5, 2)))[0].shape
    ((5, 3), (2, 12), (4, 3))

    References
    ----------
    Hochreiter, Schmidhuber (1997), "Long short-term memory"; Gers, Schmidhuber, Cummins (2000), "Learning to forget", eqs. 3 to
    9; Jozefowicz, Zaremba, Sutskever (2015), "An empirical exploration of recurrent network architectures", section 2.1 (the
    bias of f).
    """

    bias: Any = ForgetBias()

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2
    step: ClassVar[Step] = staticmethod(lstm_step)
    backward_step: ClassVar[Step] = staticmethod(lstm_backward_step)

    def _constants(self, params: Params) -> tuple[Array, ...]:
        zero = namespace(params["bias"]).zeros_like(params["bias"][: self.units])
        return params["recurrent_weight"], namespace(zero).concat([zero, zero, zero + 1.0, zero])

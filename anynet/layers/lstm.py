"""Long short-term memory. Derivation: docs/derivations/recurrent.md.

Legend: N batch, T positions, I inputs, H units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.arrays.scan import Step
from anynet.initializers import ForgetBias
from anynet.layers.base import Arrays, Cache, Grads, Key, Params
from anynet.layers.recurrent import Recurrent, gates, hold, parts, plus, split_gradient


def lstm_step(carry: tuple[Array, Array], x: tuple[Any, ...], u: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return the next (h, c), the next h, and the values that the backward step needs."""
    (h, c), (z, present) = carry, x
    xp = namespace(u)
    past = xp.matmul(h, u)
    y, g = gates(z[:3, ...], past[:3, ...]), xp.tanh(z[3, ...] + past[3, ...])
    i, f, o = parts(y)
    new, tanh_c, out = lstm_state(i, f, o, g, c)
    h_next, c_next = hold(present, out, h), hold(present, new, c)
    return (h_next, c_next), (h_next, h, c, y, g, tanh_c)


def lstm_backward_step(carry: tuple[Array, Array], x: tuple[Any, ...], u: Array) -> tuple[Any, tuple[Array, ...]]:
    """Return ∂L/∂(h, c) of the state before, and ∂L/∂z."""
    (dh, dc), (dy, present, _, c, y, g, tanh_c) = carry, x
    dh, dh_past = split_gradient(present, plus(dh, dy))
    dc, dc_past = split_gradient(present, dc)
    i, f, o = parts(y)
    *d, dc = lstm_gradients(dh, dc, i, f, o, g, c, tanh_c)
    xp = namespace(u)
    dz = xp.stack(d, axis=0)
    return (plus(total(xp.matmul(dz, u), axis=0), dh_past), plus(dc, dc_past)), (dz,)


@fused
def lstm_state(i: Array, f: Array, o: Array, g: Array, c: Array) -> tuple[Array, Array, Array]:
    """Return the next c, its tanh, and the next h."""
    new = f * c + i * g
    tanh_c = namespace(i).tanh(new)
    return new, tanh_c, o * tanh_c


@fused
def lstm_gradients(
    dh: Array, dc: Array, i: Array, f: Array, o: Array, g: Array, c: Array, tanh_c: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Return ∂L/∂z of i, f, o and g, and ∂L/∂c of the state before."""
    dh_o = dh * o
    dc = dc + dh_o * (1.0 - tanh_c * tanh_c)
    dc_i, dc_f = dc * i, dc * f
    return dc_i * g * (1.0 - i), dc_f * c * (1.0 - f), dh_o * tanh_c * (1.0 - o), dc_i * (1.0 - g * g), dc_f


def _swapped(values: Params) -> Params:
    """Swap the columns of the last two gates, so that those with σ are next to each other, or back."""

    def swap(a: Array) -> Array:
        units = a.shape[-1] // 4
        return namespace(a).concat([a[..., : 2 * units], a[..., 3 * units :], a[..., 2 * units : 3 * units]], axis=-1)

    return {name: swap(a) for name, a in values.items()}


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

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Array, Cache]:
        return super().forward(_swapped(params), x, key=key)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        dx, grads = super().backward(_swapped(params), cache, dy, need_dx=need_dx)
        return dx, _swapped(grads)

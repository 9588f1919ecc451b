"""The common parts of recurrent layers. Derivation: docs/derivations/recurrent.md.

The products with the input are computed for all steps at once, and so are the gradients of the weights; only the recurrent
product is computed step by step.

Legend: N batch, T positions, I inputs, H units, G gates.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import device

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.arrays.scan import Step, scan
from anynet.checks import check_flags, check_int
from anynet.initializers import GlorotUniform, Orthogonal, Zeros, as_initializer
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape, as_rows, axis_sizes, init_param


@dataclass(frozen=True)
class Recurrent(Layer):
    """Base class of layers that carry a state from each position to the next.

    A subclass names its gates' parameters and defines two steps, forward and backward, for `anynet.arrays.scan.scan`.
    """

    units: int
    _: KW_ONLY
    sequences: bool = True
    reverse: bool = False
    weight: Any = GlorotUniform()
    recurrent_weight: Any = Orthogonal()
    bias: Any = Zeros()

    uses_key: ClassVar[bool] = False
    takes_lengths: ClassVar[bool] = True
    gates: ClassVar[int]
    states: ClassVar[int]
    step: ClassVar[Step]
    backward_step: ClassVar[Step]

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_int(where, "units", self.units, at_least=1)
        check_flags(where, sequences=self.sequences, reverse=self.reverse)
        for name in ("weight", "recurrent_weight", "bias"):
            object.__setattr__(self, name, as_initializer(getattr(self, name), f"{where}: {name}"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where, units = f"{type(self).__name__}({self.units})", self.units
        alone = "; put Reshape((*shape, 1)) before it, or give a recurrent layer before it sequences=True"
        hint = alone if len(input_shape) == 1 else ""
        positions, features = axis_sizes(where, input_shape, "positions", "features", hint=hint)
        params = {
            name: init_param(f"{where}: {name}", getattr(self, name), rng, (*rows, self.gates * units))
            for name, rows in (("weight", (features,)), ("recurrent_weight", (units,)), ("bias", ()))
        }
        return params, (positions, units) if self.sequences else (units,)

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Array, Cache]:
        x, lengths = x if isinstance(x, tuple) else (x, None)
        xp = namespace(x)
        x = xp.permute_dims(x, (1, 0, 2))  # (T, N, I)
        positions, count, _ = x.shape
        z = xp.matmul(as_rows(x), params["weight"])  # (T·N, G·H)
        z += params["bias"]
        z = xp.reshape(z, (positions, count, self.gates * self.units))
        present = None
        if lengths is not None:
            present = (xp.arange(positions, device=device(x))[:, None] < lengths)[:, :, None]  # (T, N, 1)
        start = (xp.zeros((count, self.units), dtype=x.dtype, device=device(x)),) * self.states
        last, steps = scan(type(self).step, start, (z, present), self._constants(params), reverse=self.reverse)
        y = xp.permute_dims(steps[0], (1, 0, 2)) if self.sequences else last[0]
        return y, (x, present, steps)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        xp = namespace(dy)
        x, present, steps = cache
        positions, count, _ = x.shape
        before = tuple(earlier(states, self.reverse) for states in steps[: self.states])
        end = (xp.zeros((count, self.units), dtype=dy.dtype, device=device(dy)),) * self.states
        if self.sequences:
            dys = xp.permute_dims(dy, (1, 0, 2))
        else:
            dys, end = None, (dy, *end[1:])
        xs = (dys, present, *before, *steps[self.states :])
        _, (dz, *more) = scan(type(self).backward_step, end, xs, self._constants(params), reverse=not self.reverse)
        rows = as_rows(dz)  # (T·N, G·H)
        grads = {
            "weight": xp.matmul(as_rows(x).T, rows),
            "recurrent_weight": xp.matmul(as_rows(before[0]).T, as_rows(more[0] if more else dz)),
            "bias": total(rows, axis=0),
        } | self._more_grads(more)
        if not need_dx:
            return None, grads
        dx = xp.reshape(xp.matmul(rows, params["weight"].T), (positions, count, x.shape[2]))
        return xp.permute_dims(dx, (1, 0, 2)), grads

    def _constants(self, params: Params) -> tuple[Array, ...]:
        """Return the parameters that each step uses."""
        return (params["recurrent_weight"],)

    def _more_grads(self, more: list[Array]) -> dict[str, Array]:
        """Return the gradients of further parameters."""
        return {}


def earlier(states: Array, reverse: bool) -> Array:
    """Return the state before each step, zero before the first."""
    xp = namespace(states)
    zero = xp.zeros_like(states[:1, ...])
    return xp.concat([states[1:, ...], zero] if reverse else [zero, states[:-1, ...]], axis=0)


def hold(present: Array | None, new: Array, old: Array) -> Array:
    """Return the new state, or the old one for examples whose sequence has ended."""
    return new if present is None else namespace(new).where(present, new, old)


def split_gradient(present: Array | None, d: Array) -> tuple[Array, Any]:
    """Return the parts of a state's gradient for the step, and for the state before."""
    if present is None:
        return d, 0.0
    xp = namespace(d)
    zero = xp.zeros_like(d)
    return xp.where(present, d, zero), xp.where(present, zero, d)


def parts(z: Array, count: int) -> list[Array]:
    """Return equal parts of the last axis of z (N, count·H)."""
    units = z.shape[1] // count
    return [z[:, k * units : (k + 1) * units] for k in range(count)]


@fused
def gate(x: Array) -> Array:
    """Return 1/(1 + e⁻ˣ); its absolute error is a rounding error, which suffices for a gate."""
    return 0.5 * namespace(x).tanh(0.5 * x) + 0.5


@fused
def gates(z: Array, past: Array, tanh: Array) -> Array:
    """Return σ(z + past) where `tanh` is 0, as `gate`, and tanh(z + past) where it is 1."""
    factor = 0.5 * tanh + 0.5
    return factor * namespace(z).tanh(factor * (z + past)) + (1.0 - factor)


@fused
def gates_slope(y: Array, tanh: Array, d: Array) -> Array:
    """Return d times the derivative of `gates` where their value is y: y(1 − y), or 1 − y²."""
    return d * ((1.0 - y) * (y + tanh))


@fused
def gate_slope(y: Array, d: Array) -> Array:
    """Return d times the derivative of the sigmoid where its value is y."""
    return d * y * (1.0 - y)


@fused
def tanh_slope(y: Array, d: Array) -> Array:
    """Return d times the derivative of tanh where its value is y."""
    return d * (1.0 - y * y)

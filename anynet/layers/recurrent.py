"""The common parts of recurrent layers. Derivation: docs/derivations/recurrent.md.

The products with the input are computed for all steps at once, and so are the gradients of the weights; only the recurrent
product is computed step by step. Within a step, each gate is an array of its own, with the gates as first axis: elementwise
operations on one gate read consecutive numbers, and its product has a matrix small enough for the cache.

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
from anynet.arrays.scan import Step, scan, stacked
from anynet.checks import check_flags, check_int
from anynet.initializers import GlorotUniform, Orthogonal, Zeros, as_initializer
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape, as_rows, axis_sizes, init_param


@dataclass(frozen=True)
class Recurrent(Layer):
    """Base class of layers that carry a state from each position to the next.

    A subclass defines two steps for `anynet.arrays.scan.scan`. That of the forward pass returns the next state h, h before the
    step, and what else the backward step needs; that of the backward pass returns ∂L/∂z, and ∂L/∂(h U) if it differs.
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
        z = by_gate(xp.reshape(z, (positions, count, self.gates * self.units)), self.gates)
        present = None
        if lengths is not None:
            present = (xp.arange(positions, device=device(x))[:, None] < lengths)[:, :, None]  # (T, N, 1)
        start = (xp.zeros_like(z[0, 0, ...]),) * self.states
        last, steps = scan(type(self).step, start, (z, present), self._constants(params), reverse=self.reverse)
        y = xp.permute_dims(stacked(steps[0]), (1, 0, 2)) if self.sequences else last[0]
        return y, (x, present, steps[1:])

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        xp = namespace(dy)
        x, present, steps = cache
        positions, count, _ = x.shape
        end = (xp.zeros((count, self.units), dtype=dy.dtype, device=device(dy)),) * self.states
        if self.sequences:
            dys = xp.permute_dims(dy, (1, 0, 2))
        else:
            dys, end = None, (dy, *end[1:])
        u = self._backward_constants(params)
        _, dzs = scan(type(self).backward_step, end, (dys, present, *steps), u, reverse=not self.reverse)
        rows, *more = [as_gate_rows(stacked(dz)) for dz in dzs]  # (T·N, G·H)
        grads = {
            "weight": xp.matmul(as_rows(x).T, rows),
            "recurrent_weight": xp.matmul(as_rows(stacked(steps[0])).T, more[0] if more else rows),
            "bias": total(rows, axis=0),
        } | self._more_grads(more)
        if not need_dx:
            return None, grads
        dx = xp.reshape(xp.matmul(rows, params["weight"].T), (positions, count, x.shape[2]))
        return xp.permute_dims(dx, (1, 0, 2)), grads

    def _constants(self, params: Params) -> tuple[Array, ...]:
        """Return what each step uses: U of each gate, and more."""
        return (by_gate(params["recurrent_weight"], self.gates),)

    def _backward_constants(self, params: Params) -> tuple[Array, ...]:
        """Return what each backward step uses: Uᵀ of each gate, and more."""
        u = by_gate(params["recurrent_weight"], self.gates)
        xp = namespace(u)
        # In row-major order, because BLAS multiplies small transposed matrices more slowly.
        return (xp.reshape(xp.reshape(xp.matrix_transpose(u), (-1,)), u.shape),)

    def _more_grads(self, more: list[Array]) -> dict[str, Array]:
        """Return the gradients of further parameters."""
        return {}


def hold(present: Array | None, new: Array, old: Array) -> Array:
    """Return the new state, or the old one for examples whose sequence has ended."""
    return new if present is None else namespace(new).where(present, new, old)


def split_gradient(present: Array | None, d: Array) -> tuple[Array, Array | None]:
    """Return a gradient within the step, and directly from the next state (None if zero)."""
    if present is None:
        return d, None
    xp = namespace(d)
    zero = xp.zeros_like(d)
    return xp.where(present, d, zero), xp.where(present, zero, d)


def plus(d: Array, more: Array | None) -> Array:
    """Return the sum of two gradients, the second of which may be None for zero."""
    return d if more is None else d + more


def parts(y: Array) -> list[Array]:
    """Return the parts of the first axis."""
    return [y[k, ...] for k in range(y.shape[0])]


def by_gate(x: Array, count: int) -> Array:
    """Return columns of gates (..., M, G·H) as a matrix per gate (..., G, M, H)."""
    xp = namespace(x)
    *lead, rows, columns = x.shape
    return xp.moveaxis(xp.reshape(x, (*lead, rows, count, columns // count)), -2, -3)


def as_gate_rows(x: Array) -> Array:
    """Return a matrix per gate (T, G, N, H) as rows (T·N, G·H)."""
    positions, count, rows, units = x.shape
    return namespace(x).reshape(namespace(x).moveaxis(x, 1, 2), (positions * rows, count * units))


@fused
def gates(z: Array, past: Array) -> Array:
    """Return σ(z + past); its absolute error is a rounding error, which suffices for a gate."""
    return 0.5 * namespace(z).tanh(0.5 * (z + past)) + 0.5

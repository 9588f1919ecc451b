"""The contract that every layer keeps.

A layer is a frozen dataclass of hyper-parameters. It owns no arrays: parameters come in, and what the backward pass has to
remember is returned as `cache`. So one layer may be shared, compiled, used twice or by two threads without a thought.

>>> import numpy as np
>>> from anynet import Dense
>>> layer = Dense(2)
>>> params, output_shape = layer.init(np.random.default_rng(0), (3,))
>>> y, cache = layer.forward(params, np.ones((5, 3)))
>>> dx, grads = layer.backward(params, cache, np.ones((5, 2)))
>>> output_shape, y.shape, dx.shape, grads["weight"].shape
((2,), (5, 2), (5, 3), (3, 2))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import device

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_finite
from anynet.initializers import Initializer

Shape = Any
"""A tuple of ints, without the batch axis; for several arrays a tuple of such."""
Params = Any
"""A dict of arrays; a list of such for a container."""
Cache = Any
"""Whatever backward needs: arrays, or tuples, lists and dicts of arrays. Never anything but arrays."""


@dataclass(frozen=True)
class Layer:
    """A pure function of parameters and input, with its derivative.

    To write a layer: a frozen dataclass with `forward` and `backward`, and `init` where it has parameters or changes the
    shape. The rest has defaults that suit nearly every layer.
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    """Names of entries of `params` that are not trained, such as a running mean."""

    uses_key: ClassVar[bool] = True
    """Whether `forward` draws random numbers. A container derives a key of its own only for layers that do; the others get
    the container's, as the sign of training that it is. Deriving one costs as much as a small layer."""

    integer_input: ClassVar[Any] = False
    """Whether the layer takes integers (indices) as they are; other inputs are cast to the model's dtype. Where a layer
    takes several arrays, a tuple may answer for each."""

    preserves_values: ClassVar[bool] = False
    """Whether the output holds the input's own numbers, at other places at most, and as many arrays as came. `Sequential` then
    asks the layer behind it about the input. Integers have no derivative: `backward` may get None for ∂L/∂y, and returns it."""

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        """Return initial parameters, as NumPy arrays, and the shape of the output.

        Shapes are without the batch axis. This is the place to refuse an impossible shape.
        """
        return {}, input_shape

    def forward(self, params: Params, x: Array, *, key: Array | None = None) -> tuple[Array, Cache]:
        """Return the output for a batch and what `backward` has to remember.

        `key` is the randomness of the pass, an int32 array of shape (2,). That it is given means training.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected forward(params, x, *, key) to be written, got none")

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Params]:
        """Return ∂L/∂x, or None where it is not needed, and ∂L/∂params with an entry for each trained parameter."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected backward(params, cache, dy) to be written, got none"
        )

    def check_input(self, where: str, x: Array) -> None:
        """Raise ValueError if an input has an impossible value; called once for the data, never in a step.

        `where` begins the message. The default is for inputs that are numbers, and wants finite ones.
        """
        check_finite(where, "x", x)

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        """Return `params` with its buffers moved by what a training pass saw; the identity for nearly every layer."""
        return params

    @property
    def has_buffers(self) -> bool:
        """Whether `update_buffers` does anything."""
        return type(self).update_buffers is not Layer.update_buffers

    def trainable(self, params: Params) -> Params:
        """Return the part of `params` that has gradients."""
        return {name: value for name, value in params.items() if name not in self.buffers} if self.buffers else params

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        """Yield the layers inside a container with their keys in `params`; nothing for a plain layer."""
        return iter(())


def empty_like(x: Array) -> Array:
    """Return an array without elements whose shape tells x's: a cache holds arrays only, and ints do not survive a jit.

    A slice of x would keep all of x in memory.
    """
    return namespace(x).zeros((0, *x.shape[1:]), dtype=x.dtype, device=device(x))


def init_param(where: str, initializer: Initializer, rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return a parameter's initial value; a ValueError of the initialiser gets `where` in front."""
    try:
        return initializer(rng, shape)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def last_axis(where: str, input_shape: Shape) -> int:
    """Return the size of the last axis, the features or channels of an input; raise if it has none."""
    if not input_shape:
        raise ValueError(f"{where}: expected input of shape (..., channels), got (); give the model an input_shape")
    return input_shape[-1]


def check_axis(where: str, x: Array, size: int) -> None:
    """Raise unless `x` is a matrix with `size` columns."""
    if len(x.shape) != 2 or x.shape[1] != size:
        hint = (
            ""
            if len(x.shape) == 2
            else "; put Flatten() before it"
            if len(x.shape) > 2
            else "; a batch is (N, features)"
        )
        raise ValueError(f"{where}: expected x of shape (N, {size}), got {tuple(x.shape)}{hint}")

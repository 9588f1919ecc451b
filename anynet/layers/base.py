"""The layer contract.

A layer is a frozen dataclass of hyper-parameters. It holds no arrays: parameters are arguments, and the values that the
backward pass needs are returned as `cache`. The same layer can therefore be shared, compiled and used by several threads.

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
from typing import Any, ClassVar, Self, TypeAlias, cast

import numpy as np

from anynet.arrays.convert import as_rows as as_rows, empty_like as empty_like
from anynet.arrays.namespace import Array, Arrays as Arrays, namespace
from anynet.arrays.placeholder import Placeholder, PlaceholderGenerator
from anynet.checks import ANY_SIZE, check_finite, is_multi
from anynet.durations import fields_in_steps
from anynet.initializers import Initializer
from anynet.names.constructors import Value
from anynet.tree import Tree

Shape: TypeAlias = tuple[int, ...] | tuple["Shape", ...]
"""The shape of an array without the batch axis, a tuple of ints; for several arrays, a tuple of shapes."""
Params: TypeAlias = Tree
"""The parameters of a layer: a dict of arrays; for a container, a list or dict of these."""
Grads: TypeAlias = Tree
"""∂L/∂params: the trainable part of `Params`."""
Cache: TypeAlias = Any
"""The values that `backward` needs: arrays, or tuples, lists and dicts of arrays, and nothing else."""
Key: TypeAlias = Array
"""The randomness of a pass: an int32 array of shape (2,), see `anynet.random`."""


@dataclass(frozen=True)
class Layer(metaclass=Value):
    """A pure function of parameters and input, with its derivative.

    To write a layer, define a frozen dataclass with `forward` and `backward`, and with `init` if it has parameters or changes
    the shape. The defaults of the other methods suit nearly every layer.
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    """Names of the entries of `params` that are not trained, such as a running mean."""

    uses_key: ClassVar[bool] = True
    """Whether `forward` draws random numbers. A container derives a key, which costs as much as a small layer, only for such
    children; the others receive the container's own key, which only marks a training pass."""

    integer_input: ClassVar[Any] = False
    """Whether the layer takes integers, such as indices. Other inputs are cast to the model's dtype. A layer with several inputs
    may have a tuple with one entry per input."""

    preserves_values: ClassVar[bool] = False
    """Whether the output has the values of the input, possibly reordered, in the same number of arrays. `Sequential` then
    consults the next layer about the input. Integers have no derivative: `backward` must accept None for ∂L/∂y and return it."""

    takes_lengths: ClassVar[bool] = False
    """Whether `forward` also accepts ``(x, lengths)``, where lengths (N,) are the numbers of positions of the examples. `Lengths`
    passes them to such layers, wherever they are in its network."""

    mixes_positions: ClassVar[bool] = False
    """Whether an output at one position of the first axis depends on later positions without `takes_lengths`, also by its
    parameters; `Lengths` refuses such layers."""

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        """Return initial parameters, as NumPy arrays, and the shape of the output.

        Shapes are without the batch axis. Raise ValueError here if the shape is impossible.
        """
        return {}, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        """Return the output for a batch and the cache for `backward`.

        `key` is the randomness of the pass, an int32 array of shape (2,). A pass with a key is a training pass.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward(params, x, *, key), got none")

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        """Return ∂L/∂x, None if not needed, and ∂L/∂params of the trained parameters."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method backward(params, cache, dy), got none")

    def check_input(self, where: str, x: Array) -> None:
        """Raise ValueError if an input has an impossible value.

        This runs once per data set, never in a training step.

        `where` begins the message. The default requires finite numbers.
        """
        check_finite(where, "x", x)

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        """Return `params` with buffers updated from a training pass, by default unchanged."""
        return params

    @property
    def has_buffers(self) -> bool:
        """Whether the layer overrides `update_buffers`."""
        return type(self).update_buffers is not Layer.update_buffers

    def in_steps(self, per_epoch: float) -> Self:
        """Return the layer with schedules in steps; `per_epoch` is the number of batches per epoch."""
        return fields_in_steps(self, per_epoch)

    def trainable(self, params: Params) -> Params:
        """Return the part of `params` that has gradients."""
        return {name: value for name, value in params.items() if name not in self.buffers} if self.buffers else params

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        """Yield the layers inside a container with their keys in `params`."""
        return iter(())


def init_param(where: str, initializer: Initializer, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return the initial value of a parameter, or raise the initializer's ValueError prefixed with `where`."""
    if isinstance(rng, PlaceholderGenerator):
        return Placeholder(shape)
    try:
        return initializer(rng, shape)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def single_shape(where: str, input_shape: Shape) -> tuple[int, ...]:
    """Return the shape of the only input; raise if the layer would get several."""
    if is_multi(input_shape):
        raise ValueError(f"{where}: expected one input, got {len(input_shape)} of shapes {input_shape}")
    return cast("tuple[int, ...]", input_shape)


def fixed_shape(where: str, input_shape: Shape) -> tuple[int, ...]:
    """Return the shape of the only input; raise if an axis may have any size."""
    shape = single_shape(where, input_shape)
    if ANY_SIZE in shape:
        raise ValueError(
            f"{where}: expected axes of fixed sizes, got {shape}; give input_shape numbers, or combine the positions with "
            "GlobalAvgPool1D() or LSTM(units, sequences=False) instead"
        )
    return shape


def axis_sizes(where: str, input_shape: Shape, *names: str, hint: str = "") -> tuple[int, ...]:
    """Return the sizes of the axes of an input, one per name."""
    if is_multi(input_shape) or len(input_shape) != len(names):
        expected = f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
        raise ValueError(f"{where}: expected input of shape {expected}, got {input_shape}{hint}")
    return cast("tuple[int, ...]", input_shape)


def last_axis(where: str, input_shape: Shape) -> int:
    """Return the size of the last axis: features or channels."""
    if not input_shape:
        raise ValueError(f"{where}: expected input of shape (..., channels), got (); give the model an input_shape")
    return single_shape(where, input_shape)[-1]


def check_features(where: str, x: Array, size: int) -> None:
    """Raise unless `x` has a batch axis and `size` features in its last axis."""
    if len(x.shape) < 2 or x.shape[-1] != size:
        hint = "; a batch is (N, features)" if len(x.shape) < 2 else ""
        raise ValueError(f"{where}: expected x of shape (N, ..., {size}), got {tuple(x.shape)}{hint}")


def from_rows(rows: Array, like: Array) -> Array:
    """Return rows (M, O) with the leading axes of `like` (..., I)."""
    return rows if len(like.shape) == 2 else namespace(rows).reshape(rows, (*like.shape[:-1], rows.shape[1]))

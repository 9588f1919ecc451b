"""The order of features in PyTorch's vectors, where channels come first before `Flatten`.

PyTorch flattens an image as (C, H, W), anynet as (H, W, C). The rows of a `Dense` behind it are therefore in another order, as
are the vectors of a normalization between the two. `find_orders` follows the features through a network and returns, for each
parameter, the position in PyTorch of each index here.

An order can also follow from a later layer: the outputs of a `Dense` that `Reshape` turns into an image, or that `Residual` adds
to a flattened image, have the order of that image. An `Order` is therefore an unknown that layers may fix, or join with another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.arrays.placeholder import PlaceholderGenerator
from anynet.checks import ANY_SIZE, is_multi
from anynet.layers import (
    Conv1D,
    Dense,
    Flatten,
    Frozen,
    Identity,
    Parallel,
    Repeat,
    Reshape,
    Residual,
    Sequential,
    Shared,
)
from anynet.layers.base import Layer, Shape
from anynet.layers.hooks import LayerCall
from anynet.tree import Path


class Order:
    """The positions in PyTorch's vector of the features of one vector, which may be unknown."""

    def __init__(self, positions: np.ndarray | None = None) -> None:
        self._positions, self._joined = positions, self

    @property
    def positions(self) -> np.ndarray | None:
        """The position of each feature there; None while unknown, when any order fits."""
        return self._root()._positions

    @property
    def is_changed(self) -> bool:
        """Whether any feature has another position there."""
        positions = self.positions
        return positions is not None and not np.array_equal(positions, np.arange(len(positions)))

    def join(self, other: Order, path: Path) -> None:
        """Make two orders one; raise ValueError if both are known and differ."""
        one, two = self._root(), other._root()
        if one._positions is None:
            one._joined = two
        elif two._positions is None:
            two._joined = one
        elif not np.array_equal(one._positions, two._positions):
            raise ValueError(
                f"weights: expected a network that PyTorch can have, got features in two orders{_at(path)}, where channels "
                "first and last meet; use layout='keras', which has the order of anynet"
            )

    def _root(self) -> Order:
        order = self
        while order._joined is not order:
            order = order._joined
        return order


@dataclass(frozen=True, eq=False)
class Features:
    """A value in the network, with its layout in PyTorch.

    Attributes
    ----------
    shape : tuple of int
        Its shape here, without the batch axis.
    channels_first : bool
        Whether PyTorch has the channels first.
    order : Order
        The order of the features of a vector.
    """

    shape: tuple[int, ...]
    channels_first: bool
    order: Order


class Walk(NamedTuple):
    """The state of a walk along the features of a network.

    Attributes
    ----------
    calls : dict
        The `LayerCall` of `Layer.init` of each plain layer, by path.
    found : dict
        The order along each axis of each parameter that depends on one, by path.
    """

    calls: Mapping[Path, LayerCall]
    found: dict[Path, tuple[Order, ...]]


def find_orders(layer: Layer, input_shape: Shape, calls: Mapping[Path, LayerCall]) -> dict[Path, tuple[Order, ...]]:
    """Return, by path, the order along each axis of the parameters that depend on one."""
    walk = Walk(calls, {})
    follow(layer, walk, _inputs(input_shape), ())
    return walk.found


def _inputs(shape: Any) -> Any:
    """Return the features of inputs; vectors of data can come in any order."""
    return tuple(map(_inputs, shape)) if is_multi(shape) else Features(shape, len(shape) == 3, Order())


@singledispatch
def follow(layer: Layer, walk: Walk, x: Any, path: Path) -> Any:
    """Return the features behind a layer, and record the orders of its parameters.

    ``follow.register`` adds a class of layers. By default, a layer with one number per feature keeps the order, and the
    features behind any other layer have the same order in PyTorch.
    """
    call = walk.calls.get(path)
    if call is None:  # a container of a class that has not been added
        _fix(layer, x, path)
        return _fixed(layer.init(PlaceholderGenerator(), tree.map_arrays(lambda one: one.shape, x))[1])
    shape, arrays = call.output, dict(tree.leaves_with_paths(call.params, path))
    if is_multi(shape) or isinstance(x, tuple):
        return _fixed(shape)
    if shape == x.shape and all(tuple(a.shape) in ((), (1,), shape[-1:]) for a in arrays.values()):
        if len(shape) == 1:
            walk.found.update({name: (x.order,) for name, a in arrays.items() if tuple(a.shape) == shape})
        return x
    if arrays:
        _fix(layer, x, path)
    return _fixed(shape, len(shape) == 3 or (len(shape) == len(x.shape) and not arrays and x.channels_first))


@follow.register(Identity)
def _(layer: Identity, walk: Walk, x: Any, path: Path) -> Any:
    return x


@follow.register(Dense)
def _(layer: Dense, walk: Walk, x: Features, path: Path) -> Features:
    if len(x.shape) > 1:
        return _fixed((*x.shape[:-1], layer.units), False)
    y = Order()
    walk.found.update({(*path, "weight"): (x.order, y), (*path, "bias"): (y,)})
    return Features((layer.units,), False, y)


@follow.register(Conv1D)
def _(layer: Conv1D, walk: Walk, x: Features, path: Path) -> Features:
    return _fixed(walk.calls[path].output, True)


@follow.register(Flatten)
def _(layer: Flatten, walk: Walk, x: Features, path: Path) -> Features:
    return _flattened(x)


@follow.register(Reshape)
def _(layer: Reshape, walk: Walk, x: Features, path: Path) -> Features:
    if len(layer.shape) == 1:
        return _flattened(x)
    y = _fixed(layer.shape)
    if len(x.shape) == 1 or x.shape[-1] != y.shape[-1]:  # otherwise each position keeps its channels
        _flattened(x).order.join(_flattened(y).order, path)
    return y


@follow.register(Sequential)
def _(layer: Sequential, walk: Walk, x: Any, path: Path) -> Any:
    for key, child in layer.children():
        x = follow(child, walk, x, (*path, key))
    return x


@follow.register(Frozen)
def _(layer: Frozen, walk: Walk, x: Any, path: Path) -> Any:
    return follow(layer.layer, walk, x, (*path, "layer"))


@follow.register(Repeat)
def _(layer: Repeat, walk: Walk, x: Any, path: Path) -> Any:
    y = follow(layer.layer, walk, x, (*path, "layer"))
    for one, two in zip(flat(x), flat(y), strict=True):
        one.order.join(two.order, path)
    return y


@follow.register(Shared)
def _(layer: Shared, walk: Walk, x: Any, path: Path) -> Any:
    return (follow(layer.layer, walk, _joined(x, path), (*path, "layer")),) * len(x)


@follow.register(Residual)
def _(layer: Residual, walk: Walk, x: Any, path: Path) -> Features:
    return _joined([follow(child, walk, x, (*path, key)) for key, child in layer.children()], path)


@follow.register(Parallel)
def _(layer: Parallel, walk: Walk, x: Any, path: Path) -> Any:
    inputs = x if isinstance(x, tuple) else (x,) * len(layer.branches)
    ys = [follow(child, walk, one, (*path, key)) for (key, child), one in zip(layer.children(), inputs, strict=True)]
    if layer.combine is None:
        return tuple(ys)
    return _joined(ys, path) if layer.combine == "add" else _concatenated(ys)


def flat(x: Any) -> Iterator[Features]:
    """Yield the features in nested tuples."""
    if isinstance(x, tuple):
        for one in x:
            yield from flat(one)
    else:
        yield x


def _fixed(shape: Any, channels_first: bool | None = None) -> Any:
    """Return features in the same order there; an array with three axes is an image."""
    if is_multi(shape):
        return tuple(map(_fixed, shape))
    first = len(shape) == 3 if channels_first is None else channels_first
    return Features(shape, first, Order(np.arange(_count(shape))))


def _count(shape: tuple[int, ...]) -> int:
    """Return the number of features, at one position if there may be any number of positions."""
    return math.prod([size for size in shape if size != ANY_SIZE])


def _flattened(x: Features) -> Features:
    """Return the vector of an array, with the position of each element in PyTorch's vector."""
    if len(x.shape) == 1:
        return x
    positions = np.arange(math.prod(x.shape))
    if x.channels_first:
        positions = np.moveaxis(positions.reshape(x.shape[-1:] + x.shape[:-1]), 0, -1).ravel()
    return Features(positions.shape, False, Order(positions))


def _joined(values: Sequence[Features], path: Path) -> Features:
    """Return features that are the same in all of several values."""
    first = values[0]
    for other in values[1:]:
        first.order.join(other.order, path)
    return Features(first.shape, any(value.channels_first for value in values), first.order)


def _concatenated(values: Sequence[Features]) -> Features:
    """Return the features of several values, one after another; orders that are still unknown become fixed."""
    shape = (*values[0].shape[:-1], sum(value.shape[-1] for value in values))
    if len(shape) > 1:
        return _fixed(shape, any(value.channels_first for value in values))
    starts = np.cumsum([0, *(value.shape[0] for value in values)])
    parts = [start + _known(value.order, value.shape[0]) for start, value in zip(starts, values, strict=False)]
    return Features(shape, False, Order(np.concatenate(parts)))


def _known(order: Order, count: int) -> np.ndarray:
    """Return positions, which become the order here if they are unknown."""
    positions = order.positions
    if positions is None:
        positions = np.arange(count)
        order.join(Order(positions), ())
    return positions


def _fix(layer: Layer, x: Any, path: Path) -> None:
    """Make the order here that of PyTorch, for a layer whose parameters cannot be reordered."""
    for value in flat(x):
        if value.order.is_changed:
            raise ValueError(
                f"weights: expected Dense, or a layer with one number per feature, behind Flatten of an image, got {layer!r}"
                f"{_at(path)}; use layout='keras', which has the order of anynet"
            )
        _known(value.order, _count(value.shape))


def _at(path: Path) -> str:
    return f" at {tree.name(path)}" if path else ""

"""Parallel branches, for networks with several inputs or outputs.

Several arrays are a tuple of arrays, and their shapes a tuple of shapes. A branch may itself take and return tuples.
Derivation: docs/derivations/containers.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import is_multi
from anynet.layers.base import Arrays, Cache, Grads, Key, Layer, Params, Shape, empty_like
from anynet.layers.containers import Container, as_layer, check_layers, child_key, with_layer_path


@dataclass(frozen=True)
class Parallel(Container):
    """Apply layers in parallel, to one input or one each, and combine the results.

    .. math::

        y = f_1(x_1) ⊕ … ⊕ f_B(x_B), \\qquad
        \\frac{∂L}{∂x_b} = \\Big(\\frac{∂f_b}{∂x_b}\\Big)^T \\frac{∂L}{∂y_b}

    where ⊕ concatenates along the last axis (∂L/∂y_b is a slice of ∂L/∂y) or adds (∂L/∂y_b is ∂L/∂y). If all branches share
    one x, ∂L/∂x is the sum.

    Parameters
    ----------
    branches : sequence of Layer or of sequences of Layer
        f_1 to f_B. If the input is a tuple of B arrays, each branch gets one; a single array goes to all branches.
    combine : "concatenate", "add" or None
        With None the output is a tuple with one array per branch. A model with such an output needs a tuple of targets and a
        `Losses` with one loss per branch.

    Notes
    -----
    `params` and `grads` are lists with one entry per branch. Cache: the caches of all branches, and empty arrays with the shapes
    of their outputs.

    Raises
    ------
    ValueError
        If the number of inputs differs from the number of branches, or the outputs cannot be combined.

    Examples
    --------
    >>> from anynet import Dense, Identity
    >>> network = Parallel([Dense(2), Identity()])
    >>> params, shape = network.init(np.random.default_rng(0), (3,))
    >>> shape, network.forward(params, np.ones((4, 3)))[0].shape
    ((5,), (4, 5))
    >>> Parallel([Dense(2), Identity()], combine=None).init(np.random.default_rng(0), ((3,), (7,)))[1]
    ((2,), (7,))

    References
    ----------
    Szegedy et al. (2015), "Going deeper with convolutions", section 4.
    """

    branches: Any
    _: KW_ONLY
    combine: str | None = "concatenate"

    def __post_init__(self) -> None:
        if self.combine not in ("concatenate", "add", None):
            raise ValueError(f"Parallel: expected combine to be 'concatenate', 'add' or None, got {self.combine!r}")
        given = [as_layer(b) if isinstance(b, (list, tuple)) else b for b in self.branches]
        object.__setattr__(self, "branches", check_layers("Parallel", given))
        if not self.branches:
            raise ValueError("Parallel: expected at least one branch, got none")

    def children(self) -> Iterator[tuple[str | int, Layer]]:
        return iter(enumerate(self.branches))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        flags = self.integer_input
        if not is_multi(input_shape) and isinstance(flags, tuple):
            raise ValueError(
                f"Parallel: expected a tuple of inputs, as some branches take integers and others do not, got one of "
                f"{input_shape}"
            )
        shapes = self._each(input_shape, is_multi(input_shape))
        params, outputs = [], []
        for index, (layer, shape) in enumerate(zip(self.branches, shapes, strict=True)):
            try:
                part, output = layer.init(rng, shape)
            except ValueError as error:
                raise with_layer_path(index, error) from None
            params.append(part)
            outputs.append(output)
        return params, self._output_shape(outputs)

    def _output_shape(self, shapes: list[Shape]) -> Shape:
        if self.combine is None:
            return tuple(shapes)
        kept = slice(None) if self.combine == "add" else slice(-1)
        if any(is_multi(s) or not s or s[kept] != shapes[0][kept] for s in shapes):
            what = "equal" if self.combine == "add" else "equal up to the last axis"
            raise ValueError(
                f"Parallel: expected branches with outputs that are {what}, to {self.combine} them, got "
                + " and ".join(map(str, shapes))
            )
        return shapes[0] if self.combine == "add" else (*shapes[0][:-1], sum(s[-1] for s in shapes))

    def _each(self, x: Any, split: bool) -> Any:
        """Return the input of each branch."""
        if not split:
            return [x] * len(self.branches)
        if len(x) != len(self.branches):
            raise ValueError(f"Parallel: expected {len(self.branches)} inputs, one per branch, got {len(x)}")
        return x

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        ys, caches = [], []
        index = 0
        inputs = self._each(x, isinstance(x, tuple))
        try:
            for index, (layer, part, one) in enumerate(zip(self.branches, params, inputs, strict=True)):
                y, cache = layer.forward(part, one, key=child_key(layer, key, index))
                ys.append(y)
                caches.append(cache)
        except ValueError as error:
            raise with_layer_path(index, error) from error
        split = isinstance(x, tuple)
        if self.combine is None:
            return tuple(ys), (caches, _marks(split, x, []))
        if self.combine == "add":
            return reduce(add, ys), (caches, _marks(split, x, []))
        return namespace(ys[0]).concat(ys, axis=-1), (caches, _marks(split, x, ys))

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        caches, (split, widths) = cache
        dxs, grads = [], []
        for layer, part, own, d in zip(self.branches, params, caches, self._parts(dy, widths), strict=True):
            dx, grad = layer.backward(part, own, d, need_dx=need_dx)
            dxs.append(dx)
            grads.append(grad)
        if not need_dx:
            return None, grads
        return (tuple(dxs) if split else _sum(dxs)), grads

    def _parts(self, dy: Arrays, widths: list[Array]) -> Any:
        """Return ∂L/∂y of each branch."""
        if self.combine == "concatenate":
            parts, start = [], 0
            for empty in widths:
                stop = start + empty.shape[-1]
                parts.append(dy[..., start:stop])
                start = stop
            return parts
        return [dy] * len(self.branches) if self.combine == "add" else dy

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return [layer.update_buffers(p, c) for layer, p, c in zip(self.branches, params, cache[0], strict=True)]

    def trainable(self, params: Params) -> Params:
        return [layer.trainable(part) for layer, part in zip(self.branches, params, strict=True)]

    def check_input(self, where: str, x: Arrays) -> None:
        for layer, one in zip(self.branches, self._each(x, isinstance(x, tuple)), strict=True):
            layer.check_input(where, one)

    @property
    def integer_input(self) -> Any:
        flags = tuple(layer.integer_input for layer in self.branches)
        return flags[0] if len(set(flags)) == 1 else flags


def _marks(split: bool, x: Arrays, ys: list[Array]) -> tuple[list[Array], list[Array]]:
    """Return empty arrays, since a cache holds arrays only: one if the input was a tuple, and one with the width of each y."""
    return ([empty_like(tree.leaves(x)[0])] if split else []), [empty_like(y) for y in ys]


def _sum(dxs: list[Any]) -> Any:
    """Return the sum of the gradients for one input; integers have none."""
    known = [dx for dx in dxs if dx is not None]
    return reduce(add, known) if known else None

"""The graph of a traced step, which `trace` returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from anynet import tree


class Node(NamedTuple):
    """An operation ``function(*args, **options)`` on numbered values.

    `inputs` has the number of each argument, or None where `args` has a constant. `output` is the number of the result, or
    None for an operation that writes to some of its arguments.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[int | None, ...]
    output: int | None


class ArraySpec(NamedTuple):
    """Type, shape, dtype and memory layout of an array."""

    type: type
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


def spec_of(value: Any) -> ArraySpec:
    """Return the spec of an array or of a NumPy scalar."""
    return ArraySpec(type(value), value.shape, value.dtype, value.strides)


class Graph:
    """The nodes of a traced function ``step(carry, *batch) -> new_carry, out``.

    Values are numbered in the order in which they appear: the leaves of the carry, the batch, then the results of nodes.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.specs: list[Any] = []
        """The `ArraySpec` of each value; None for an argument that is None."""
        self.views: dict[int, int] = {}
        """Values that are views, and the values that they are views of."""
        self.in_place: list[bool] = []
        """For each leaf of the carry, whether the new carry has the same array, changed or not."""
        self.batch: range = range(0)
        """The values of the batch."""
        self.structure: list[Any] = []
        """Paths and specs of the leaves of the carry."""
        self.new_carry: tree.Tree = None
        """The carry's tree, with numbers of values as leaves."""
        self.out: tree.Tree = None
        self.untraceable: str | None = None
        """The reason why the trace is invalid. It remains invalid if the function catches the exception."""

    @property
    def rebound(self) -> list[tuple[int, int]]:
        """The leaves of the carry that the step replaces, with the values that replace them."""
        return [(i, value) for i, value in enumerate(tree.leaves(self.new_carry)) if not self.in_place[i]]

    @property
    def is_steady(self) -> bool:
        """Whether the next step can use the graph: the carry keeps its specs."""
        return all(self.specs[i] == self.specs[value] for i, value in self.rebound)

    def root(self, value: int) -> int:
        """Return the value that owns the memory of a value."""
        while (source := self.views.get(value)) is not None:
            value = source
        return value


def structure(carry: tree.Tree) -> list[Any]:
    """Return paths and specs of the leaves of a carry, which a graph depends on."""
    return [(path, spec_of(leaf)) for path, leaf in tree.leaves_with_paths(carry)]


def owner(array: Any) -> Any:
    """Return the array that owns the memory of an array."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array

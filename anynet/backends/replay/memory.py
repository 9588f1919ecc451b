"""Plan the memory of a traced step: buffers for results, and when to release others.

A plan contains no arrays: `Executable` allocates them. A buffer is a part of a block. Values that are never needed at the same
time share a block.

>>> import numpy as np
>>> from anynet.backends.replay.trace import trace
>>> plan = MemoryPlan(trace(lambda carry, x: (carry, np.float32(2.0) * (-(x * x) + 1)), np.zeros(3), (np.ones(3),)))
>>> plan.buffers[2].block == plan.buffers[3].block, plan.blocks     # x * x is not needed after its negation
(True, [24])
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.backends.replay.graph import ArraySpec, Graph, Node
from anynet.backends.replay.operations import UpdateRows, is_product, out_function

NODE_BYTES = 2048
"""Approximate size of the Python objects of a node."""
SMALL_RESULT_BYTES = 4096
"""Size up to which results without a buffer are kept until the next step. Larger ones are released after their last use."""


class Buffer(NamedTuple):
    """A part of a block of memory, as an array."""

    block: int
    offset: int
    spec: ArraySpec


class MemoryPlan:
    """The nodes of a graph as they are executed, and the memory that they use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.blocks: list[int] = []
        """Sizes in bytes."""
        self.buffers: dict[int, Buffer] = {}
        """Buffers by value."""
        self.out_functions: dict[int, Callable[..., Any]] = {}
        """Functions by value, with an argument `out`, that write a value into a buffer."""
        self.packed: dict[int, tuple[int, ...]] = {}
        """Values that are a block of several leaves of the carry, packed for an update, and these leaves."""
        self.static = {i for i, is_in_place in enumerate(graph.in_place) if is_in_place}
        """Values known before a step begins: buffers, leaves of the carry that change in place, and views of either."""
        self.size = len(graph.specs)
        """Number of values."""
        self._escaping = {*(value for _, value in graph.rebound), *tree.leaves(graph.out)}
        self._find_out_functions()
        for node in graph.nodes:
            columns = self._columns(node) if isinstance(node.function, UpdateRows) else None
            self.nodes.append(node if columns is None else self._pack(node, columns))
        self._assign_buffers()
        self.static |= {*self.buffers, *self.packed}
        for node in self.nodes:
            if node.output in graph.views and all(i is None or i in self.static for i in node.inputs):
                self.static.add(node.output)
        self.released: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        """The values to release after each node and, last, at the end of a step."""
        constants = {id(arg): arg.nbytes for node in self.nodes for arg in node.args if isinstance(arg, np.ndarray)}
        self.nbytes = sum(self.blocks) + self._release() + sum(constants.values()) + NODE_BYTES * len(self.nodes)
        """Peak memory of a step, excluding its arguments."""

    def size_of(self, value: int) -> int:
        """Return the number of elements of a value."""
        spec = self.buffers[value].spec if value in self.buffers else self.graph.specs[value]
        return math.prod(spec.shape)

    def _find_out_functions(self) -> None:
        """Find the `out` functions of all arrays that do not leave the step and are no views."""
        excluded = {*(self.graph.root(value) for value in self._escaping), *self.graph.views, None}
        for node in self.graph.nodes:
            value: Any = node.output
            if value not in excluded and self.graph.specs[value].shape:
                function = out_function(node.function, node.options)
                if function is not None:
                    self.out_functions[value] = function

    def _columns(self, node: Node) -> list[Any] | None:
        """Return the columns of an update (parameters, gradients, slots), or None if one cannot be packed.

        A rule is elementwise, so one call can update all rows, packed into one. A call per row would be slow in small networks.
        """
        rows, width = node.function.rows, node.function.width  # type: ignore[attr-defined]
        columns: list[Any] = [node.inputs[i : rows * width : width] for i in range(width)]
        values = list(chain(*columns))
        if None in values:
            return None
        gradients, leaves = columns[1], {*columns[0], *chain(*columns[2:])}
        in_place = leaves <= self.static
        once = len(leaves) == rows * (width - 1) and leaves.isdisjoint(chain(*self.packed.values()))
        computed = len(set(gradients)) == rows and set(gradients) <= self.out_functions.keys() - self.buffers.keys()
        specs = [self.graph.specs[i] for i in values]
        alike = len({spec.dtype for spec in specs}) == 1 and all(map(_is_contiguous, specs))
        return columns if in_place and once and computed and alike else None

    def _pack(self, node: Node, columns: list[tuple[int, ...]]) -> Node:
        """Return an update as one of a single row of new values, and give its gradients a block."""
        block, offset, first, width, end = len(self.blocks), 0, self.size, len(columns), len(columns) * len(columns[0])
        for value in columns[1]:
            spec = self.graph.specs[value]
            self.buffers[value] = Buffer(block, offset, spec)
            offset += spec.nbytes
        self.blocks.append(offset)
        flat = ArraySpec(np.ndarray, (offset // spec.dtype.itemsize,), spec.dtype, (spec.dtype.itemsize,))
        self.buffers[first + 1] = Buffer(block, 0, flat)
        self.packed.update((first + i, column) for i, column in enumerate(columns) if i != 1)
        self.size += width
        return node._replace(
            function=UpdateRows(node.function.run, 1, width),  # type: ignore[attr-defined]
            args=(None,) * width + node.args[end:],
            inputs=(*range(first, self.size), *node.inputs[end:]),
        )

    def _assign_buffers(self) -> None:
        """Assign a block to each other value with an `out` function, free again after its last use.

        An elementwise operation may write over an argument that is no longer needed. Blocks that matrix products read or write
        are kept apart: they are in the caches of other cores, which makes writing to them slower.
        """
        root = self.graph.root
        inputs = [{root(i) for i in node.inputs if i is not None} for node in self.nodes]
        last = {i: time for time, values in enumerate(inputs) for i in values}
        products = [time for time, node in enumerate(self.nodes) if is_product(node.function)]
        shared = {i for time in products for i in (*inputs[time], root(self.nodes[time].output))}  # type: ignore[arg-type]
        used: dict[int, int] = {}
        free: dict[tuple[int, bool], list[int]] = {}

        def release(time: int) -> None:
            for value in inputs[time]:
                if last[value] == time and value in used:
                    block = used.pop(value)
                    free.setdefault((self.blocks[block], value in shared), []).append(block)

        for time, node in enumerate(self.nodes):
            value: Any = node.output
            function = self.out_functions.get(value)
            if isinstance(function, np.ufunc) and not is_product(function):
                release(time)
            if function is not None and value not in self.buffers:
                spec = self.graph.specs[value]
                key = spec.nbytes, value in shared
                if not free.get(key):
                    free[key] = [len(self.blocks)]
                    self.blocks.append(spec.nbytes)
                used[value] = free[key].pop()
                self.buffers[value] = Buffer(used[value], 0, spec)
            release(time)

    def _release(self) -> int:
        """Plan the release of values without a buffer, and return their peak memory.

        Arguments of the step are released too, so that nothing of a batch is kept, but they do not count.
        """
        specs, end = self.graph.specs, len(self.nodes)
        made = {node.output: time for time, node in enumerate(self.nodes)}
        last = {**made, **{i: time for time, node in enumerate(self.nodes) for i in node.inputs}}
        until: dict[int, int] = {}
        for value, spec in enumerate(specs):
            if value in self.static or spec is None:
                continue
            root, time = self.graph.root(value), end if value in self._escaping else last.get(value, end)
            until[root] = max(until.get(root, 0), time)
            if root not in made or specs[root].nbytes > SMALL_RESULT_BYTES:
                self.released[time].append(value)
        small, changes = 0, [0] * (end + 1)
        for root, time in until.items():
            nbytes = specs[root].nbytes
            if nbytes <= SMALL_RESULT_BYTES:
                small += nbytes
            elif root in made:
                changes[made[root]] += nbytes
                changes[time] -= nbytes
        return small + max(accumulate(changes))


def _is_contiguous(spec: ArraySpec) -> bool:
    """Return whether an array is stored in row-major order without gaps."""
    expected = accumulate(reversed(spec.shape), operator.mul, initial=spec.dtype.itemsize)
    axes = zip(reversed(spec.shape), reversed(spec.strides), expected, strict=False)
    return all(length == 1 or stride == contiguous for length, stride, contiguous in axes)

"""Plan the memory of a traced step: which results go into preallocated buffers, and when all others are released.

A plan is data; `Executable` allocates what it says. A buffer is a part of a block. Values that are never needed at the same
time share a block.

>>> import numpy as np
>>> from anynet.backends.replay.trace import trace
>>> plan = plan_memory(trace(lambda carry, x: (carry, np.float32(2.0) * (-(x * x) + 1)), np.zeros(3), (np.ones(3),)))
>>> plan.buffers[2].block == plan.buffers[3].block, plan.blocks     # x * x is not needed after its negation
(True, [24])
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.backends.replay.graph import ArraySpec, Graph, Node
from anynet.backends.replay.operations import UpdateRows, is_product, out_function, reduction

NODE_BYTES = 2048
"""Approximate size of the Python objects of a node."""
SMALL_RESULT_BYTES = 4096
"""Bytes up to which a result without a buffer may remain until the next step. Larger ones are released after their last use."""


class Buffer(NamedTuple):
    """A part of a block of memory, as an array."""

    block: int
    offset: int
    spec: ArraySpec


class MemoryPlan(NamedTuple):
    """The nodes of a graph as they are executed, and the memory that they use."""

    nodes: list[Node]
    blocks: list[int]
    """Sizes in bytes."""
    buffers: dict[int, Buffer]
    """Of the values that have one."""
    out_functions: dict[int, Callable[..., Any]]
    """For each value, the function with an argument `out` that writes it into a buffer."""
    packed: dict[int, tuple[int, ...]]
    """Values that are a block of several leaves of the carry, which are laid side by side for an update."""
    static: set[int]
    """Values known before a step begins: buffers, leaves of the carry that are changed in place, and views of either."""
    released: list[list[int]]
    """The values to release after each node and, last, at the end of a step."""
    size: int
    """Number of values."""
    nbytes: int
    """Memory that the step needs at a time, beyond its arguments."""


def plan_memory(graph: Graph) -> MemoryPlan:
    """Return the plan of a graph."""
    escaping = {*(value for _, value in graph.rebound), *tree.leaves(graph.out)}
    nodes = [_direct(node, graph) for node in graph.nodes]
    out_functions = _out_functions(nodes, graph, {graph.root(value) for value in escaping})
    blocks: list[int] = []
    buffers: dict[int, Buffer] = {}
    packed: dict[int, tuple[int, ...]] = {}
    size = len(graph.specs)
    for index, node in enumerate(nodes):
        columns = _packable(node, graph, out_functions, buffers, packed)
        if columns is not None:
            nodes[index] = _pack(node, columns, graph, blocks, buffers, packed, size)
            size += len(columns)
    _assign_buffers(nodes, graph, out_functions, blocks, buffers)
    static = {*buffers, *packed, *(i for i, is_in_place in enumerate(graph.in_place) if is_in_place)}
    for node in nodes:
        if node.output in graph.views and all(i is None or i in static for i in node.inputs):
            static.add(node.output)
    released, dynamic_bytes = _releases(nodes, graph, static, escaping)
    constants = {id(arg): arg.nbytes for node in nodes for arg in node.args if isinstance(arg, np.ndarray)}
    nbytes = sum(blocks) + dynamic_bytes + sum(constants.values()) + NODE_BYTES * len(nodes)
    return MemoryPlan(nodes, blocks, buffers, out_functions, packed, static, released, size, nbytes)


def _direct(node: Node, graph: Graph) -> Node:
    """Return an equal node that calls a ufunc's reduction itself, without Python code of NumPy."""
    if node.output is None:
        return node
    function = reduction(node.function, node.args, node.options, _spec(graph, node.output).dtype)
    return node if function is None else node._replace(function=function, options={"axis": None, **node.options})


def _out_functions(nodes: list[Node], graph: Graph, escaping: set[int]) -> dict[int, Callable[..., Any]]:
    """Return the `out` functions of all arrays that do not leave the step and are no views."""
    found: dict[int, Callable[..., Any]] = {}
    for node in nodes:
        value = node.output
        if value is not None and value not in escaping and value not in graph.views and _spec(graph, value).shape:
            function = out_function(node.function, node.options)
            if function is not None:
                found[value] = function
    return found


def _packable(
    node: Node,
    graph: Graph,
    out_functions: dict[int, Callable[..., Any]],
    buffers: dict[int, Buffer],
    packed: dict[int, tuple[int, ...]],
) -> list[tuple[int, ...]] | None:
    """Return the columns of an update (parameters, gradients, slots) if each of them can be one array, or None.

    A rule is elementwise, so it may run once over all rows laid side by side. A small network has too many rows for a call each.
    """
    if not isinstance(node.function, UpdateRows):
        return None
    rows, width = node.function.rows, node.function.width
    columns: list[Any] = [node.inputs[i : rows * width : width] for i in range(width)]
    if any(i is None for column in columns for i in column):
        return None
    params, gradients, *slots = columns
    leaves = [i for column in (params, *slots) for i in column]
    in_place = all(i < len(graph.in_place) and graph.in_place[i] for i in leaves)
    once = len(set(leaves)) == len(leaves) and not any(set(leaves) & set(column) for column in packed.values())
    computed = len(set(gradients)) == rows and all(i in out_functions and i not in buffers for i in gradients)
    specs = [_spec(graph, i) for column in columns for i in column]
    alike = len({spec.dtype for spec in specs}) == 1 and all(map(_is_contiguous, specs))
    return columns if in_place and once and computed and alike else None


def _pack(
    node: Node,
    columns: list[tuple[int, ...]],
    graph: Graph,
    blocks: list[int],
    buffers: dict[int, Buffer],
    packed: dict[int, tuple[int, ...]],
    first: int,
) -> Node:
    """Return an update as one of a single row of new values, numbered from `first`; gradients get a block of their own."""
    gradients, dtype = columns[1], _spec(graph, columns[1][0]).dtype
    offset = 0
    for value in gradients:
        spec = _spec(graph, value)
        buffers[value] = Buffer(len(blocks), offset, spec)
        offset += spec.nbytes
    flat = ArraySpec(np.ndarray, (offset // dtype.itemsize,), dtype, (dtype.itemsize,))
    for value, column in enumerate(columns, first):
        if column is gradients:
            buffers[value] = Buffer(len(blocks), 0, flat)
        else:
            packed[value] = column
    blocks.append(offset)
    width, end = len(columns), len(columns) * len(gradients)
    return node._replace(
        function=UpdateRows(node.function.run, 1, width),  # type: ignore[attr-defined]
        args=(None,) * width + node.args[end:],
        inputs=(*range(first, first + width), *node.inputs[end:]),
    )


def _assign_buffers(
    nodes: list[Node],
    graph: Graph,
    out_functions: dict[int, Callable[..., Any]],
    blocks: list[int],
    buffers: dict[int, Buffer],
) -> None:
    """Assign a block to each other value with an `out` function; a block is free again after the last use of its value.

    An elementwise operation may write over an argument that is not needed any more. Blocks that products of matrices read or
    write are kept apart: the caches of other cores hold them, which makes writing to them slower.
    """
    last = {graph.root(i): time for time, node in enumerate(nodes) for i in node.inputs if i is not None}
    shared = {
        graph.root(i)
        for node in nodes
        if is_product(node.function)
        for i in (*node.inputs, node.output)
        if i is not None
    }
    used: dict[int, int] = {}
    free: dict[tuple[int, bool], list[int]] = {}

    def release(node: Node, time: int) -> None:
        for root in {graph.root(i) for i in node.inputs if i is not None}:
            if last[root] == time and root in used:
                block = used.pop(root)
                free.setdefault((blocks[block], root in shared), []).append(block)

    for time, node in enumerate(nodes):
        function = out_functions.get(node.output)  # type: ignore[arg-type]
        if isinstance(function, np.ufunc) and not is_product(function):
            release(node, time)
        if function is not None and node.output is not None and node.output not in buffers:
            spec = _spec(graph, node.output)
            key = spec.nbytes, node.output in shared
            if not free.get(key):
                free[key] = [len(blocks)]
                blocks.append(spec.nbytes)
            used[node.output] = free[key].pop()
            buffers[node.output] = Buffer(used[node.output], 0, spec)
        release(node, time)


def _releases(nodes: list[Node], graph: Graph, static: set[int], escaping: set[int]) -> tuple[list[list[int]], int]:
    """Return the values to release after each node, and the bytes of all results without a buffer at a time.

    Arguments of the step are released too, so that nothing of a batch is kept, but they do not count.
    """
    end = len(nodes)
    made = {node.output: time for time, node in enumerate(nodes)}
    last = {**made, **{i: time for time, node in enumerate(nodes) for i in node.inputs}}
    released: list[list[int]] = [[] for _ in range(end + 1)]
    until: dict[int, int] = {}
    for value, spec in enumerate(graph.specs):
        if value in static or spec is None:
            continue
        root, time = graph.root(value), end if value in escaping else last.get(value, end)
        until[root] = max(until.get(root, 0), time)
        if root not in made or _spec(graph, root).nbytes > SMALL_RESULT_BYTES:
            released[time].append(value)
    small, changes = 0, [0] * (end + 1)
    for root, time in until.items():
        nbytes = _spec(graph, root).nbytes
        if nbytes <= SMALL_RESULT_BYTES:
            small += nbytes
        elif root in made:
            changes[made[root]] += nbytes
            changes[time] -= nbytes
    return released, small + max(accumulate(changes))


def _spec(graph: Graph, value: int) -> ArraySpec:
    spec = graph.specs[value]
    assert spec is not None
    return spec


def _is_contiguous(spec: ArraySpec) -> bool:
    """Return whether the elements lie in the order of the axes, without gaps."""
    expected = spec.dtype.itemsize
    for length, stride in zip(reversed(spec.shape), reversed(spec.strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True

"""Execute a traced step: allocate its buffers, bind it to the arrays of a carry, and run it on batches."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.graph import Graph, owner, spec_of, structure
from anynet.backends.replay.memory import MemoryPlan


class Executable:
    """A traced step with its buffers, executed on the carry that it is bound to.

    Binding computes all that is known before a step begins, and makes each node an *instruction*, a function without
    arguments. Instructions work on *registers*, a list of values. Static values are in their registers from the start;
    `dynamic_args`, which include the batch, come from registers that earlier instructions filled.
    """

    def __init__(self, graph: Graph, plan: MemoryPlan) -> None:
        self._graph, self._plan, self.nbytes = graph, plan, plan.nbytes
        blocks = [np.empty(size, dtype=np.uint8) for size in plan.blocks]
        self._buffers = {
            value: np.ndarray(spec.shape, spec.dtype, blocks[block], offset, spec.strides)
            for value, (block, offset, spec) in plan.buffers.items()
        }
        self._rebound = graph.rebound
        self._registers: list[Any] = []
        self._instructions: list[Callable[[], Any]] = []
        self._bound: list[Any] = []
        self._make_carry: Callable[[], Any] = tuple
        self._make_out: Callable[[], Any] = tuple

    def bind(self, carry: tree.Tree, leaves: list[Any]) -> bool:
        """Prepare the instructions for a carry, and return whether it has the structure of the traced one.

        Leaves that are packed for an update are replaced in the list.
        """
        if structure(carry) != self._graph.structure:
            return False
        plan, views = self._plan, self._graph.views
        static: dict[int, Any] = dict(self._buffers)
        for value, members in plan.packed.items():
            static[value], parts = _pack([leaves[i] for i in members])
            for i, part in zip(members, parts, strict=True):
                leaves[i] = part
        static.update((i, leaf) for i, leaf in enumerate(leaves) if self._graph.in_place[i])
        registers: list[Any] = [None] * plan.size
        for i, value in static.items():
            registers[i] = value
        instructions: list[Callable[[], Any]] = []
        for node, released in zip(plan.nodes, plan.released, strict=False):
            function = partial(node.function, **node.options) if node.options else node.function
            args = [arg if i is None else static.get(i) for arg, i in zip(node.args, node.inputs, strict=True)]
            if node.output in plan.static and node.output in views:
                view = static[node.output] = registers[node.output] = function(*args)
                if owner(view) is not owner(static[views[node.output]]):
                    return False
                continue
            output = node.output
            if output in self._buffers:
                function, output = partial(plan.out_functions[output], out=self._buffers[output], **node.options), None
            dynamic_args = [i for i in node.inputs if i is not None and i not in static]
            if dynamic_args or output is not None:
                instructions.append(_instruction(function, args, node.inputs, registers, output))
            else:
                instructions.append(partial(function, *args))
            instructions += [partial(operator.setitem, registers, i, None) for i in released]
        self._instructions, self._registers, self._bound = instructions, registers, self._in_place(leaves)
        graph = self._graph
        self._make_carry, self._make_out = (
            _builder(part, registers, plan.static) for part in (graph.new_carry, graph.out)
        )
        return True

    def unbind(self) -> None:
        """Drop the arrays of the carry, and of a step that did not finish."""
        self._registers, self._instructions, self._bound = [], [], []
        self._make_carry = self._make_out = tuple

    def is_bound(self, leaves: list[Any]) -> bool:
        """Return whether the executable is bound to the leaves of a carry, which a step of the same function returned."""
        ours = self._in_place(leaves)
        specs = self._graph.specs
        return (
            bool(self._instructions)
            and len(leaves) == len(self._graph.in_place)
            and all(map(operator.is_, ours, self._bound))
            and all(spec_of(leaves[i]) == specs[i] for i, _ in self._rebound)
        )

    def _in_place(self, leaves: list[Any]) -> list[Any]:
        return list(compress(leaves, self._graph.in_place))

    def run(self, leaves: list[Any], batch: Sequence[Any]) -> tuple[tree.Tree, tree.Tree]:
        """Take a step from the carry that the executable is bound to, and update `leaves` to those of the new carry."""
        registers, rebound = self._registers, self._rebound
        for i, _ in rebound:
            registers[i] = leaves[i]
        first = len(leaves)
        registers[first : first + len(batch)] = batch
        for instruction in self._instructions:
            instruction()
        for i, value in rebound:
            leaves[i] = registers[value]
        results = self._make_carry(), self._make_out()
        for i in self._plan.released[-1]:
            registers[i] = None
        return results


def _instruction(
    function: Callable[..., Any],
    args: list[Any],
    inputs: tuple[int | None, ...],
    registers: list[Any],
    output: int | None,
) -> Callable[[], None]:
    """Return a function that calls another one with arguments from registers, and puts the result into a register.

    Constants get registers of their own, so that all arguments are fetched at once. Nothing refers to them after the call.
    """
    indices = []
    for arg, i in zip(args, inputs, strict=True):
        if i is None:
            i = len(registers)
            registers.append(arg)
        indices.append(i)
    if len(indices) == 1:
        (index,) = indices

        def unary() -> None:
            result = function(registers[index])
            if output is not None:
                registers[output] = result

        return unary
    fetch = itemgetter(*indices)
    if output is None:

        def write() -> None:
            function(*fetch(registers))

        return write

    def call() -> None:
        registers[output] = function(*fetch(registers))

    return call


def _pack(arrays: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a block that holds arrays side by side, and its parts: the arrays themselves, if they are that already."""
    shapes, block = [a.shape for a in arrays], owner(arrays[0])
    if block.ndim == 1 and block.size == sum(a.size for a in arrays) and block.dtype == arrays[0].dtype:
        parts = _split(block, shapes)
        if all(a.__array_interface__ == part.__array_interface__ for a, part in zip(arrays, parts, strict=True)):
            return block, arrays
    block = np.concatenate([a.reshape(-1) for a in arrays])
    return block, list(_split(block, shapes))


def _split(block: np.ndarray, shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Yield views of consecutive parts of a block in the given shapes."""
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield block[start:stop].reshape(shape)
        start = stop


def _builder(part: tree.Tree, registers: list[Any], static: set[int]) -> Callable[[], tree.Tree]:
    """Return a function that builds a tree of values from one of numbers; a static part of it is built once."""
    if all(i in static for i in tree.leaves(part)):
        built = tree.map(registers.__getitem__, part)
        return lambda: built
    if isinstance(part, dict):
        entries = [(key, _builder(value, registers, static)) for key, value in part.items()]
        return lambda: {key: build() for key, build in entries}
    if isinstance(part, (list, tuple)):
        builders = [_builder(value, registers, static) for value in part]
        make = list if isinstance(part, list) else partial(tuple.__new__, type(part))  # also for named tuples
        return lambda: make([build() for build in builders])
    return lambda: registers[part]

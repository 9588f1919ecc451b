"""Execute a traced step in preallocated buffers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, compress
from operator import itemgetter
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.graph import owner, spec_of, structure
from anynet.backends.replay.memory import MemoryPlan


class Executable:
    """A traced step with its buffers, executed on the carry that it is bound to.

    Binding computes everything that is known before a step begins, and converts each node to an *instruction*, a function
    without arguments. Instructions use *registers*, a list of values. Static values are in their registers from the start;
    the step itself fills those of dynamic values, which include the batch.
    """

    def __init__(self, plan: MemoryPlan) -> None:
        self._plan, self._graph, self.nbytes = plan, plan.graph, plan.nbytes
        self._rebound = plan.graph.rebound
        blocks = [np.empty(size, dtype=np.uint8) for size in plan.blocks]
        self._initial: list[Any] = [None] * plan.size
        for value, (block, offset, spec) in plan.buffers.items():
            self._initial[value] = np.ndarray(spec.shape, spec.dtype, blocks[block], offset, spec.strides)
        self.unbind()

    def unbind(self) -> None:
        """Release the arrays of the carry, and of a step that did not finish."""
        self._registers: list[Any] = []
        self._instructions: list[Callable[[], Any]] = []
        self._bound: list[Any] = []
        self._make_carry: Callable[[], Any] = tuple
        self._make_out: Callable[[], Any] = tuple

    def bind(self, carry: tree.Tree, leaves: list[Any]) -> bool:
        """Prepare the instructions, and return whether the carry has the traced structure.

        Leaves that are packed for an update are replaced in the list.
        """
        plan, graph, registers = self._plan, self._graph, self._initial.copy()
        if structure(carry) != graph.structure:
            return False
        for value, members in plan.packed.items():
            registers[value], parts = _pack([leaves[i] for i in members])
            for i, part in zip(members, parts, strict=True):
                leaves[i] = part
        for i, is_in_place in enumerate(graph.in_place):
            if is_in_place:
                registers[i] = leaves[i]
        instructions: list[Callable[[], Any]] = []
        for node, released in zip(plan.nodes, plan.released, strict=False):
            output = node.output
            function = partial(node.function, **node.options) if node.options else node.function
            args = [arg if i is None else registers[i] for arg, i in zip(node.args, node.inputs, strict=True)]
            if output in plan.buffers:
                function, output = partial(plan.out_functions[output], out=registers[output], **node.options), None
            elif output in plan.static:
                registers[output] = function(*args)
                if owner(registers[output]) is not owner(registers[graph.views[output]]):
                    return False
                continue
            if output is None and all(i is None or i in plan.static for i in node.inputs):
                instructions.append(partial(function, *args))
            else:
                instructions.append(_instruction(function, args, node.inputs, registers, output))
            instructions += [partial(operator.setitem, registers, i, None) for i in released]
        self._instructions, self._registers, self._bound = instructions, registers, self._in_place(leaves)
        self._make_carry = _builder(graph.new_carry, registers, plan.static)
        self._make_out = _builder(graph.out, registers, plan.static)
        return True

    def is_bound(self, leaves: list[Any]) -> bool:
        """Return whether the executable is bound to these leaves of a carry."""
        graph = self._graph
        return (
            bool(self._instructions)
            and len(leaves) == len(graph.in_place)
            and all(map(operator.is_, self._in_place(leaves), self._bound))
            and all(spec_of(leaves[i]) == graph.specs[i] for i, _ in self._rebound)
        )

    def _in_place(self, leaves: list[Any]) -> list[Any]:
        return list(compress(leaves, self._graph.in_place))

    def run(self, leaves: list[Any], batch: Sequence[Any]) -> tuple[tree.Tree, tree.Tree]:
        """Take a step from the bound carry; update `leaves` to the new carry."""
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
    """Return a function that reads arguments from registers, and writes its result to one.

    Constants are put into additional registers, so that all arguments are fetched at once.
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
    """Return a block of packed arrays and its parts: the arrays themselves, if already packed."""
    shapes, block = [a.shape for a in arrays], owner(arrays[0])
    if block.ndim == 1 and block.size == sum(a.size for a in arrays) and block.dtype == arrays[0].dtype:
        parts = _split(block, shapes)
        if all(a.__array_interface__ == part.__array_interface__ for a, part in zip(arrays, parts, strict=True)):
            return block, arrays
    block = np.concatenate([a.reshape(-1) for a in arrays])
    return block, _split(block, shapes)


def _split(block: np.ndarray, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Return views of consecutive parts of a block in the given shapes."""
    stops = list(accumulate(map(math.prod, shapes)))
    return [part.reshape(shape) for part, shape in zip(np.split(block, stops[:-1]), shapes, strict=True)]


def _builder(part: tree.Tree, registers: list[Any], static: set[int]) -> Callable[[], tree.Tree]:
    """Return a function that replaces a tree's numbers by values; static parts are built once."""
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

"""Execute a traced step in preallocated buffers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate, compress
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.replay.graph import owner, spec_of, structure
from anynet.backends.replay.memory import MemoryPlan
from anynet.backends.replay.source import StepSource


class Executable:
    """A traced step with its buffers, executed on the carry that it is bound to.

    Binding computes everything that is known before a step begins: static values, and with them the constants of the function
    that `StepSource` writes. Other values are local variables of that function, so that nothing of a batch outlives its step.
    """

    def __init__(self, plan: MemoryPlan) -> None:
        self._plan, self._graph, self.nbytes = plan, plan.graph, plan.nbytes
        self.is_steady = plan.graph.is_steady
        """Whether the next step can be executed: the carry keeps its specs."""
        blocks = [np.empty(size, dtype=np.uint8) for size in plan.blocks]
        self._initial: list[Any] = [None] * plan.size
        for value, (block, offset, spec) in plan.buffers.items():
            self._initial[value] = np.ndarray(spec.shape, spec.dtype, blocks[block], offset, spec.strides)
        source = StepSource(plan)
        self._resolvers, self._make = source.resolvers, source.compile()
        self.unbind()

    def unbind(self) -> None:
        """Release the arrays of the carry."""
        self._bound: list[Any] = []
        self.run: Callable[[list[Any], Sequence[Any]], tuple[tree.Tree, tree.Tree]] = _refuse
        """Take a step from the bound carry, given its leaves and a batch; update the leaves to the new carry."""

    def bind(self, carry: tree.Tree, leaves: list[Any]) -> bool:
        """Prepare the step, and return whether the carry has the traced structure.

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
        for node in plan.nodes:
            output = node.output
            if output is None or output in plan.buffers or output not in plan.static:
                continue
            args = [arg if i is None else registers[i] for arg, i in zip(node.args, node.inputs, strict=True)]
            registers[output] = node.function(*args, **node.options)
            if owner(registers[output]) is not owner(registers[graph.views[output]]):
                return False
        self.run = self._make(*[resolve(registers) for resolve in self._resolvers])
        self._bound = self._in_place(leaves)
        return True

    def is_bound(self, leaves: list[Any]) -> bool:
        """Return whether the executable is bound to these leaves of a carry."""
        graph = self._graph
        return (
            self.run is not _refuse
            and len(leaves) == len(graph.in_place)
            and all(map(operator.is_, self._in_place(leaves), self._bound))
            and all(spec_of(leaves[i]) == graph.specs[i] for i, _ in graph.rebound)
        )

    def _in_place(self, leaves: list[Any]) -> list[Any]:
        return list(compress(leaves, self._graph.in_place))


def _refuse(leaves: list[Any], batch: Sequence[Any]) -> Any:
    raise RuntimeError("a step that is not bound to a carry")


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

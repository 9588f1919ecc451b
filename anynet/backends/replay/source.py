"""Write the nodes of a planned step as the source of one Python function.

A line per node calls a function of NumPy; intermediate results without a buffer are local variables. Everything that is known
before a step begins, such as functions and buffers, is a *constant*: a variable of the enclosing function, resolved when the step
is bound to a carry.

>>> import numpy as np
>>> from anynet.backends.replay.trace import trace
>>> graph = trace(lambda carry, x: (carry, -(x * x) + 1), np.zeros(3), (np.ones(3),))
>>> print(StepSource(MemoryPlan(graph)).text)
def make(c0, c1, c2, c3, c4, c5):
  def step(leaves, batch):
    v1, = batch
    c1(v1, v1, out=c0)
    v1 = None
    c3(c0, out=c2)
    v4 = c2 + c4
    return c5, v4
  return step
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from anynet import tree
from anynet.arrays.programs import Scratch
from anynet.backends.replay.graph import Node
from anynet.backends.replay.memory import MemoryPlan
from anynet.backends.replay.operations import FusedCall, UpdateRows, is_kept

Registers = list[Any]
"""The values that are known before a step begins, by number; None for others."""

INFIX: dict[Callable[..., Any], str] = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.matmul: "@",
    operator.and_: "&",
    operator.or_: "|",
    operator.xor: "^",
    operator.lshift: "<<",
    operator.rshift: ">>",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}


class StepSource:
    """The source of ``make(*constants)``, which returns ``step(leaves, batch) -> (carry, out)``.

    Attributes
    ----------
    text : str
        The source.
    resolvers : list of callable
        For each constant, a function of the registers that returns it.
    """

    def __init__(self, plan: MemoryPlan) -> None:
        self.resolvers: list[Callable[[Registers], Any]] = []
        self._plan, self._scratch = plan, Scratch()
        self._names: dict[Any, str] = {}
        graph, lines = plan.graph, []
        lines += [f"{self._value(i)} = leaves[{i}]" for i, _ in graph.rebound]
        if graph.batch:
            lines.append("".join(f"{self._value(i)}, " for i in graph.batch) + "= batch")
        for node, released in zip(plan.nodes, plan.released, strict=False):
            line = self._line(node)
            if line:
                lines.append(line)
            lines += [f"{self._value(i)} = None" for i in released]
        lines += [f"leaves[{i}] = {self._value(value)}" for i, value in graph.rebound]
        lines.append(f"return {self._tree(graph.new_carry)}, {self._tree(graph.out)}")
        names = ", ".join(f"c{i}" for i in range(len(self.resolvers)))
        body = "".join(f"    {line}\n" for line in lines)
        self.text = f"def make({names}):\n  def step(leaves, batch):\n{body}  return step"

    def compile(self) -> Callable[..., Callable[[list[Any], Any], tuple[tree.Tree, tree.Tree]]]:
        """Return ``make``."""
        namespace: dict[str, Any] = {}
        exec(compile(self.text, f"<{__name__}>", "exec"), namespace)
        made: Callable[..., Any] = namespace.pop("make")
        return made

    def _line(self, node: Node) -> str:
        """Return the line of a node, or "" if it needs none."""
        plan, function, output = self._plan, node.function, node.output
        if output in plan.static and output not in plan.buffers:
            return ""
        args = [
            self._object(arg) if i is None else self._value(i) for arg, i in zip(node.args, node.inputs, strict=True)
        ]
        options = [f"{name}={self._object(value)}" for name, value in node.options.items()]
        if output in plan.buffers:
            function, out = plan.out_functions[output], self._value(output)
            if is_kept(function):
                return ""
            return self._call(function, [*args, *options, f"out={out}"])
        if output is None:
            return self._write(node, args)
        if function in INFIX and len(args) == 2:
            return f"{self._value(output)} = {args[0]} {INFIX[function]} {args[1]}"
        return f"{self._value(output)} = {self._call(function, args + options)}"

    def _write(self, node: Node, args: list[str]) -> str:
        """Return the line of a node that writes to some of its arguments."""
        function, inputs, static, scratch = node.function, node.inputs, self._plan.static, self._scratch
        if isinstance(function, UpdateRows):
            end = function.rows * function.width
            if static.issuperset(inputs[:end]):

                def update(registers: Registers) -> Callable[..., None]:
                    return function.bind([registers[i] for i in inputs[:end] if i is not None])

                return f"{self._constant(update)}(({''.join(f'{arg}, ' for arg in args[end:])}))"
        elif isinstance(function, FusedCall):
            dynamic = [position for position, i in enumerate(inputs) if i is not None and i not in static]
            if all(self._plan.size_of(i) == 1 for i in inputs if i is not None and i not in static):

                def bound(registers: Registers) -> Callable[..., None]:
                    values = [arg if i is None else registers[i] for arg, i in zip(node.args, inputs, strict=True)]
                    return function.bind(values, dynamic, scratch)

                return f"{self._constant(bound)}({', '.join(args[position] for position in dynamic)})"
        return self._call(function, args)

    def _call(self, function: Callable[..., Any], args: list[str]) -> str:
        return f"{self._object(function)}({', '.join(args)})"

    def _value(self, i: int) -> str:
        """Return the name of a value."""
        return self._constant(lambda registers: registers[i], i) if i in self._plan.static else f"v{i}"

    def _object(self, value: Any) -> str:
        """Return the name of a constant that is the same for every carry."""
        return self._constant(lambda _: value, (id(value),))  # the resolver keeps the object, and so its id

    def _constant(self, resolve: Callable[[Registers], Any], key: Any = None) -> str:
        name = self._names.get(key) if key is not None else None
        if name is None:
            name = f"c{len(self.resolvers)}"
            self.resolvers.append(resolve)
            if key is not None:
                self._names[key] = name
        return name

    def _tree(self, part: tree.Tree) -> str:
        """Return an expression for a tree of values; parts that are static are built once."""
        if self._plan.static.issuperset(tree.leaves(part)):
            return self._constant(lambda registers: tree.map(registers.__getitem__, part))
        if isinstance(part, dict):
            return f"{{{', '.join(f'{self._object(key)}: {self._tree(value)}' for key, value in part.items())}}}"
        if isinstance(part, (list, tuple)):
            values = "".join(f"{self._tree(value)}, " for value in part)
            if isinstance(part, list):
                return f"[{values}]"
            return (
                f"({values})"
                if type(part) is tuple
                else self._call(tuple.__new__, [self._object(type(part)), f"({values})"])
            )
        return self._value(part)

"""Trace a pure function of NumPy arrays: run it on tracers that record its operations.

A tracer wraps an array and implements the array API standard. It executes each operation, adds a node to the graph, and wraps
the result. An operation that needs a value on the host (``if``, ``float()``), writes to elements, or has a result whose shape
depends on values, raises `UntraceableError`, because a graph must be valid for other values too.

>>> import numpy as np
>>> graph = trace(lambda carry, x: (carry + x, carry), np.zeros(3), (np.ones(3),))
>>> [(node.function.__name__, node.inputs, node.output) for node in graph.nodes]
[('add', (0, 1), 2)]
>>> graph.new_carry, graph.out
(2, 0)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays import numpy_namespace
from anynet.arrays.compiling import Elementwise
from anynet.arrays.scatter import scatter_add
from anynet.backends.replay.graph import Graph, Node, owner, spec_of, structure
from anynet.backends.replay.operations import TRACEABLE_FUNCTIONS, UFUNCS, Concatenation, FusedCall, UpdateRows, quick


class UntraceableError(Exception):
    """The function does something that a graph cannot represent."""


def refuse(graph: Graph, reason: str) -> UntraceableError:
    """Return the exception for an untraceable operation, and mark the graph as invalid."""
    graph.untraceable = reason
    return UntraceableError(reason)


def wrap(graph: Graph, value: Any) -> Tracer | None:
    """Return a tracer of an array; None is numbered too, and remains None."""
    graph.specs.append(None if value is None else spec_of(value))
    return None if value is None else Tracer(value, graph, len(graph.specs) - 1)


def apply(graph: Graph, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Execute an operation, add its node, and return its result."""
    function, args = _unpack(function, args)
    if any(isinstance(value, Tracer) for value in options.values()):
        raise refuse(graph, "an array passed by keyword")
    values = [arg.value if isinstance(arg, Tracer) else arg for arg in args]
    function, options = quick(function, values, options)
    made = function(*values, **options)
    if isinstance(made, (tuple, list)):
        raise refuse(graph, "several results")
    if not isinstance(made, (np.ndarray, np.generic)):
        return made  # a dtype or a shape
    if isinstance(made, np.ndarray):  # unlike scalars: NumPy has only one True and one False
        for arg, value in zip(args, values, strict=True):
            if made is value:
                return arg
    result: Any = wrap(graph, made)
    for arg in args:
        if isinstance(arg, Tracer) and owner(arg.value) is owner(made):
            graph.views[result.number] = arg.number
            break
    _add_node(graph, function, args, options, result.number)
    return result


def apply_in_place(graph: Graph, function: Callable[..., Any], args: Sequence[Any], written: Sequence[Any]) -> None:
    """Execute an operation that writes to some of its arguments, and add its node.

    A step may write to its carry and to results, but not to constants or to the batch, which belongs to the user.
    """
    if not all(isinstance(arg, Tracer) and graph.root(arg.number) not in graph.batch for arg in written):
        raise refuse(graph, "writing to an array that the step does not own")
    function(*[arg.value if isinstance(arg, Tracer) else arg for arg in args])
    _add_node(graph, function, args, {}, None)


def _add_node(
    graph: Graph, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any], output: int | None
) -> None:
    constants = tuple([None if isinstance(arg, Tracer) else arg for arg in args])
    inputs = tuple([arg.number if isinstance(arg, Tracer) else None for arg in args])
    graph.nodes.append(Node(function, constants, options, inputs, output))


def trace(step: Callable[..., tuple[Any, Any]], carry: tree.Tree, batch: Sequence[Any]) -> Graph:
    """Run ``step(carry, *batch)`` once and return its graph. Arrays of the carry may change.

    Raises
    ------
    UntraceableError
        If a graph cannot represent the step. The step itself may raise other exceptions because of the tracers.
    """
    graph = Graph()
    graph.structure = structure(carry)
    wrapped = tree.map(lambda leaf: wrap(graph, leaf), carry)
    leaves = tree.leaves(wrapped)
    graph.batch = range(len(leaves), len(leaves) + len(batch))
    new, out = step(wrapped, *[wrap(graph, array) for array in batch])
    if graph.untraceable is not None:
        raise UntraceableError(graph.untraceable)
    if [path for path, _ in tree.leaves_with_paths(wrapped)] != [path for path, _ in tree.leaves_with_paths(new)]:
        raise UntraceableError("a new carry of another structure")
    graph.in_place = [old is now for old, now in zip(leaves, tree.leaves(new), strict=True)]
    graph.new_carry, graph.out = (tree.map(lambda tracer: tracer.number, part) for part in (new, out))
    graph.nodes = _needed(graph)
    return graph


def _needed(graph: Graph) -> list[Node]:
    """Return the nodes that write to arrays, or whose results are used."""
    used, nodes = {*(value for _, value in graph.rebound), *tree.leaves(graph.out)}, []
    for node in reversed(graph.nodes):
        if node.output is None or node.output in used:
            nodes.append(node)
            used |= {i for i in node.inputs if i is not None}
    return nodes[::-1]


def traceable(run: Callable[..., None]) -> Callable[..., None]:
    """Make ``run(rows, coefficients)`` of a backend add a node if rows are tracers."""

    def run_or_trace(rows: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
        first = rows[0][0]
        if not isinstance(first, Tracer):
            return run(rows, coefficients)
        args = [array for row in rows for array in row]
        written = [array for p, _, *slots in rows for array in (p, *slots)]
        return apply_in_place(first.graph, UpdateRows(run, len(rows), len(rows[0])), (*args, *coefficients), written)

    return run_or_trace


def _unpack(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Replace a list of arrays, as `concat` and `stack` take, by one argument per array."""
    if args and isinstance(args[0], (list, tuple)) and any(isinstance(part, Tracer) for part in args[0]):
        count, rest = len(args[0]), args[1:]
        if function is np.concatenate and not rest:
            return Concatenation(), args[0]
        return (lambda *parts, **options: function(parts[:count], *parts[count:], **options)), (*args[0], *rest)
    return function, args


class TracerNamespace:
    """The namespace of tracers: NumPy's, restricted to traceable operations."""

    def __getattr__(self, name: str) -> Any:
        found = scatter_add if name == "scatter_add" else getattr(numpy_namespace, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*args: Any, **options: Any) -> Any:
            for arg in args:
                for part in arg if isinstance(arg, (list, tuple)) else (arg,):
                    if isinstance(part, Tracer):
                        if name not in TRACEABLE_FUNCTIONS:
                            raise refuse(part.graph, f"{name}, whose result shape may depend on values")
                        return apply(part.graph, found, args, options)
            return found(*args, **options)

        setattr(self, name, function)
        return function


NAMESPACE = TracerNamespace()


class Tracer:
    """An array or NumPy scalar whose operations are recorded in a graph."""

    __slots__ = ("graph", "number", "value")
    __array_ufunc__ = None  # operators of NumPy arrays defer to this class, and functions of NumPy raise
    __hash__ = object.__hash__
    device = "cpu"

    def __init__(self, value: Any, graph: Graph, number: int) -> None:
        self.value, self.graph, self.number = value, graph, number

    @property
    def T(self) -> Tracer:
        return apply(self.graph, np.transpose, (self,), {})

    def __array_namespace__(self, api_version: str | None = None) -> TracerNamespace:
        return NAMESPACE

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Tracer:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(map(_is_static_index, parts)):
            raise refuse(self.graph, f"indexing by {key!r}")
        if not any(isinstance(part, Tracer) for part in parts):
            return apply(self.graph, lambda x: x[key], (self,), {})
        if isinstance(key, tuple):
            return apply(self.graph, lambda x, *parts: x[parts], (self, *parts), {})
        return apply(self.graph, operator.getitem, (self, key), {})

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "size", "dtype"):
            return getattr(self.value, name)
        if name.startswith("__"):
            raise AttributeError(name)  # Python and libraries look for protocols
        raise refuse(self.graph, f"the attribute {name}")

    @staticmethod
    def apply_fused(function: Elementwise, *args: Any) -> Any:
        """Add one node for a large result, or the nodes of the function as written."""
        values = [arg.value if isinstance(arg, Tracer) else arg for arg in args]
        described = function.results(*values)
        if described is None:
            return function.function(*args)
        results, is_tuple = described
        graph = next(arg.graph for arg in args if isinstance(arg, Tracer))
        outs = [apply(graph, np.empty, result, {}) for result in results]
        apply_in_place(graph, FusedCall(function, len(outs)), (*outs, *args), outs)
        return tuple(outs) if is_tuple else outs[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise refuse(self.graph, "a value on the host")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __array__ = __setitem__ = __iter__ = _refuse


def _is_static_index(part: Any) -> bool:
    """Return whether an index, unlike a mask, selects a shape that follows from shapes."""
    if isinstance(part, (Tracer, np.ndarray, np.generic)):
        return part.dtype.kind in "iu"
    return part is None or part is ... or type(part) in (int, slice)


def _operator(function: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """Return the methods of an operator: forward, reflected and in place."""

    def forward(self: Tracer, *other: Any) -> Any:
        return apply(self.graph, function, (self, *other), {})

    def reflected(self: Tracer, other: Any) -> Any:
        return apply(self.graph, function, (other, self), {})

    def in_place(self: Tracer, other: Any) -> Any:
        if not isinstance(self.value, np.ndarray) or function not in UFUNCS:
            return forward(self, other)
        apply_in_place(self.graph, UFUNCS[function], (self, other, self), (self,))
        return self

    return forward, reflected, in_place


for _function in (*UFUNCS, operator.pow):
    for _prefix, _method in zip(("", "r", "i"), _operator(_function), strict=True):
        setattr(
            Tracer, f"__{_prefix}{_function.__name__.strip('_')}__", _method
        )  # Python ignores some, such as __rlt__

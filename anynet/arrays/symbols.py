"""Trace an elementwise function: run it once on symbols that record its operations.

A formula is valid for arrays of the traced dtypes. Each operation has the dtype that NumPy would choose for it, also for Python
numbers, which take the dtype of the array that they meet.

>>> import numpy as np
>>> formula = trace(lambda x: 2.0 * x + 1.0, [np.dtype("float32")])
>>> [(step.ufunc.__name__, step.inputs, step.dtype.name) for step in formula.operations]
[('multiply', (np.float32(2.0), 0), 'float32'), ('add', (1, np.float32(1.0)), 'float32')]
>>> formula.results
(2,)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import numpy as compat

from anynet.arrays import numpy_namespace


class UntraceableFormulaError(Exception):
    """The function uses something that is not an elementwise operation of symbols."""


class Operation(NamedTuple):
    """An elementwise operation; `inputs` are numbers of values (int) and constants (NumPy scalars).

    `ufunc` is a ufunc, `np.where` or `np.astype`.
    """

    ufunc: Callable[..., Any]
    inputs: tuple[Any, ...]
    dtype: np.dtype


class Formula(NamedTuple):
    """Operations on numbered values: first the arguments, then the results of the operations."""

    arguments: tuple[np.dtype, ...]
    operations: tuple[Operation, ...]
    results: tuple[int, ...]
    returns_tuple: bool

    def dtype(self, value: int) -> np.dtype:
        """Return the dtype of a value."""
        count = len(self.arguments)
        return self.arguments[value] if value < count else self.operations[value - count].dtype


class Symbol:
    """An array of a formula. It has a dtype but no shape."""

    __slots__ = ("dtype", "number", "operations")
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, number: int, dtype: np.dtype, operations: list[Operation]) -> None:
        self.number, self.dtype, self.operations = number, dtype, operations

    def __array_namespace__(self, api_version: str | None = None) -> _Namespace:
        return _NAMESPACE

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise UntraceableFormulaError("a value")

    __bool__ = __float__ = __int__ = __index__ = __array__ = __iter__ = __getitem__ = __len__ = _refuse


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> Formula:
    """Return the formula of a function of arrays, given as dtypes, and of other arguments.

    Raises
    ------
    UntraceableFormulaError
        If the function cannot be written as a formula. The function itself may raise other exceptions because of the symbols.
    """
    dtypes = tuple([a for a in arguments if isinstance(a, np.dtype)])
    operations = _Operations(len(dtypes))
    numbers = iter(range(len(dtypes)))
    made = function(*[Symbol(next(numbers), a, operations) if isinstance(a, np.dtype) else a for a in arguments])
    results = made if isinstance(made, tuple) else (made,)
    if not all(isinstance(value, Symbol) for value in results):
        raise UntraceableFormulaError("a result that is not an array")
    return Formula(dtypes, tuple(operations), tuple([value.number for value in results]), isinstance(made, tuple))


class _Operations(list[Operation]):
    def __init__(self, arguments: int) -> None:
        super().__init__()
        self.arguments = arguments


def _apply(ufunc: Callable[..., Any], *args: Any) -> Symbol:
    """Record an operation and return the symbol of its result."""
    operations: Any = next(arg.operations for arg in args if isinstance(arg, Symbol))
    if isinstance(ufunc, np.ufunc):
        if ufunc.nout != 1 or ufunc.nin != len(args) or ufunc.signature is not None:
            raise UntraceableFormulaError(ufunc.__name__)
        given = [arg.dtype if isinstance(arg, (Symbol, np.generic)) else type(arg) for arg in args]
        *expected, dtype = ufunc.resolve_dtypes((*given, None))
    elif ufunc is np.where:
        dtype = np.result_type(*[arg.dtype if isinstance(arg, (Symbol, np.generic)) else arg for arg in args[1:]])
        expected = [np.dtype(bool), dtype, dtype]
    else:  # astype
        args, dtype = args[:1], np.dtype(args[1])
        expected = [args[0].dtype]
    inputs: list[Any] = []
    for arg, needed in zip(args, expected, strict=True):
        if not isinstance(arg, Symbol):
            inputs.append(np.asarray(arg, needed)[()])
        elif arg.dtype != needed:
            raise UntraceableFormulaError(f"{arg.dtype} where {needed} is needed")
        else:
            inputs.append(arg.number)
    operations.append(Operation(ufunc, tuple(inputs), dtype))
    return Symbol(operations.arguments + len(operations) - 1, dtype, operations)


class _Namespace(ModuleType):
    """The namespace of symbols: the ufuncs of NumPy's, and `where`, `astype`, dtypes and `finfo`."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(numpy_namespace, name)
        if isinstance(found, type) or name in ("finfo", "iinfo", "isdtype", "pi", "e"):
            return found
        if found is compat.astype:
            found = np.astype
        elif not isinstance(found, np.ufunc) and found is not np.where:
            raise UntraceableFormulaError(name)

        def function(*args: Any) -> Any:
            return _apply(found, *args) if any(isinstance(arg, Symbol) for arg in args) else found(*args)

        setattr(self, name, function)
        return function


_NAMESPACE = _Namespace("symbols")

OPERATORS: dict[Callable[..., Any], np.ufunc] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.truediv: np.divide,
    operator.and_: np.bitwise_and,
    operator.or_: np.bitwise_or,
    operator.xor: np.bitwise_xor,
    operator.lshift: np.left_shift,
    operator.rshift: np.right_shift,
    operator.lt: np.less,
    operator.le: np.less_equal,
    operator.gt: np.greater,
    operator.ge: np.greater_equal,
    operator.eq: np.equal,
    operator.ne: np.not_equal,
    operator.neg: np.negative,
    operator.invert: np.invert,
    operator.abs: np.absolute,
}
"""Operators and their ufuncs. `**` is missing because it takes shortcuts that `np.power` does not."""


def _methods(ufunc: np.ufunc) -> tuple[Any, Any]:
    return (lambda self, *other: _apply(ufunc, self, *other)), (lambda self, other: _apply(ufunc, other, self))


for _function, _ufunc in OPERATORS.items():
    for _prefix, _method in zip(("", "r"), _methods(_ufunc), strict=True):
        setattr(Symbol, f"__{_prefix}{_function.__name__.strip('_')}__", _method)

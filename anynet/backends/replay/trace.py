"""Writing down what a pure function does to its arrays, operation by operation, while NumPy does it.

The arrays go in wrapped. A wrapped array does what an array API array does: it carries out each operation, notes it, and
wraps the result. What would need a number of it on the host, an `if`, a `float()`, an assignment to a slice, raises: what is
written down must hold for other numbers too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from anynet.arrays.namespace import Array
from anynet.arrays.scatter import scatter_add


class CannotRecord(Exception):
    """The function did something that cannot be written down."""


class Operation(NamedTuple):
    """An operation, ``function(*args, **options)``, on numbered values.

    `numbers` has that of each argument, or None for one that is always the same; `result` is None where one of them is changed.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    numbers: tuple[int | None, ...]
    result: int | None


class Kind(NamedTuple):
    """What is known of a value: the same whatever its numbers are."""

    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    nbytes: int
    in_order: bool
    """Whether it lies in memory in the order of its axes."""
    is_array: bool
    """Whether it is an array with axes, no single number."""


class Recorder:
    """A list of operations, and the kinds of all values in them."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.kinds: list[Kind | None] = []
        self.inputs: set[int] = set()
        """Numbers of the batch's arrays."""
        self.sources: dict[int, int] = {}
        """For each value that is a view, the number of the one that it looks at."""
        self.refused: str | None = None
        """Why the function cannot be written down, also where it caught the exception."""

    def refuse(self, reason: str) -> CannotRecord:
        """Return the exception to raise; the recording is void, even if it is caught."""
        self.refused = reason
        return CannotRecord(reason)

    def wrap(self, value: Array | None) -> Recorded | None:
        """Return an array, wrapped, with the next number; None, which has a number too, stays None."""
        self.kinds.append(None if value is None else kind(value))
        return None if value is None else Recorded(value, self, len(self.kinds) - 1)

    def input(self, value: Array | None) -> Recorded | None:
        """Wrap an array of a batch."""
        self.inputs.add(len(self.kinds))
        return self.wrap(value)

    def root(self, number: int) -> int:
        """Return the number of the array in whose memory a value lies."""
        while (source := self.sources.get(number)) is not None:
            number = source
        return number

    def call(self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Carry out an operation, note it, and return its result."""
        function, args = _spread(function, args)
        if any(isinstance(value, Recorded) for value in options.values()):
            raise self.refuse("an array that is given by name")
        values = [arg.value if isinstance(arg, Recorded) else arg for arg in args]
        made = function(*values, **options)
        if not isinstance(made, (np.ndarray, np.generic)):
            if isinstance(made, (tuple, list)):
                raise self.refuse("several results")
            return made  # a dtype or a shape: the same for all numbers
        if isinstance(made, np.ndarray):  # numbers may be the same object by chance: NumPy has one True and one False
            for arg, value in zip(args, values, strict=True):
                if made is value:
                    return arg
        result: Any = self.wrap(made)
        for arg in args:
            if isinstance(arg, Recorded) and owner(arg.value) is owner(made):
                self.sources[result.number] = arg.number
                break
        self._note(function, args, options, result.number)
        return result

    def change(self, function: Callable[..., Any], args: Sequence[Any], written: Sequence[Any]) -> None:
        """Carry out an operation that writes to some of its arguments, and note it.

        These must be arrays of the carry, or results: not a batch, which is the user's, nor a constant.
        """
        if not all(isinstance(arg, Recorded) and self.root(arg.number) not in self.inputs for arg in written):
            raise self.refuse("an array that is not the step's is changed")
        function(*[arg.value if isinstance(arg, Recorded) else arg for arg in args])
        self._note(function, args, {}, None)

    def _note(
        self, function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any], result: int | None
    ) -> None:
        wrapped = [isinstance(arg, Recorded) for arg in args]
        plain = tuple([None if is_wrapped else arg for arg, is_wrapped in zip(args, wrapped, strict=True)])
        numbers = tuple([arg.number if is_wrapped else None for arg, is_wrapped in zip(args, wrapped, strict=True)])
        self.operations.append(Operation(function, plain, options, numbers, result))


def kind(value: Array) -> Kind:
    """Return what is known of an array, or of a number of NumPy's."""
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    return Kind(value.shape, value.dtype, value.strides, value.nbytes, value.flags.c_contiguous, is_array)


def owner(array: Any) -> Any:
    """Return the array that memory belongs to."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array


class Update:
    """A run of an update rule over rows, whose arrays and coefficients come one by one."""

    def __init__(self, run: Callable[..., None], rows: int, width: int) -> None:
        self.run, self.rows, self.width = run, rows, width

    def __call__(self, *args: Any) -> None:
        width, end = self.width, self.rows * self.width
        self.run([args[i : i + width] for i in range(0, end, width)], args[end:])


def recordable(run: Callable[..., None]) -> Callable[..., None]:
    """Return ``run(rows, coefficients)`` of a backend as something that notes it where the rows are wrapped."""

    def either(rows: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
        first = rows[0][0]
        if not isinstance(first, Recorded):
            return run(rows, coefficients)
        flat = [array for row in rows for array in row]
        written = [array for p, _, *slots in rows for array in (p, *slots)]
        return first.recorder.change(Update(run, len(rows), len(rows[0])), (*flat, *coefficients), written)

    return either


def _spread(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Return a function that takes the arrays of a first argument such as `concat`'s one by one."""
    if args and isinstance(args[0], (list, tuple)) and any(isinstance(part, Recorded) for part in args[0]):
        count, rest = len(args[0]), args[1:]
        return (lambda *parts, **options: function(parts[:count], *parts[count:], **options)), (*args[0], *rest)
    return function, args


_STATIC = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
bitwise_right_shift bitwise_xor ceil clip copysign cos cosh divide equal exp expm1 floor floor_divide greater
greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow reciprocal remainder round
sign signbit sin sinh sqrt square subtract tan tanh trunc where

all any argmax argmin count_nonzero cumulative_prod cumulative_sum diff max mean min prod std sum var
argsort searchsorted sort take take_along_axis

asarray astype broadcast_to can_cast full_like ones_like result_type zeros_like
concat expand_dims flip matrix_transpose moveaxis permute_dims reshape roll squeeze stack tile tril triu
matmul scatter_add tensordot vecdot
"""
STATIC = frozenset(_STATIC.split())
"""Functions of the standard whose results' shapes and dtypes follow from those of their arrays. Any other ends a recording."""


class Namespace:
    """array-api-compat's namespace of NumPy for wrapped arrays."""

    def __getattr__(self, name: str) -> Any:
        import array_api_compat.numpy as compat  # not above: layers import this module, whatever their arrays are

        found = scatter_add if name == "scatter_add" else getattr(compat, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*args: Any, **options: Any) -> Any:
            for arg in args:
                for part in arg if isinstance(arg, (list, tuple)) else (arg,):
                    if isinstance(part, Recorded):
                        if name not in STATIC:
                            raise part.recorder.refuse(f"{name}, whose result may have another shape for other numbers")
                        return part.recorder.call(found, args, options)
            return found(*args, **options)

        setattr(self, name, function)
        return function


NAMESPACE = Namespace()


class Recorded:
    """A wrapped array, or a NumPy number."""

    __slots__ = ("number", "recorder", "value")
    __array_ufunc__ = None  # NumPy's arrays leave their operators to this class, and its functions refuse it
    __hash__ = object.__hash__
    device = "cpu"

    def __init__(self, value: Any, recorder: Recorder, number: int) -> None:
        self.value, self.recorder, self.number = value, recorder, number

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def T(self) -> Recorded:
        return self.recorder.call(np.transpose, (self,), {})

    def __array_namespace__(self, api_version: str | None = None) -> Namespace:
        return NAMESPACE

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Recorded:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(map(_is_static, parts)):
            raise self.recorder.refuse(f"an index of {key!r}")
        if not any(isinstance(part, Recorded) for part in parts):
            return self.recorder.call(lambda x: x[key], (self,), {})
        if isinstance(key, tuple):
            return self.recorder.call(lambda x, *parts: x[parts], (self, *parts), {})
        return self.recorder.call(operator.getitem, (self, key), {})

    def __neg__(self) -> Recorded:
        return self.recorder.call(operator.neg, (self,), {})

    def __invert__(self) -> Recorded:
        return self.recorder.call(operator.invert, (self,), {})

    def __abs__(self) -> Recorded:
        return self.recorder.call(operator.abs, (self,), {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python and libraries look for protocols
        raise self.recorder.refuse(f"the attribute {name}")

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise self.recorder.refuse("a number was asked for")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __array__ = __setitem__ = __iter__ = _refuse


def _is_static(part: Any) -> bool:
    """Return whether the shape of a result of indexing by `part` follows from shapes: not with masks or lists."""
    if isinstance(part, (Recorded, np.ndarray, np.generic)):
        return part.dtype.kind in "iu"
    return part is None or part is ... or type(part) in (int, slice)


def _operator(function: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """Return the methods of a binary operator: forward, reflected and in place."""

    def forward(self: Recorded, other: Any) -> Any:
        return self.recorder.call(function, (self, other), {})

    def reflected(self: Recorded, other: Any) -> Any:
        return self.recorder.call(function, (other, self), {})

    def in_place(self: Recorded, other: Any) -> Any:
        if not isinstance(self.value, np.ndarray) or function not in UFUNCS:
            return forward(self, other)
        self.recorder.change(UFUNCS[function], (self, other, self), (self,))
        return self

    return forward, reflected, in_place


UFUNCS: dict[Callable[..., Any], np.ufunc] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.truediv: np.divide,
    operator.floordiv: np.floor_divide,
    operator.mod: np.remainder,
    operator.matmul: np.matmul,
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
"""What an operator does with arrays of one axis or more. `**` is left out: arrays take shortcuts that `np.power` does not."""

_NAMES = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _name in _NAMES:
    _forward, _reflected, _in_place = _operator(getattr(operator, f"__{_name}__"))
    setattr(Recorded, f"__{_name}__", _forward)
    setattr(Recorded, f"__r{_name}__", _reflected)
    setattr(Recorded, f"__i{_name}__", _in_place)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Recorded, f"__{_name}__", _operator(getattr(operator, _name))[0])

"""Checks of arguments; errors read ``where: expected <condition>, got <actual>; <what to do>``."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.names.text import advice

LONG_ROW = 256
"""Numbers of a row from which the sum of an array is computed by rows."""


def plural(count: int, noun: str) -> str:
    """Return a number with its noun, such as "1 row" or "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 'es' if noun.endswith('batch') else 's'}"


def check_int(where: str, name: str, value: Any, *, at_least: int) -> int:
    """Return `value` as an int, or raise unless it is an integer >= `at_least`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{where}: expected {name} to be an integer, got {value!r}") from None
    if number < at_least:
        raise ValueError(f"{where}: expected {name} >= {at_least}, got {number}")
    return number


def check_kind(where: str, name: str, value: Any, kind: type, example: str) -> None:
    """Raise TypeError unless `value` is an instance of `kind`; the message shows an example."""
    if not isinstance(value, kind):
        a_class = isinstance(value, type) and issubclass(value, kind)
        given = value if isinstance(value, type) else type(value)
        advised = advice((name, kind.__name__, "anynet"), given.__name__)
        got = f"the class {value.__name__}; write it with parentheses" if a_class else f"{value!r}{advised}"
        raise TypeError(f"{where}: expected {name} to be {example} or another {kind.__name__}, got {got}")


def check_path(where: str, name: str, value: Any) -> Path:
    """Return the path of a file, or raise TypeError."""
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f"{where}: expected {name} to be the path of a file, got {value!r}")
    return Path(value)


def check_flags(where: str, **values: Any) -> None:
    """Raise TypeError unless each value is True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise TypeError(f"{where}: expected {name} to be True or False, got {value!r}")


def check_number(where: str, name: str, value: Any, interval: str = "(-inf, inf)") -> None:
    """Raise unless `value` is a finite number in an interval such as ``"[0, 1)"``."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{where}: expected {name} to be a number, got {value!r}")
    number = float(value)
    low, high = map(float, interval[1:-1].split(","))
    above = low <= number if interval[0] == "[" else low < number
    below = number <= high if interval[-1] == "]" else number < high
    if not (above and below and math.isfinite(number)):
        raise ValueError(f"{where}: expected {name} in {interval}, got {value!r}")


@contextmanager
def errors_of(where: str) -> Iterator[None]:
    """Begin the messages of errors in the block with `where`, unless they already do."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if str(error).startswith(where):
            raise
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{where}: {error}") from error


class AnySize:
    """The size of an axis that differs between batches, None in an `input_shape`.

    Computing with it raises ValueError, so that a layer which needs the size of the axis refuses it.
    """

    def __repr__(self) -> str:
        return "None"

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, AnySize)

    def __hash__(self) -> int:
        return hash(None)

    def __index__(self, *_: object) -> int:
        raise ValueError("expected an axis of a fixed size, got None; give input_shape a number there")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = __mod__ = __index__
    __neg__ = __lt__ = __le__ = __gt__ = __ge__ = __truediv__ = __rtruediv__ = __index__


ANY_SIZE: Any = AnySize()


def has_shape(x: Array, shape: tuple[int, ...]) -> bool:
    """Return whether the examples of a batch have a shape, which may contain `ANY_SIZE`."""
    sizes = tuple(x.shape[1:])
    return len(sizes) == len(shape) and all(b == ANY_SIZE or a == b for a, b in zip(sizes, shape, strict=True))


def check_shape(where: str, name: str, value: Any) -> tuple[int, ...]:
    """Return a shape, an int or a sequence of ints >= 1, as a tuple."""
    if len(getattr(value, "shape", ())) > 1:
        raise TypeError(
            f"{where}: expected {name} to be the shape of one example, got an array of shape {tuple(value.shape)}; write "
            f"{name}=x.shape[1:]"
        )
    if isinstance(value, (list, tuple)):
        if None in value:
            raise TypeError(
                f"{where}: expected every axis of {name} to be an integer, got None; leave the batch axis out"
            )
        return tuple(check_int(where, f"every axis of {name}", n, at_least=1) for n in value)
    return (check_int(where, name, value, at_least=1),)


def is_multi(shape: Any) -> bool:
    """Return whether a shape is a tuple of shapes, for several arrays."""
    return bool(shape) and isinstance(shape[0], tuple)


def check_shapes(where: str, name: str, value: Any) -> Any:
    """Return a shape, whose sizes may be `ANY_SIZE`, or a tuple of shapes; see `check_shape`."""
    if isinstance(value, (list, tuple)) and any(isinstance(part, (list, tuple)) for part in value):
        return tuple(check_shapes(where, f"{name}[{i}]", part) for i, part in enumerate(value))
    if isinstance(value, (list, tuple)) and ANY_SIZE in value:
        sizes = iter(check_shape(where, name, [n for n in value if n != ANY_SIZE]))
        return tuple(ANY_SIZE if n == ANY_SIZE else next(sizes) for n in value)
    return check_shape(where, name, value)


def check_hyperparameter(where: str, name: str, value: Any, interval: str) -> None:
    """Check a number with `check_number`; accept any schedule, a callable of the step."""
    if isinstance(value, type):
        raise TypeError(
            f"{where}: expected {name} to be a number or a schedule, got the class {value.__name__}; write {value.__name__}(...)"
        )
    if not callable(value):
        check_number(where, name, value, interval)


def check_finite(where: str, name: str, x: Array) -> None:
    """Raise if a floating-point array holds NaN or infinity.

    Check the sum first; check each element only if the sum is not finite.
    """
    xp = namespace(x)
    if not xp.isdtype(x.dtype, "real floating") or math.prod(x.shape) == 0:
        return
    if not math.isfinite(float(_quiet_sum(x))) and not bool(xp.all(xp.isfinite(x))):
        bad = int(xp.sum(xp.astype(~xp.isfinite(x), xp.int32)))
        raise ValueError(
            f"{where}: expected finite values in {name}, got NaN or infinity in {plural(bad, 'place')} of {tuple(x.shape)}; "
            f"remove or fill those rows first"
        )


def _quiet_sum(x: Array) -> Array:
    """Return the sum, by rows if they are long: NumPy adds rows 1.7 times as fast as numbers."""
    xp = namespace(x)
    with np.errstate(all="ignore"):
        return xp.sum(xp.sum(x, axis=0)) if math.prod(x.shape[1:]) >= LONG_ROW else xp.sum(x)

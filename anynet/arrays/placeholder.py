"""Arrays with a shape and a dtype but no memory, for parameters from files.

`Layer.init` is the only description of a network's parameters, and it draws them. Called with a `PlaceholderGenerator`, it
returns placeholders instead: a model of any size then takes neither time nor memory until its arrays are known to fit.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import array_api_compat.numpy
import numpy as np

_LIKE = (np.zeros_like, np.ones_like, np.empty_like, np.full_like)
_SIZE_POSITIONS = {
    "random": 0,
    "standard_normal": 0,
    "standard_exponential": 0,
    "normal": 2,
    "uniform": 2,
    "laplace": 2,
}


class Placeholder(np.ndarray):
    """An array whose elements share the memory of one zero, also in elementwise functions.

    Examples
    --------
    >>> array = 2.0 * Placeholder((10**6, 10**6)) + 1.0
    >>> array.shape, array.dtype, array.strides
    ((1000000, 1000000), dtype('float64'), (0, 0))
    """

    def __new__(cls, shape: Any, dtype: Any = np.float64) -> Placeholder:
        try:
            return np.broadcast_to(np.zeros((), dtype), shape).view(cls)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"expected a shape that an array can have, got {shape} ({error})") from None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc.signature is not None:
            return getattr(ufunc, method)(*map(_plain, inputs), **kwargs)
        if out is not None:
            return out[0]
        shape = np.broadcast_shapes(*map(np.shape, inputs))
        with np.errstate(all="ignore"):
            made = ufunc(*[np.ones((), a.dtype) if isinstance(a, np.ndarray) else a for a in inputs])
        return Placeholder(shape, made.dtype) if ufunc.nout == 1 else tuple(Placeholder(shape, m.dtype) for m in made)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in _LIKE and isinstance(args[0], np.ndarray):
            return Placeholder(args[0].shape, kwargs.get("dtype") or args[0].dtype)
        return super().__array_function__(func, types, args, kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore the values."""

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Placeholder:
        """Return a placeholder of another dtype."""
        return Placeholder(self.shape, dtype)

    def copy(self, *args: Any, **kwargs: Any) -> Placeholder:
        """Return the placeholder, which cannot change."""
        return self


class _Namespace(ModuleType):
    """NumPy's namespace, in which arrays of one number are placeholders: for the initial state of optimizers."""

    def __getattr__(self, name: str) -> Any:
        return getattr(array_api_compat.numpy, name)

    def zeros(self, shape: Any, *, dtype: Any = np.float64, device: Any = None) -> Placeholder:
        return Placeholder(shape, dtype)

    ones = empty = zeros

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Placeholder:
        return Placeholder(shape, np.asarray(fill_value, dtype).dtype)


namespace = _Namespace("namespace")
"""The array namespace of placeholders."""


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, Placeholder) else value


class PlaceholderGenerator(np.random.Generator):
    """A generator whose draws of arrays, from the distributions of weights, are placeholders.

    Examples
    --------
    >>> PlaceholderGenerator().normal(0.0, 0.1, size=(10**6, 10**6)).shape
    (1000000, 1000000)
    """

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))


def _draw(name: str, position: int) -> Any:
    def draw(self: PlaceholderGenerator, *args: Any, **kwargs: Any) -> Any:
        size = args[position] if len(args) > position else kwargs.get("size")
        if size is None:  # a number
            return getattr(super(PlaceholderGenerator, self), name)(*args, **kwargs)
        dtype = args[position + 1] if len(args) > position + 1 else kwargs.get("dtype", np.float64)
        return Placeholder(size, dtype)

    return draw


for _name, _position in _SIZE_POSITIONS.items():
    setattr(PlaceholderGenerator, _name, _draw(_name, _position))

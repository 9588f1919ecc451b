"""Conversion of layers, losses, optimizers and plain data to JSON and back."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from anynet import initializers, layers, losses, metrics, optimizers, regularizers, schedules
from anynet.checks import AnySize

MODULES = (layers, losses, optimizers, schedules, metrics, regularizers, initializers)
"""Modules in which `from_config` finds classes."""

ELSEWHERE = {"TorchModule": "anynet.interop.torch"}
"""Classes that `from_config` finds in modules that import a library."""

MAX_ITEM_BYTES = 2**16
"""Upper bound of the size of an element of an array in a header, which a short text could otherwise make huge."""


def to_config(value: Any) -> Any:
    """Return plain data from which `from_config` recreates an equal value.

    A field of a dataclass with the metadata ``{"saved": False}`` is left out, such as the module of a `TorchModule`.

    Raises
    ------
    TypeError
        If a value is neither a dataclass nor a named function nor plain data.

    Examples
    --------
    >>> from anynet import Dropout
    >>> to_config(Dropout(0.5))
    {'class': 'Dropout', 'rate': 0.5}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "class": type(value).__name__,
            **{f.name: to_config(getattr(value, f.name)) for f in _saved(type(value))},
        }
    if isinstance(value, (list, tuple)):
        return [to_config(v) for v in value]
    if isinstance(value, dict):
        return {"dict": [[to_config(k), to_config(v)] for k, v in value.items()]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, AnySize):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if inspect.isfunction(value) and value.__name__.isidentifier():
        return {"function": value.__name__}
    if isinstance(value, np.ndarray) and value.ndim:
        return {"array": [to_config(v) for v in value.tolist()], "dtype": value.dtype.str}
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return to_config(value.item())
    raise TypeError(
        f"save: expected hyperparameters that are numbers, text, dataclasses or named functions, got "
        f"{value!r}; write it as a frozen dataclass or with def"
    )


def from_config(config: Any, custom: Iterable[Any] = ()) -> Any:
    """Return the value that `to_config` described.

    Classes and functions are public ones of anynet or among `custom`. A field that was left out gets the value that a function
    without arguments returns, the first such function of `custom` for the first field, and so on.

    Raises
    ------
    ValueError
        If a class is unknown or has other fields, or there is no function for a field that was left out.
    """
    if not isinstance(custom, _Custom):
        custom = _Custom(custom)
    if isinstance(config, list):
        return tuple(from_config(v, custom) for v in config)
    if not isinstance(config, dict):
        return config
    if config.keys() == {"dict"}:
        return {from_config(k, custom): from_config(v, custom) for k, v in config["dict"]}
    if config.keys() == {"float"}:
        return float(config["float"])
    if config.keys() == {"function"}:
        return _find_function(config["function"], custom)
    if config.keys() == {"array", "dtype"}:
        return _array(from_config(config["array"]), config["dtype"])
    cls = _find(config.get("class"), custom)
    fields = {name: from_config(value, custom) for name, value in config.items() if name != "class"}
    fields |= {field.name: custom.make(cls, field.name) for field in _left_out(cls)}
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(
            f"load: expected the fields of {cls.__name__}, got {', '.join(fields) or 'none'} ({error}); "
            f"the file was written by another version of it"
        ) from None


def _saved(cls: type) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(cls) if field.metadata.get("saved", True)]


def _left_out(cls: type) -> list[dataclasses.Field]:
    return (
        [field for field in dataclasses.fields(cls) if field not in _saved(cls)]
        if dataclasses.is_dataclass(cls)
        else []
    )


class _Custom(tuple[Any, ...]):
    """The user's classes and functions; those without arguments make values that a file leaves out, in their order."""

    _makers: Iterator[Callable[[], Any]] | None = None

    def make(self, cls: type, name: str) -> Any:
        """Return the value that the next function makes for a field of a class."""
        if self._makers is None:
            self._makers = iter(
                [value for value in self if callable(value) and not isinstance(value, type) and _is_maker(value)]
            )
        maker = next(self._makers, None)
        if maker is None:
            raise ValueError(
                f"load: expected a function without arguments that returns the {name} of {cls.__name__}, one per "
                f"{cls.__name__}, got too few; pass it with custom=[lambda: ...]"
            )
        return maker()


def _is_maker(function: Callable[..., Any]) -> bool:
    """Return whether a function can be called without arguments."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _array(values: Any, name: Any) -> np.ndarray:
    dtype = np.dtype(name) if isinstance(name, str) else np.dtype("V")
    if dtype.kind == "O" and all(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    if dtype.kind not in "biufcUS" or dtype.itemsize > MAX_ITEM_BYTES:
        raise ValueError(f"load: expected an array of numbers or short texts, got one of dtype {name!r}")
    return np.array(values, dtype=dtype)


def _find_function(name: Any, custom: Iterable[Any]) -> Any:
    for function in custom:
        if inspect.isfunction(function) and function.__name__ == name:
            return function
    raise ValueError(
        f"load: expected the function {name!r} that the model uses, got none; pass it with custom=[{name}]"
    )


def _find(name: Any, custom: Iterable[Any]) -> type:
    for cls in custom:
        if isinstance(cls, type) and cls.__name__ == name:
            return cls
    if isinstance(name, str):
        for module in MODULES:
            found = getattr(module, name, None)
            if isinstance(found, type) and dataclasses.is_dataclass(found):
                return found
        if name in ELSEWHERE:
            return getattr(import_module(ELSEWHERE[name]), name)
    raise ValueError(f"load: expected a class of anynet, got {name!r}; pass your own with custom=[...]")


def to_json(value: Any) -> Any:
    """Return numbers in nested lists as JSON, those that are not finite as text."""
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(value: Any) -> Any:
    """Return what `to_json` described."""
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return float(value) if value in ("nan", "inf", "-inf") else value

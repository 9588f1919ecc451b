"""Metaclasses whose constructors explain wrong arguments."""

from __future__ import annotations

import dataclasses
import inspect
import re
from abc import ABCMeta
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

import numpy as np

from anynet.names.text import INSTEAD, advice, surplus_advice

ACCEPTED = {"lr": "learning_rate"}
"""Keyword arguments that are accepted under another name."""

P = ParamSpec("P")
R = TypeVar("R")


class Constructed(ABCMeta):
    """Metaclass of classes whose constructor explains wrong arguments and accepts those of `ACCEPTED`.

    A class may be an abstract base class as well, since this is a subclass of `ABCMeta`.
    """

    if not TYPE_CHECKING:  # a type checker takes the arguments of __init__

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                signature = inspect.signature(cls)
                accepted = _accepted(signature, kwargs)
                problem = wrong_arguments([base.__name__ for base in cls.__mro__], signature, args, accepted)
                if problem is None and accepted == kwargs:
                    raise
            if problem is None:
                return super().__call__(*args, **accepted)
            raise TypeError(problem + _decorator_advice(cls))

        def __getattr__(cls, name):
            known = [one for one in dir(cls) if one[0] != "_"] if name[:1] != "_" else []
            hint = advice([base.__name__ for base in cls.__mro__], name, known) if known else ""
            raise AttributeError(f"{cls.__name__}: expected one of its attributes, got {name!r}{hint}")

    @property
    def __signature__(cls) -> inspect.Signature:
        if cls.__init__ is object.__init__:  # type: ignore[misc]
            return inspect.Signature()
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


_checked: WeakSet[type] = WeakSet()
"""Classes of values whose arguments are their fields."""


class Value(Constructed):
    """Metaclass of values: frozen dataclasses that are compared by their fields, saved and loaded."""

    if not TYPE_CHECKING:

        def __call__(cls, *args, **kwargs):
            if "__init__" in vars(cls) and cls not in _checked:
                _check_fields(cls)
                _checked.add(cls)
            value = super().__call__(*args, **kwargs)
            for name, field in vars(value).items():
                if isinstance(field, (np.generic, tuple)):
                    object.__setattr__(value, name, _plain(field))
            return value


def _plain(value: Any) -> Any:
    """Return NumPy's numbers, also those in tuples, as numbers of Python, which do not promote float32 arrays."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _check_fields(cls: type) -> None:
    """Raise TypeError if the arguments of a class are not its fields, which alone are compared and saved."""
    fields = {field.name for field in dataclasses.fields(cls) if field.init}
    arguments = [name for name in inspect.signature(cls).parameters if name not in fields]
    if arguments:
        raise TypeError(
            f"{cls.__name__}: expected a frozen dataclass whose arguments are fields, got __init__({', '.join(arguments)}), "
            "whose values are neither saved nor compared; write @dataclass(frozen=True) above the class, with "
            f"{arguments[0]} as a field, and checks into __post_init__"
        )


def _decorator_advice(cls: type) -> str:
    own = [] if "__dataclass_params__" in vars(cls) else list(vars(cls).get("__annotations__", {}))
    return f"; {own[0]} is not a field: write @dataclass(frozen=True) above the class" if own else ""


def _accepted(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with those of `ACCEPTED` renamed where the signature has the name."""
    names = signature.parameters.keys() - kwargs.keys()
    return {
        ACCEPTED[k] if ACCEPTED.get(k) in names and k not in signature.parameters else k: v for k, v in kwargs.items()
    }


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function or a method of `Model` to explain wrong arguments in a TypeError."""

    name = function.__qualname__.rpartition(".")[2]
    owner = name if name == function.__qualname__ else f"Model.{name}"

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = wrong_arguments([owner], inspect.signature(function), args, kwargs)
            if problem is None:
                raise
        raise TypeError(problem)

    return call


def wrong_arguments(
    owners: list[str], signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str | None:
    """Return a message about arguments that do not fit a signature, None if they fit."""
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        where, parameters = owners[0].removeprefix("Model."), signature.parameters
        names = [name for name in parameters if name != "self"]
        unknown = [name for name in kwargs if name not in parameters]
        if unknown:
            return (
                f"{where}: expected {'arguments among ' if names else 'no arguments'}{', '.join(names)}, got {unknown[0]}="
                f"{_short(kwargs[unknown[0]])}{advice(owners, unknown[0], names)}"
            )
        positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
        given = args[1:] if "self" in parameters else args
        if len(given) > len(positional):
            few = f"more arguments without a name than {', '.join(p.name for p in positional)}"
            surplus = ", ".join(map(_short, given[len(positional) :]))
            only = few if positional else "arguments without a name"
            return f"{where}: expected no {only}, got {surplus}{surplus_advice(owners[0])}"
        reason = re.sub(r"missing a required (?:\S+ )?argument:", "the argument", str(error))
        reason = reason.replace("multiple values for", "one value for")
        values = ", ".join([*map(_short, given), *kwargs]) or "none"
        return f"{where}: expected {reason}, got {values}{_missing_advice(owners[0], reason)}"
    return None


def _missing_advice(owner: str, reason: str) -> str:
    """Return the end of a message about an argument that must be given."""
    key = f"{owner}({reason.partition(chr(39))[2].rstrip(chr(39))})"
    return f"; write {INSTEAD[key]}" if key in INSTEAD else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__

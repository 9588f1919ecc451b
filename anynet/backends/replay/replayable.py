"""Decide from the classes of a training step's parts whether it may be replayed.

A trace misses hidden state: a layer that counts its calls, a schedule over a closure, a rare draw on the host. Such a step would
run correctly until it is replayed, and then repeat its actions during the trace. A step is therefore replayed only if each
value in it is an instance of an anynet class, or of a class that declares itself ``replayable = True``.

>>> import numpy as np
>>> from anynet import SGD, StepDecay
>>> is_replayable(SGD(StepDecay(0.1, 100)))
True
>>> is_replayable(SGD(np.reciprocal))
False
"""

from __future__ import annotations

import dataclasses
from types import FunctionType, MethodType
from typing import Any

import numpy as np

IMMUTABLE = (type(None), bool, int, float, complex, str, bytes)
PACKAGE = __name__.partition(".")[0]


def is_replayable(value: Any) -> bool:
    """Return whether a value and all its parts are free of hidden state."""
    return not hidden_state(value)


def hidden_state(value: Any) -> str:
    """Return the name of a part that may have hidden state, or "" if none has.

    The walk covers fields of dataclasses, elements of containers, and closures and defaults of anynet's own functions.
    """
    seen: dict[int, Any] = {}
    todo = [value]
    while todo:
        value = todo.pop()
        if type(value) in IMMUTABLE or id(value) in seen:
            continue
        seen[id(value)] = value
        parts = _parts(value)
        if parts is None:
            return str(getattr(value, "__qualname__", type(value).__qualname__))
        todo += parts
    return ""


def _parts(value: Any) -> list[Any] | None:
    """Return the direct parts of a value, or None if it may have hidden state."""
    kind = type(value)
    if kind in (tuple, list, frozenset):
        return list(value)
    if kind is dict:
        return [*value.keys(), *value.values()]
    if isinstance(value, (np.dtype, np.generic)) or (isinstance(value, type) and issubclass(value, np.generic)):
        return []
    if kind is MethodType:
        return [value.__self__, value.__func__]
    if kind is FunctionType:
        if not _is_own(value.__globals__.get("__name__", "")):
            return None
        try:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
        except ValueError:  # an unassigned variable
            return None
        return [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    # A subclass must declare itself, because it may add state to its base class.
    if vars(kind).get("replayable", _is_own(kind.__module__)) is not True:
        return None
    return (
        [getattr(value, field.name) for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    )


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE

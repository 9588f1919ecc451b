"""The scalars of an update: coefficients, numbers in the state, and the step count.

They are a dozen operations on 0-d arrays. On CuPy each would launch a kernel, so they are computed by one, which is compiled
once for each optimizer; the learning rate, the setting that is varied most, is an argument of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from array_api_compat import is_cupy_array

from anynet.arrays import fallbacks
from anynet.arrays.namespace import Array, namespace
from anynet.backends.replay.replayable import hidden_state

if TYPE_CHECKING:
    from anynet.optimizers.base import Optimizer

Scalars = tuple[tuple[Any, ...], dict[str, Any], Array]


def advance(optimizer: Optimizer, state: dict[str, Any], dtype: Any) -> Scalars:
    """Return coefficients, new numbers of the state, and the new step count."""
    if is_cupy_array(state["step"]):
        return _advance_on_cupy(optimizer, state, dtype)
    return _advance(optimizer, state, dtype)


def _advance(optimizer: Optimizer, state: dict[str, Any], dtype: Any) -> Scalars:
    step = state["step"]
    return *optimizer.advance(namespace(step).astype(step, dtype), state), step + 1


def _advance_on_cupy(optimizer: Optimizer, state: dict[str, Any], dtype: Any) -> Scalars:
    numbers = {name: value for name, value in state.items() if getattr(value, "ndim", None) == 0}
    try:
        run = _bound(optimizer, dtype, tuple(numbers))
    except TypeError:  # a setting without a hash, such as a learning rate that holds an array
        return _advance(optimizer, state, dtype)
    return run(numbers) or _advance(optimizer, state, dtype)


@lru_cache(maxsize=256)
def _bound(optimizer: Optimizer, dtype: Any, names: tuple[str, ...]) -> Callable[..., Scalars | None]:
    """Return the kernel of all optimizers that differ in the learning rate alone, with the rate of this one."""
    rate = getattr(optimizer, "learning_rate", None)
    if not isinstance(rate, (int, float)):
        return _kernel(optimizer, dtype, names)
    typed, run = dtype.type(rate), _kernel(_with_rate(optimizer, None), dtype, names)
    return lambda numbers: run(numbers, typed)


def _with_rate(optimizer: Optimizer, rate: Any) -> Optimizer:
    changed = copy.copy(optimizer)
    object.__setattr__(changed, "learning_rate", rate)
    return changed


@lru_cache(maxsize=256)
def _kernel(optimizer: Optimizer, dtype: Any, names: tuple[str, ...]) -> Callable[..., Scalars | None]:
    """Return ``run(numbers, rate)``, which launches one kernel; it returns None if CuPy cannot trace the optimizer."""
    import cupy

    task, hidden = f"scalars of {type(optimizer).__name__} in one kernel each", hidden_state(optimizer)
    if hidden:  # a kernel would keep, for example, the value of a schedule's closure
        fallbacks.note(task, f"{hidden} does not declare replayable = True")
        return lambda numbers, *rate: None
    layout: list[tuple[Any, ...]] = []

    def scalars(*arguments: Any) -> tuple[Any, ...]:
        rates, state = arguments[len(names) :], dict(zip(names, arguments, strict=False))
        one = _with_rate(optimizer, lambda step: rates[0]) if rates else optimizer
        coefficients, numbers, step = _advance(one, state, dtype)
        values = [*coefficients, *numbers.values(), step]
        constant = [isinstance(value, (int, float)) for value in values]
        layout[:] = [(len(coefficients), tuple(numbers), values, constant)]
        return tuple([value for value, is_constant in zip(values, constant, strict=True) if not is_constant])

    kernel = cupy.fuse(kernel_name=f"{type(optimizer).__name__}_scalars")(scalars)
    traceable = True

    def run(numbers: dict[str, Any], *rate: Any) -> Scalars | None:
        nonlocal traceable
        if not traceable:
            return None
        try:
            arrays = kernel(*numbers.values(), *rate)
        except Exception as error:  # CuPy has one for each thing that it cannot trace; the plain function shows its own
            traceable = False
            fallbacks.note(task, error)
            return None
        arrays = iter(arrays if isinstance(arrays, tuple) else (arrays,))
        count, keys, values, constant = layout[0]
        values = [value if same else next(arrays) for value, same in zip(values, constant, strict=True)]
        return tuple(values[:count]), dict(zip(keys, values[count:-1], strict=True)), values[-1]

    return run

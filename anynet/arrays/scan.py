"""A loop over time, compiled once for all steps where the library can.

JAX would compile an unrolled loop step by step, for 256 steps in minutes; `jax.lax.scan` compiles one step. On other libraries
the loop runs in Python.

>>> import numpy as np
>>> def add(total, x, scale):
...     total = total + scale * x[0]
...     return total, (total,)
>>> last, (totals,) = scan(add, np.zeros(1), (np.array([[1.0], [2.0], [3.0]]),), (10.0,))
>>> last.tolist(), stacked(totals).tolist()
([60.0], [[10.0], [30.0], [60.0]])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from array_api_compat import is_jax_array

from anynet.arrays.namespace import Array, namespace

Step = Callable[..., tuple[Any, tuple[Array, ...]]]
Steps: TypeAlias = Any
"""The values of all steps: an array (T, ...) or a list of T arrays. `scan` takes both and returns what needs no copy."""


def scan(
    step: Step, carry: Any, xs: tuple[Steps, ...], constants: tuple[Any, ...] = (), *, reverse: bool = False
) -> tuple[Any, tuple[Steps, ...]]:
    """Apply ``step(carry, x, *constants) -> carry, y`` along the first axis, and return the last carry and all y.

    Parameters
    ----------
    step : callable
        A pure function of arrays, defined in a module: JAX compiles each new function object again.
    carry : array or tuple of arrays
        The state, whose shapes stay the same.
    xs : tuple of arrays (T, ...), or lists of T arrays; None for an absent one
        The inputs of the steps; T is at least 1.
    constants : tuple of arrays
        Arguments that are the same in every step.
    reverse : bool
        Whether to start at the end; `ys` has the order of `xs` in any case.

    Returns
    -------
    carry, ys
        The last state, and a tuple of arrays (T, ...) on JAX or of lists of T arrays, which `stacked` joins.
    """
    first = next(x for x in xs if x is not None)
    if is_jax_array(first):
        import jax

        (carry, _), ys = jax.lax.scan(_with_constants(step), (carry, constants), xs, reverse=reverse)
        return carry, ys
    times = range(len(first) if isinstance(first, list) else first.shape[0])
    steps = []
    for t in reversed(times) if reverse else times:
        carry, y = step(carry, tuple([_at(x, t) for x in xs]), *constants)
        steps.append(y)
    return carry, tuple([list(y) for y in zip(*(steps[::-1] if reverse else steps), strict=True)])


def stacked(steps: Steps) -> Array:
    """Return the values of all steps as an array (T, ...)."""
    return namespace(steps[0]).stack(steps, axis=0) if isinstance(steps, list) else steps


def _at(steps: Steps, t: int) -> Any:
    if steps is None:
        return None
    return steps[t] if isinstance(steps, list) else steps[t, ...]


@cache
def _with_constants(step: Step) -> Step:
    """Return a step whose state includes the constants; it is the same function for each call, as JAX's cache requires."""

    def run(state: Any, x: tuple[Any, ...]) -> tuple[Any, tuple[Array, ...]]:
        carry, constants = state
        carry, y = step(carry, x, *constants)
        return (carry, constants), y

    return run

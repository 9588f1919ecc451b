"""What a backend is: where arrays live and how a pure function may run faster. It holds no layer maths.

A backend names an array library and a device. Everything that is the same for all of them stands here; a backend's file
says only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.backends.batching import batches

DTYPES = ("float32", "float64")
HALF_DTYPES = ("float16", "bfloat16")
Step = Callable[..., tuple[Any, Any]]
_NO_CONTEXT = nullcontext()


class Backend:
    """An array library on one device.

    Attributes
    ----------
    name : str
        Such as ``"numpy"`` or ``"torch:cuda:0"``; `anynet.backends.get` takes it back.
    xp : module
        The array API namespace.
    device : object
        The library's own device.
    """

    name: str
    xp: ModuleType
    device: Any
    options: Mapping[str, Any] = MappingProxyType({})
    """What it was made with, besides the device."""

    def __repr__(self) -> str:
        return f"<Backend {self.name}>"

    def __reduce__(self) -> Any:
        """Pickle and copy it as what it was made with: its modules and devices belong to a process."""
        return partial(type(self), **self.options), (self.name.partition(":")[2] or None,)

    def dtype(self, name: str) -> Any:
        """Return the library's floating-point dtype of that name."""
        if not isinstance(name, str) or name not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(map(repr, DTYPES))}, got {name!r}")
        return getattr(self.xp, name)

    def half(self, name: str) -> Any:
        """Return the library's dtype of 16 bits of that name, for mixed precision."""
        if name not in HALF_DTYPES or not hasattr(self.xp, name):
            there = [repr(half) for half in HALF_DTYPES if hasattr(self.xp, half)]
            raise ValueError(f"compute_dtype: expected {' or '.join(there) or 'None'} on {self.name}, got {name!r}")
        return getattr(self.xp, name)

    @property
    def index_dtype(self) -> Any:
        """The library's default dtype of indices."""
        return self.xp.__array_namespace_info__().default_dtypes()["indexing"]

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        """Return `x`, an array of any library or a nested list, as an array of this backend on its device.

        With ``copy=True`` the result shares no memory with `x`, and lies in memory in the order of its axes.
        """
        raise NotImplementedError

    def device_key(self, x: Array) -> Any:
        """Return something hashable that tells where an array lies, as fast as the library can."""
        return getattr(x, "device", None)

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return one of this backend's arrays as a NumPy array on the host."""
        raise NotImplementedError

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Return whether two of this backend's arrays may share memory, so that a change of one would change the other."""
        return np.may_share_memory(self.to_numpy(a), self.to_numpy(b))

    def free_memory(self) -> int | None:
        """Return the bytes that are free on a device with a memory of its own; None where arrays lie in main memory."""
        return None

    def fits(self, x: Any) -> bool:
        """Return whether an array may be kept on the device: it is not on the host, or takes at most half of the room."""
        if not isinstance(x, np.ndarray):
            return True
        free = self.free_memory()
        return free is None or 2 * x.nbytes <= free

    def activate(self) -> AbstractContextManager[Any]:
        """Return a context in which the library computes on this backend's device, where it has a current device.

        The public methods of `Model` run in it, and so does each thread that prepares arrays for them.
        """
        return _NO_CONTEXT

    def synchronize(self) -> None:
        """Wait until all that was asked of the device is done; for measuring time."""

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        """Return a pure function as this library runs it best. Donated arguments are given up by the caller."""
        return function

    def loop(
        self, step: Step, *, compiled: bool = True
    ) -> Callable[[Any, Sequence[Any], Array | None, int, int, int], tuple[Any, list[Any]]]:
        """Return ``run(carry, data, order, start, stop, size)``, which takes `step` over batches of `size` examples.

        ``carry, out = step(carry, *batch)`` for each batch between the examples `start` and `stop` of `order` (of the
        data as they lie, if None). A batch of data as they lie is a view. A step that decides on the host is not `compiled`.
        """
        step = self.compile(step, donate=(0,)) if compiled else step

        def run(
            carry: Any, data: Sequence[Any], order: Array | None, start: int, stop: int, size: int
        ) -> tuple[Any, list[Any]]:
            outs = []
            for batch in batches(data, order, start, stop, size):
                carry, out = step(carry, *batch)
                outs.append(out)
            return carry, outs

        return run

    steps_per_call = 1
    """How many steps `run` should be given at a time."""

    expected_steps = 0
    """How many steps `Model.fit` is about to take: whether a compiler is worth its time."""

    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run(leaf_groups, coefficients)`` for an update rule, each leaf group being ``(p, g, *slots)``.

        It returns new groups ``(p, *slots)``; or None, having changed the arrays in place.
        """
        return run_whole(rule)


def run_whole(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Apply a rule to whole arrays, one parameter after another."""

    def run(leaf_groups: Sequence[tuple[Array, ...]], coefficients: tuple[Any, ...]) -> list[tuple[Array, ...]]:
        return [rule(*group, *coefficients) for group in leaf_groups]

    return run


def missing(name: str, package: str, install: str) -> ImportError:
    """Return the error for a library that is not installed."""
    return ImportError(f"backend {name!r}: expected the package {package} to be installed, got none; run: {install}")


def bad_device(name: str, device: str, expected: str, hint: str = "") -> ValueError:
    """Return the error for a device that a library does not have."""
    return ValueError(f"backend {name!r}: expected a device that is there, {expected}, got {device!r}{hint}")

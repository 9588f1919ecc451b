"""Base class of backends: an array library, a device, and ways to run functions faster.

A backend contains no layer maths. Behavior that all backends share is implemented here; each backend's file has only the
differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array
from anynet.backends.batching import batches
from anynet.backends.copies import Copies

DTYPES = ("float32", "float64")
HALF_DTYPES = ("float16", "bfloat16")
Step = Callable[..., tuple[Any, Any]]
_NO_CONTEXT = nullcontext()


class Backend:
    """An array library on one device.

    Attributes
    ----------
    name : str
        For example ``"numpy"`` or ``"torch:cuda:0"``; `anynet.backends.get` accepts it.
    xp : module
        The array API namespace.
    device : object
        The library's device object.
    """

    name: str
    xp: ModuleType
    device: Any
    options: Mapping[str, Any] = MappingProxyType({})
    """Constructor arguments other than the device."""
    copies: type[Copies] = Copies
    """How a thread copies batches to the device while another one takes steps."""
    max_eval_numbers: ClassVar[int] = 2**24
    """Upper bound of the numbers in the largest array of a batch of predictions or evaluations."""
    is_traced: ClassVar[bool] = False
    """Whether `compile` records a function once and then runs it without Python."""

    def __repr__(self) -> str:
        return f"<Backend {self.name}>"

    def __reduce__(self) -> Any:
        """Pickle and copy the constructor arguments, because modules and devices belong to one process."""
        return partial(type(self), **self.options), (self.name.partition(":")[2] or None,)

    def dtype(self, name: str) -> Any:
        """Return the library's floating-point dtype with a name."""
        if not isinstance(name, str) or name not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(map(repr, DTYPES))}, got {name!r}")
        return getattr(self.xp, name)

    def half(self, name: str) -> Any:
        """Return the library's 16-bit dtype with a name, for mixed precision."""
        if name not in HALF_DTYPES or not hasattr(self.xp, name):
            offered = [repr(half) for half in HALF_DTYPES if hasattr(self.xp, half)]
            raise ValueError(f"compute_dtype: expected {' or '.join(offered) or 'None'} on {self.name}, got {name!r}")
        return getattr(self.xp, name)

    @property
    def index_dtype(self) -> Any:
        """Default dtype of indices."""
        return self.xp.__array_namespace_info__().default_dtypes()["indexing"]

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        """Convert an array of any library, or a nested list, to this backend and device.

        With ``copy=True`` the result shares no memory with `x` and is stored in row-major order.
        """
        raise NotImplementedError

    def device_key(self, x: Array) -> Any:
        """Return a hashable key of the array's device."""
        return getattr(x, "device", None)

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return an array of this backend as a NumPy array on the host."""
        raise NotImplementedError

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Return whether changing one array of this backend may change another."""
        return np.may_share_memory(self.to_numpy(a), self.to_numpy(b))

    def free_memory(self) -> int | None:
        """Return the free bytes of a device with its own memory, else None."""
        return None

    def activate(self) -> AbstractContextManager[Any]:
        """Return a context that makes this device the library's current device.

        The public methods of `Model` and each thread that prepares arrays for them run in it.
        """
        return _NO_CONTEXT

    def synchronize(self) -> None:
        """Wait until the device has finished all its work, for timing."""

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        """Return a faster version of a pure function. The caller gives up the donated arguments."""
        return function

    def compile_step(self, step: Step) -> Step:
        """Return a faster version of ``step(carry, *args) -> carry, out``. The caller gives up the carry.

        It takes a tree of arrays, or what a compiled step of this backend returned: a tree or a `Carry`.
        """
        return self.compile(step, donate=(0,))

    def over_devices(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function(params, x, y, weight, ...)``, run over all devices if the backend has several."""
        return function

    def loop(
        self, step: Step, *, compiled: bool = True
    ) -> Callable[[Any, Sequence[Any], Array | None, int, int, int], tuple[Any, list[Any]]]:
        """Return ``run(carry, data, order, start, stop, size) -> carry, outs``, a loop of steps over batches.

        It calls ``carry, out = step(carry, *batch)`` for each batch of `size` examples from `start` to before `stop` of
        `order`. If `order` is None, batches are views of consecutive examples. The carry is like that of `compile_step`. Steps
        with decisions on the host need ``compiled=False``.
        """
        step = self.compile_step(step) if compiled else step

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
    """Recommended number of steps per call of `run`."""

    graph = ""
    """Whether the last training steps ran in CUDA graphs, or the reason why not; empty if the backend has none."""

    launches_per_step: float | None = None
    """Launches from the host per step of the last graph; None without one."""

    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run(leaf_groups, coefficients)`` for an update rule of groups ``(p, g, *slots)``.

        `run` returns new groups ``(p, *slots)``, or None if it changed the arrays in place.
        """
        return run_whole(rule)


def run_whole(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Backend.elementwise` of a rule that is applied to one parameter at a time."""

    def run(leaf_groups: Sequence[tuple[Array, ...]], coefficients: tuple[Any, ...]) -> list[tuple[Array, ...]]:
        return [rule(*group, *coefficients) for group in leaf_groups]

    return run


def missing(name: str, package: str, install: str) -> ImportError:
    """Return the error for a missing library."""
    return ImportError(f"backend {name!r}: expected the package {package} to be installed, got none; run: {install}")


def bad_device(name: str, device: str, expected: str, hint: str = "") -> ValueError:
    """Return the error for an unavailable device."""
    return ValueError(f"backend {name!r}: expected an available device, {expected}, got {device!r}{hint}")

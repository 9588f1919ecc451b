"""CuPy backend, for NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial, wraps
from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from anynet.arrays import fallbacks
from anynet.arrays.convert import is_on_gpu, to_numpy
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend, Step, bad_device, missing
from anynet.backends.cupy_rules import Run, run_together
from anynet.backends.replay.replayable import hidden_state

INSTALL = 'pip install "cupy-cuda13x[ctk]" (or cupy-cuda12x, if `nvidia-smi` reports CUDA 12)'


MAX_PINNED_BYTES = 2**24
"""Arrays of fewer bytes are uploaded from pinned memory, asynchronously; CuPy keeps as much of it as the largest took."""


class CupyBackend(Backend):
    """CuPy arrays; an update rule is one kernel, and chunks of steps are CUDA graphs."""

    steps_per_call = 32
    graph = "no: no chunk of several batches has been repeated yet"

    def __init__(self, device: str | None = None) -> None:
        try:
            import cupy
        except ImportError:
            raise missing("cupy", "cupy", INSTALL) from None
        if not cupy.cuda.is_available():
            raise RuntimeError(
                "backend 'cupy': expected an NVIDIA GPU with its driver, got none visible to CUDA; "
                "use backend='numpy', or check `nvidia-smi`"
            )
        count = cupy.cuda.runtime.getDeviceCount()
        if device is not None and not (device.isdigit() and int(device) < count):
            raise bad_device("cupy", device, f"a number from 0 to {count - 1}")
        _check_kernels(cupy, int(device or 0))
        from anynet.arrays import cupy_namespace as xp
        from anynet.backends.cupy_copies import StreamCopies

        self.xp, self._cupy, self.copies = xp, cupy, StreamCopies
        self.device = cupy.cuda.Device(int(device or 0))
        self.name = "cupy" if device is None else f"cupy:{device}"

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        if not isinstance(x, self._cupy.ndarray):
            if not is_on_gpu(x):
                return self._upload(to_numpy(x), dtype, copy)
            x = self._cupy.from_dlpack(x.detach() if is_torch_array(x) else x)
        if not x.flags.forc and x.device != self.device:
            with x.device:
                x = x.copy()  # CuPy copies only contiguous arrays between devices
        with self.device:
            return self._cupy.array(x, dtype=dtype, order="C") if copy else self._cupy.asarray(x, dtype=dtype)

    def _upload(self, x: np.ndarray, dtype: Any, copy: bool | None) -> Array:
        with self.device:
            if x.size * np.dtype(dtype or x.dtype).itemsize < MAX_PINNED_BYTES:
                return self._cupy.array(x, dtype=dtype, order="C") if copy else self._cupy.asarray(x, dtype=dtype)
            x = np.asarray(x, dtype=dtype, order="C")
            new = self._cupy.empty(x.shape, x.dtype)
            new.set(x)
            return new

    def to_numpy(self, x: Array) -> np.ndarray:
        return self._cupy.asnumpy(x)

    def shares_memory(self, a: Array, b: Array) -> bool:
        return self._cupy.may_share_memory(a, b)

    def free_memory(self) -> int | None:
        with self.device:
            return self._cupy.cuda.runtime.memGetInfo()[0] + self._cupy.get_default_memory_pool().free_bytes()

    def activate(self) -> AbstractContextManager[Any]:
        return self.device

    def synchronize(self) -> None:
        self.device.synchronize()

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any) -> Any:
            with self.device:  # creation functions ignore `device` and use the current one
                return function(*args)

        return run

    def loop(self, step: Step, *, compiled: bool = True) -> Callable[..., tuple[Any, list[Any]]]:
        plain = super().loop(step, compiled=compiled)
        if not compiled:
            self._report("the optimizer decides on the host")
            return plain
        hidden = hidden_state(step)
        if hidden:
            self._report(f"{hidden} may have hidden state; if it has none, declare `replayable = True`")
            return plain
        from anynet.backends.cupy_graph import GraphLoop

        return self.compile(GraphLoop(step, plain, self._report))

    def _report(self, reason: str, launches: int = 0, steps: int = 1) -> None:
        """Keep the reason why steps are not run as graphs, or the launches of a graph and its steps."""
        self.graph = f"no: {reason}" if reason else f"yes, {steps} steps in {launches} launches"
        self.launches_per_step = None if reason else launches / steps
        if reason:
            fallbacks.note("training steps launched one operation at a time", reason)
        else:
            fallbacks.forget("training steps launched one operation at a time")

    def elementwise(self, rule: Callable[..., Any]) -> Run:
        fused = partial(_fused, self._cupy, rule)

        def run_each(leaf_groups: Sequence[tuple[Array, ...]], coefficients: tuple[Any, ...]) -> None:
            number = leaf_groups[0][0].dtype.type
            # a kernel takes a Python float as a double, which would promote the whole expression
            typed = [number(c) if isinstance(c, (int, float)) else c for c in coefficients]
            for p, g, *slots in leaf_groups:
                fused(len(slots))(p, g, *slots, *typed)

        return run_together(self._cupy, rule, run_each)


@cache
def _check_kernels(cupy: ModuleType, device: int) -> None:
    """Raise RuntimeError unless CuPy can compile and run a kernel on a device."""
    try:
        with cupy.cuda.Device(device):
            add_one = cupy.ElementwiseKernel("float32 x", "float32 y", "y = x + 1", "anynet_check")
            result = float(add_one(cupy.zeros(1, dtype="float32"))[0])
    except Exception as error:  # CuPy has an error each for missing headers or compiler, an old driver, no memory
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    else:
        if result == 1.0:
            return
        reason = f"0 + 1 = {result}"
    raise RuntimeError(
        f"backend 'cupy': expected CuPy to compile and run a kernel on device {device}, got {reason!r}; to install CUDA's "
        f"headers and compiler, run: {INSTALL}"
    )


@cache
def _fused(cupy: ModuleType, rule: Callable[..., Any], slots: int) -> Callable[..., None]:
    """Return the kernel of a rule with a number of slots."""
    return cupy.fuse(kernel_name=f"{rule.__name__}_{slots}")(in_place(rule, slots))


def in_place(rule: Callable[..., Any], slots: int) -> Callable[..., None]:
    """Return a function that writes the results of a rule into its arrays."""

    # A kernel of this function has no outputs to allocate.
    def write(*arguments: Any) -> None:
        arrays = (arguments[0], *arguments[2 : 2 + slots])
        for array, new in zip(arrays, rule(*arguments), strict=True):
            if new is not array:
                array[...] = new

    return write

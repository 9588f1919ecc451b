"""NumPy backend, which also serves as the host side of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from anynet.arrays import numpy_namespace
from anynet.arrays.blas import limited, openblas
from anynet.arrays.convert import to_numpy
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend, bad_device
from anynet.backends.compiled_rules import CompiledRule
from anynet.backends.replay import ReplayedStep
from anynet.backends.replay.replayable import is_replayable
from anynet.backends.replay.trace import traceable
from anynet.backends.tiled_rules import run_tiled

MAX_THRESHOLD_BYTES = 2**25 - 2**13
"""Size of the largest array that, with its header and rounded up to pages, still raises glibc's mmap threshold."""


class NumpyBackend(Backend):
    """NumPy arrays, with replayed training steps, and update rules in tiles or compiled by LLVM.

    Parameters
    ----------
    device : "cpu", optional
    compiled : bool
        Whether update rules may be compiled, if the extra ``fast`` is installed. Results do not depend on it.
    threads : int, in [1, inf), optional
        Number of threads of large matrix products, by default as many as BLAS would use, which ``OPENBLAS_NUM_THREADS``
        determines. Results do not depend on it.

    Raises
    ------
    ValueError
        If the device is not "cpu", or `threads` is given although NumPy's BLAS is not an OpenBLAS with its own threads.

    Examples
    --------
    >>> from anynet import Dense, Model
    >>> model = Model([Dense(1)], input_shape=3, backend=NumpyBackend(threads=2))
    """

    device_key = staticmethod(type)  # type: ignore[assignment]  # always the host; a method would cost 50 ns per array
    max_eval_numbers = 2**19
    """A batch remains in the cache from layer to layer."""
    warmup_steps = 8
    """Number of steps per batch shape and layout that run unchanged before a step is traced."""

    def __init__(self, device: str | None = None, *, compiled: bool = True, threads: int | None = None) -> None:
        if device not in (None, "cpu"):
            raise bad_device("numpy", str(device), "'cpu'", "; for an NVIDIA GPU use backend='cupy' or 'torch:cuda'")
        if threads is not None:
            check_threads(threads)
        keep_freed_memory()
        self.name, self.xp, self.device = "numpy", numpy_namespace, "cpu"
        self._compiled, self.options = compiled, {"compiled": compiled, "threads": threads}
        self._limited = limited(threads)
        self._rules: dict[Callable[..., Any], Callable[..., None]] = {}

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        if copy is None and type(x) is np.ndarray and (dtype is None or x.dtype == dtype):
            return x
        return np.array(to_numpy(x), dtype=dtype, copy=copy, order="C" if copy else None)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def activate(self) -> AbstractContextManager[Any]:
        """Return a context in which BLAS uses one thread, and large products `threads`."""
        return self._limited

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        replayed = tuple(donate) == (0,) and is_replayable(function)
        return ReplayedStep(function, self.warmup_steps) if replayed else function

    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., None]:
        run = self._rules.get(rule)
        if run is None:
            run = self._rules[rule] = CompiledRule(rule) if self._compiled else run_tiled(rule)
        return traceable(run)


def check_threads(threads: Any) -> None:
    """Raise unless large products can run on this number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"NumpyBackend: threads: expected an int or None, got {threads!r}")
    if threads < 1:
        raise ValueError(f"NumpyBackend: threads: expected a number in [1, inf), got {threads!r}")
    if openblas() is None:
        raise ValueError(
            f"NumpyBackend: threads: expected None, because NumPy's BLAS is not an OpenBLAS with its own threads, got "
            f"{threads!r}; set an environment variable such as MKL_NUM_THREADS, VECLIB_MAXIMUM_THREADS or OMP_NUM_THREADS"
        )


def keep_freed_memory() -> None:
    """Make the allocator keep the memory of temporaries for the next step.

    glibc requests memory for arrays above a threshold from the kernel, which costs a page fault per page in every step. The
    threshold rises to the size of the largest freed array, up to 32 MiB, and glibc keeps twice as much free memory. One array
    of that size, never written to, is enough for the life of the process. Other allocators, and thresholds set by the user,
    are unaffected.
    """
    np.empty(MAX_THRESHOLD_BYTES, dtype=np.uint8)

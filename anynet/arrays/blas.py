"""The number of threads of NumPy's BLAS.

OpenBLAS's threads wait for each other in a loop. If another process occupies a core, each product waits until that process has
used up its time slice, and a step takes 100 times as long. Its results also depend on the number of threads. anynet therefore
sets one thread while it computes, and runs large products in its own threads (`anynet.arrays.products`).

The number of threads is one integer of the library, which each product reads once. Setting it is safe while another thread
multiplies. Only OpenBLAS with its own threads is controlled, as in NumPy's wheels; OpenMP keeps a number per thread.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from itertools import product
from threading import Lock, local
from typing import Any

import numpy as np


class OpenBlas:
    """The functions of an OpenBLAS that read and set its number of threads.

    threadpoolctl's own functions take 0.5 µs longer, which is 3 % of a small step.
    """

    def __init__(self, path: str) -> None:
        library = ctypes.PyDLL(path)  # already loaded; does not release the GIL, since setting an integer takes no time
        self.get_threads: Callable[[], int] = _symbol(library, "openblas_get_num_threads")
        self.set_threads: Callable[[int], Any] = _symbol(library, "openblas_set_num_threads")
        self.has_own_threads: bool = _symbol(library, "openblas_get_parallel")() == 1
        """Whether it was built with its own threads, rather than with OpenMP or without threads."""


def _symbol(library: ctypes.PyDLL, name: str) -> Any:
    """Return a function of an OpenBLAS. NumPy's wheels add a prefix, builds with 64-bit indices a suffix."""
    for prefix, suffix in product(("scipy_", ""), ("64_", "", "_64")):
        if hasattr(library, f"{prefix}{name}{suffix}"):
            return getattr(library, f"{prefix}{name}{suffix}")
    raise AttributeError(name)


def loaded_blas() -> dict[str, Any] | None:
    """Return threadpoolctl's description of NumPy's BLAS, or None if it does not support that library."""
    is_set = "KMP_DUPLICATE_LIB_OK" in os.environ
    from threadpoolctl import threadpool_info

    if not is_set:  # threadpoolctl sets it, for programs that load two libraries of OpenMP
        os.environ.pop("KMP_DUPLICATE_LIB_OK", None)
    loaded = [found for found in threadpool_info() if found["user_api"] == "blas"]
    own = [found for found in loaded if "numpy" in found["filepath"]] or loaded  # other packages may bring their own
    found = own[0] if len(own) == 1 else None
    return found if found is not None and found["internal_api"] in _built_with() else None


def _built_with() -> str:
    """Return the name of the BLAS that NumPy was built with, such as "scipy-openblas"."""
    build: Any = np.show_config(mode="dicts")
    return str(build["Build Dependencies"]["blas"]["name"])


@cache
def openblas() -> OpenBlas | None:
    """Return NumPy's OpenBLAS, or None if NumPy uses another BLAS or one with OpenMP.

    The functions of OpenBLAS are found through NumPy's extension, which is linked to it. On Windows, which does not search linked
    libraries, threadpoolctl finds the file; it inspects all loaded libraries, which takes 10 ms.
    """
    if "openblas" not in _built_with():
        return None
    try:
        found = OpenBlas(str(import_module("numpy._core._multiarray_umath").__file__))
    except (ImportError, OSError, AttributeError):
        loaded = loaded_blas()
        if loaded is None or loaded["internal_api"] != "openblas":
            return None
        found = OpenBlas(loaded["filepath"])
    return found if found.has_own_threads else None


class _Entered(local):
    """The contexts that a thread has entered."""

    def __init__(self) -> None:
        self.threads: list[int | None] = []


_entered = _Entered()
_lock = Lock()
_count = 0
"""Number of contexts that all threads have entered."""
_outside = 1
"""Number of threads of BLAS outside of them."""


def limited(threads: int | None = None) -> AbstractContextManager[None]:
    """Return a context in which BLAS uses one thread, and large products use `threads`.

    It can be nested and entered by several threads at once; the last exit restores BLAS's number of threads. It does nothing if
    BLAS cannot be controlled.

    Parameters
    ----------
    threads : int, optional
        By default, as many as BLAS uses outside the context.

    Examples
    --------
    >>> with limited(3):
    ...     inside = thread_count()
    >>> inside, thread_count()
    (3, None)
    """
    blas = openblas()
    return nullcontext() if blas is None else _Limit(blas, threads)


class _Limit:
    def __init__(self, blas: OpenBlas, threads: int | None) -> None:
        self._get, self._set, self._threads = blas.get_threads, blas.set_threads, threads

    def __enter__(self) -> None:
        global _count, _outside
        with _lock:
            if not _count:
                _outside = self._get()
                if _outside != 1:
                    self._set(1)
            _count += 1
        _entered.threads.append(self._threads)

    def __exit__(self, *_: object) -> None:
        global _count
        _entered.threads.pop()
        with _lock:
            _count -= 1
            if not _count and _outside != 1:
                self._set(_outside)


def thread_count() -> int | None:
    """Return the number of threads of large products, or None outside `limited`."""
    threads = _entered.threads
    return (threads[-1] or _outside) if threads else None


def _forget_other_threads() -> None:
    """Leave the contexts of threads that a fork has not copied."""
    global _lock, _count
    _lock, limits = Lock(), _count > 0
    _count = len(_entered.threads)
    blas = openblas()
    if limits and not _count and blas is not None:
        blas.set_threads(_outside)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)

"""Settings and counters of the array libraries that only the self-check uses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from anynet.backends.base import Backend


def library(backend: Backend) -> str:
    """Return the name of a backend without its device."""
    return backend.name.partition(":")[0]


def full_precision(backend: Backend) -> AbstractContextManager[Any]:
    """Return a context in which float64 is available and float32 products are not rounded to fewer bits."""
    return {"jax": _jax, "torch": _torch}.get(library(backend), nullcontext)()


@contextmanager
def _jax() -> Iterator[None]:
    import jax

    enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else import_module("jax.experimental").enable_x64
    with enable_x64(True), jax.default_matmul_precision("highest"):
        yield


@contextmanager
def _torch() -> Iterator[None]:
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def reports_waiting(backend: Backend) -> bool:
    """Return whether the library can report that it waits for the device."""
    return library(backend) == "cupy"


def first_wait(backend: Backend, step: Callable[[], Any]) -> str:
    """Return the error of CuPy if a repeated step waits for the device, else ""."""
    import cupyx

    step()  # compiles the kernels
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cupyx.allow_synchronize")  # an experimental feature
        try:
            with cupyx.allow_synchronize(False):
                step()
        except cupyx.DeviceSynchronized as error:
            return f"DeviceSynchronized: {error}"
    return ""


def launches(backend: Backend) -> float | None:
    """Return the launches from the host per step of the last `fit`, or None."""
    return backend.launches_per_step  # the libraries count none, so only a graph's are known


def graph(backend: Backend) -> str:
    """Return whether training steps run in a CUDA graph, or the reason why not."""
    if backend.graph:
        return backend.graph
    if "cpu" in str(backend.device).lower():
        return "not on a CPU"
    return "left to XLA" if library(backend) == "jax" else "no, steps are launched operation by operation"

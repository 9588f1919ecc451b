"""PyTorch backend, without autograd, for every device that PyTorch supports."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from anynet.arrays.convert import is_on_gpu, to_numpy
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend, missing, run_whole
from anynet.backends.flat_rules import run_flat
from anynet.backends.numpy import NumpyBackend


class TorchBackend(Backend):
    """PyTorch tensors; ``compiled=True`` compiles functions with ``torch.compile``."""

    def __init__(self, device: str | None = None, *, compiled: bool = False) -> None:
        try:
            import torch
        except ImportError:
            raise missing("torch", "torch", "pip install torch") from None
        from anynet.arrays import torch_namespace

        try:
            self.device = torch.device(device or "cpu")
            self.device = torch.zeros((), device=self.device).device  # "cuda" is "cuda:0"
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0].partition(". ")[0]
            reason = re.sub("^Expected one of .*", "no such kind of device", reason)
            raise RuntimeError(
                f"backend 'torch': expected an available device, got {device!r} ({reason}); "
                f"this machine has: {', '.join(devices())}"
            ) from None
        self.xp, self._torch, self._compiled = torch_namespace, torch, compiled
        self.options = {"compiled": compiled}
        self._host = NumpyBackend()
        self.name = "torch" if device is None else f"torch:{device}"

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        if self.device.type == "cuda" and not isinstance(x, self._torch.Tensor) and is_on_gpu(x):
            x = self._torch.from_dlpack(x)
        if isinstance(x, self._torch.Tensor):
            if x.requires_grad:
                x = x.detach()
            if not copy and x.device == self.device and dtype in (None, x.dtype):
                return x
            x = x.contiguous() if copy else x
        else:
            x = np.asarray(to_numpy(x), order="C" if copy else None)
            if not x.flags.writeable or any(stride < 0 for stride in x.strides):
                x = x.copy()  # torch has neither read-only arrays nor negative strides
            if x.ndim == 0:  # torch.asarray refuses to copy numbers into another dtype
                return self._torch.asarray(x[None], dtype=dtype, device=self.device, copy=copy)[0]
        return self._torch.asarray(x, dtype=dtype, device=self.device, copy=copy)

    def to_numpy(self, x: Any) -> np.ndarray:
        return x.detach().cpu().numpy()

    def shares_memory(self, a: Any, b: Any) -> bool:
        return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()

    def free_memory(self) -> int | None:
        return self._torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else None

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            self._torch.cuda.synchronize(self.device)

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        if self._compiled:
            function = self._torch.compile(function)
        no_grad = self._torch.no_grad

        @wraps(function)
        def run(*args: Any) -> Any:
            with no_grad():
                return function(*args)

        return run

    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        if self._compiled:
            return run_whole(rule)
        if self.device.type != "cpu":
            return run_flat(self._torch, rule)

        # On the CPU, NumPy arrays can share the memory of tensors, and NumPy's runners need fewer passes over it.
        def run(leaf_groups: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
            views = [tuple([tensor.numpy() for tensor in group]) for group in leaf_groups]
            self._host.elementwise(rule)(
                views, tuple([c.numpy()[()] if isinstance(c, self._torch.Tensor) else c for c in coefficients])
            )

        return run


def devices() -> list[str]:
    """Return the names of PyTorch's devices."""
    import torch

    names = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])

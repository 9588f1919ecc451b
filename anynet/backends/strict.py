"""array-api-strict backend: slow, and meant for tests that code uses only the standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from anynet.arrays.convert import to_numpy
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend, bad_device, missing


class StrictBackend(Backend):
    """array-api-strict arrays; ``device1`` and ``device2`` reveal hidden transfers to the host."""

    def __init__(self, device: str | None = None) -> None:
        try:
            import array_api_strict as xp
        except ImportError:
            raise missing("strict", "array-api-strict", "pip install array-api-strict") from None
        try:
            self.device = xp.Device(device or "CPU_DEVICE")
        except ValueError:
            raise bad_device("strict", str(device), f"one of {xp.__array_namespace_info__().devices()}") from None
        self.xp = xp
        self.name = "strict" if device is None else f"strict:{device}"

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        if copy or type(x).__module__.partition(".")[0] != "array_api_strict":
            x = self.xp.asarray(np.array(to_numpy(x), copy=copy, order="C" if copy else None))
        x = x.to_device(self.device)
        return x if dtype is None or x.dtype == dtype else self.xp.astype(x, dtype)

    def shares_memory(self, a: Any, b: Any) -> bool:
        return np.may_share_memory(np.from_dlpack(a), np.from_dlpack(b))  # `to_numpy` copies from other devices

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x.to_device(self.xp.Device("CPU_DEVICE")))

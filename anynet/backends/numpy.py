"""NumPy: the CPU, and the host side of every other backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from anynet.backends.base import Backend, bad_device
from anynet.backends.tiles import run_tiled
from anynet.namespace import Array


class NumpyBackend(Backend):
    """Arrays of NumPy."""

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise bad_device("numpy", str(device), "'cpu'")
        self.name, self.xp, self.device = "numpy", xp, "cpu"

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        from anynet.backends import to_numpy

        return np.array(to_numpy(x), dtype=dtype, copy=copy, order="C" if copy else None)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    @cache  # noqa: B019 - a handful of rules, and backends live as long as the process
    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        return run_tiled(rule)

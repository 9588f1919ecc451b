"""The array API namespace of PyTorch.

It is that of array-api-compat, except for `matmul`, which promotes dtypes there; that takes as long as a small product."""

from __future__ import annotations

from types import ModuleType

import torch
from array_api_compat import torch as _compat

for _name in dir(_compat):
    _value = getattr(_compat, _name)
    if _name[0] != "_" and (_name in ("fft", "linalg") or not isinstance(_value, ModuleType)):
        globals()[_name] = _value

__array_namespace_info__ = _compat.__array_namespace_info__
matmul = torch.matmul

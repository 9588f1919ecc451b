"""The array API namespace of PyTorch.

It is that of array-api-compat, except for `matmul`, which promotes dtypes there; that takes as long as a small product."""

from __future__ import annotations

import torch
from array_api_compat import torch as _compat

_names = {*dir(_compat), "__array_namespace_info__"} - {"matmul"}
globals().update(
    {name: getattr(_compat, name) for name in _names if name == "__array_namespace_info__" or name[0] != "_"}
)

matmul = torch.matmul

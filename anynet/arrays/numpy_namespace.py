"""The array API namespace of NumPy.

It is that of array-api-compat, except for `matmul`, whose results do not depend on the number of threads."""

from __future__ import annotations

from array_api_compat import numpy as _compat

from anynet.arrays.products import matmul as matmul

_names = {*dir(_compat), "__array_namespace_info__"} - {"__builtins__", "matmul"}
globals().update(
    {name: getattr(_compat, name) for name in _names if name == "__array_namespace_info__" or name[0] != "_"}
)

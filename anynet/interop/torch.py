"""A ``torch.nn.Module`` as a layer.

>>> import torch
>>> from anynet import Dense, Model
>>> from anynet.interop.torch import TorchModule
>>> Model([TorchModule(torch.nn.Linear(784, 64)), Dense(10)], input_shape=784).output_shape
(10,)
"""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    raise ModuleNotFoundError(
        "anynet.interop.torch: expected the package torch to be installed, got none; run: pip install torch",
        name="torch",
    )

from anynet.interop.torch_layer import TorchModule as TorchModule

__all__ = ["TorchModule"]

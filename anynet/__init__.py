"""anynet: neural networks on any array library.

Layers are written once against the Python array API standard and train on NumPy, CuPy, PyTorch and JAX arrays. Every layer
has its own hand-derived backward pass; there is no autodiff.

>>> from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
>>> model = Model([Dense(128), ReLU(), Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam(1e-3))
"""

import ast as _ast
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from sys import _getframe
from typing import Any

from anynet._version import __version__ as __version__
from anynet.explain import explain as explain  # eager: its package has the same name

with open(f"{__file__}i", encoding="utf-8") as _stub:  # __init__.pyi lists each public name and its module
    _modules = {
        alias.name: node.module
        for node in _ast.parse(_stub.read()).body
        if isinstance(node, _ast.ImportFrom)
        for alias in node.names
    }

__all__ = sorted(name for name, module in _modules.items() if module not in (None, "_version"))


def __getattr__(name: str) -> Any:
    if name not in _modules:
        advice = "" if name[:1] == "_" else _import_module("anynet.names.text").advice(("anynet",), name, _modules)
        message = f"anynet: expected a public name, got {name!r}{advice}"
        # `from anynet import Linear` looks the name up here, in _handle_fromlist, and would replace an AttributeError by its own.
        if _getframe(1).f_code.co_name == "_handle_fromlist" and _find_spec(f"anynet.{name}") is None:
            raise ImportError(message, name=name)
        raise AttributeError(message)
    module = _modules[name]
    value = getattr(_import_module(f"anynet.{module}"), name) if module else _import_module(f"anynet.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_modules)

"""Backends: array libraries on a device, each imported on first use.

>>> get("numpy")
<Backend numpy>
>>> "numpy" in available()
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anynet.arrays.convert import library_of, to_numpy
from anynet.backends import product_rates
from anynet.backends.base import Backend
from anynet.backends.report import Info, collect
from anynet.names.text import advice

if TYPE_CHECKING:
    from anynet.selfcheck.report import CheckReport

_CLASSES = {
    "numpy": "anynet.backends.numpy:NumpyBackend",
    "cupy": "anynet.backends.cupy:CupyBackend",
    "torch": "anynet.backends.torch:TorchBackend",
    "jax": "anynet.backends.jax:JaxBackend",
    "strict": "anynet.backends.strict:StrictBackend",
}
NAMES = tuple(_CLASSES)

__all__ = ["NAMES", "Backend", "available", "check", "get", "info", "of", "to_numpy"]


def get(backend: str | Backend, device: str | None = None) -> Backend:
    """Return the backend of a name such as ``"numpy"``, ``"torch:cuda"`` or ``"cupy:1"``.

    Parameters
    ----------
    backend : str or Backend
        A `Backend` is returned unchanged.
    device : str, optional
        Device of the library, instead of the part of the name after the colon.

    Raises
    ------
    ValueError
        If the name is unknown, or the library has no such device.
    ImportError, RuntimeError
        If the library is not installed, or the machine lacks what it needs; the message includes a remedy.
    """
    if isinstance(backend, Backend):
        if device is not None:
            raise ValueError(f"device: expected None with a Backend object, got {device!r}; create the backend with it")
        return backend
    if not isinstance(backend, str):
        raise TypeError(f"backend: expected a name or a Backend, got {backend!r}")
    name, _, suffix = backend.partition(":")
    if suffix and device is not None and suffix != device:
        raise ValueError(f"device: expected {suffix!r}, as in backend={backend!r}, or None, got {device!r}")
    if name not in _CLASSES:
        hint = advice(("backend",), name, NAMES)
        if not hint and any(known in name for known in NAMES):
            hint = "; a device follows a colon, as in 'torch:cuda'"
        raise ValueError(f"backend: expected one of {', '.join(map(repr, NAMES))}, got {backend!r}{hint}")
    module, _, cls = _CLASSES[name].partition(":")
    return getattr(import_module(module), cls)(suffix or (None if device is None else str(device)))


def of(x: Any) -> Backend:
    """Return the backend and device of an array; NumPy for lists and other values.

    Examples
    --------
    >>> of([1.0, 2.0])
    <Backend numpy>
    """
    library = library_of(x)
    if library == "torch":
        return get("torch", str(x.device))
    if library == "cupy":
        return get("cupy", str(x.device.id))
    if library == "jax":
        device = next(iter(x.devices()))
        return get("jax", f"{device.platform}:{device.id}")
    if library == "strict":
        return get("strict", repr(x.device).split("'")[1])  # array_api_strict.Device('device1')
    return _host()


@cache
def _host() -> Backend:
    return get("numpy")


def available() -> list[str]:
    """Return the names of the backends that can run on this machine."""
    return [name for name, backend in _try_all().items() if isinstance(backend, Backend)]


def info(*, products: Sequence[tuple[int, int, int]] = (), dtype: str = "float32") -> Info:
    """Return versions, devices and threads of each backend, with advice on speed.

    Print it, or run ``anynet info``.

    Parameters
    ----------
    products : sequence of (int, int, int)
        Sizes (m, k, n) of matrix products (m, k) × (k, n) to measure: for a `Dense` layer the batch size, inputs and units.
        Each takes half a second per library: NumPy, also with other kernels of its OpenBLAS, PyTorch, and MKL from the package
        ``mkl``.
    dtype : "float32" or "float64"
        Dtype of the products.

    Raises
    ------
    ValueError
        If a size is not three positive integers.

    Examples
    --------
    >>> import numpy
    >>> info().backends["numpy"]["version"] == numpy.__version__
    True
    """
    found = collect(_try_all())
    if not products:
        return found
    rates = product_rates.measure(products, dtype)
    names = [f"{m}×{k}×{n}" for m, k, n in products]
    measured = {name: dict(zip(names, values, strict=True)) for name, values in rates.items()}
    return replace(found, products=measured, advice=[*found.advice, *product_rates.advice(rates)])


def check(backend: str | Backend = "numpy", *, quick: bool = False) -> CheckReport:
    """Verify that a backend computes correctly on this machine.

    Random bits, nine networks and 14 optimizers, in float64 and float32, are compared with NumPy in float64. Each gap has a
    limit: the condition of the result times the roundoff of its dtype. ``anynet check --backend NAME`` prints the report, and
    ``anynet check`` the outcome of a quick check of every backend.

    Parameters
    ----------
    backend : str or Backend
        Name such as ``"cupy"``, or a ready backend.
    quick : bool
        Whether to compare only random bits and the training of one network in float32, which takes seconds.

    Returns
    -------
    CheckReport
        With `passed`, `failures`, `as_dict()` and, as text, a table.

    Raises
    ------
    ImportError, RuntimeError, ValueError
        If the backend cannot run on this machine.

    Examples
    --------
    >>> check("numpy").passed
    True
    """
    report: CheckReport = import_module("anynet.selfcheck").run(
        backend, quick=quick
    )  # it uses `Model`, which is built on backends
    return report


def _try_all() -> dict[str, Backend | Exception]:
    """Return the backend of each name, or the reason why it cannot run."""
    found: dict[str, Backend | Exception] = {}
    for name in NAMES:
        try:
            found[name] = get(name)
        except (ImportError, RuntimeError) as error:
            found[name] = error
    return found

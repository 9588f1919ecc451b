"""The array libraries that anynet runs on, each in one small file, imported only when it is asked for.

>>> get("numpy")
<Backend numpy>
>>> "numpy" in available()
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anynet.arrays.convert import library_of, to_numpy
from anynet.backends.base import Backend

if TYPE_CHECKING:
    from anynet.backends.report import Info

NAMES = ("numpy", "cupy", "torch", "jax", "strict")

__all__ = ["NAMES", "Backend", "available", "get", "info", "of", "to_numpy"]


def get(backend: str | Backend, device: str | None = None) -> Backend:
    """Return the backend of a name such as ``"numpy"``, ``"torch:cuda"`` or ``"cupy:1"``.

    Parameters
    ----------
    backend : str or Backend
        A ready backend is returned as it is.
    device : str, optional
        What may also stand behind the colon.

    Raises
    ------
    ValueError
        If the name is unknown, or the library has no such device.
    ImportError, RuntimeError
        If the library is not installed, or the machine lacks what it needs; the message says what to do.
    """
    if isinstance(backend, Backend):
        if device is not None:
            raise ValueError(f"device: expected none beside a ready Backend, got {device!r}; make the backend with it")
        return backend
    if not isinstance(backend, str):
        raise TypeError(f"backend: expected a name or a Backend, got {backend!r}")
    name, _, suffix = backend.partition(":")
    if suffix and device is not None and suffix != device:
        raise ValueError(f"device: expected {suffix!r}, as in backend={backend!r}, or none, got {device!r}")
    device = suffix or (None if device is None else str(device))
    if name == "numpy":
        from anynet.backends.numpy import NumpyBackend as Found
    elif name == "cupy":
        from anynet.backends.cupy import CupyBackend as Found  # type: ignore[assignment]
    elif name == "torch":
        from anynet.backends.torch import TorchBackend as Found  # type: ignore[assignment]
    elif name == "jax":
        from anynet.backends.jax import JaxBackend as Found  # type: ignore[assignment]
    elif name == "strict":
        from anynet.backends.strict import StrictBackend as Found  # type: ignore[assignment]
    else:
        raise ValueError(
            f"backend: expected one of {', '.join(map(repr, NAMES))}, got {backend!r}; a device "
            "goes behind a colon, as in 'torch:cuda'"
        )
    return Found(device)


def of(x: Any) -> Backend:
    """Return the backend and device of an array; NumPy for lists and everything else that NumPy can convert."""
    library = library_of(x)
    if library == "torch":
        return get("torch", str(x.device))
    if library == "cupy":
        return get("cupy", str(x.device.id))
    if library == "jax":
        device = next(iter(x.devices()))
        return get("jax", f"{device.platform}:{device.id}")
    if library == "strict":
        return get("strict", x.device._device)
    return get("numpy")


def available() -> list[str]:
    """Return the names of the backends that can run on this machine, as it is set up."""
    found = []
    for name in NAMES:
        try:
            get(name)
        except (ImportError, RuntimeError):
            continue
        found.append(name)
    return found


def info() -> Info:
    """Return what can run on this machine, with versions, devices and threads, and advice where speed is left lying.

    Print it, or run ``python -m anynet info``.

    Examples
    --------
    >>> import numpy
    >>> info().backends["numpy"]["version"] == numpy.__version__
    True
    """
    from anynet.backends.report import collect

    return collect()

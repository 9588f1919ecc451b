"""A model in one safetensors file: readable with safetensors and JSON alone, written so that no crash can lose it.

The tensors are named ``params.0.weight``, ``state.m.0.weight`` and ``key``; the header's entry ``anynet`` is JSON with the
format version, the architecture and the settings.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.base import Backend
from anynet.config import from_config, to_config

FORMAT = 1


def save(model: Any, path: str | Path) -> None:
    """Write a model; see `Model.save`."""
    from safetensors.numpy import save as to_bytes

    params, state, key = model._carry
    trees = {"params": params, "state": state, "key": key}
    tensors = {tree.name(p): np.asarray(model.backend.to_numpy(a), order="C") for p, a in tree.places(trees)}
    settings = {**model._settings(), "metrics": list(model.metrics)}
    header = {
        "format": FORMAT,
        "layer": to_config(model.layer),
        "epoch": model.epoch,
        **{name: to_config(value) for name, value in settings.items()},
    }
    write(Path(path), to_bytes(tensors, metadata={"anynet": json.dumps(header)}))


def write(path: Path, content: bytes) -> None:
    """Write a file so that whatever happens, the old content or the new one is there, whole."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected a folder, got {path.parent}, which is not there; make it first")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the rename itself is durable only when its directory is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(
    path: str | Path, backend: str | Backend = "numpy", device: str | None = None, *, custom: Iterable[type] = ()
) -> Any:
    """Read a model that `Model.save` wrote, on any backend, and go on where it was.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device : str
        Where the model shall live, whatever wrote it.
    custom : classes
        Your own layers, losses, optimisers and metrics that the model has.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a safetensors file, is truncated, was not written by anynet, or holds arrays of another architecture.

    Examples
    --------
    >>> import tempfile
    >>> from anynet import Dense, Model, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Model([Dense(2)], input_shape=3).save(f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors").output_shape
    (2,)
    """
    from anynet.model import Model

    tensors, header = read(Path(path))
    try:
        layer = from_config(header.pop("layer"), custom)
        settings = {name: from_config(header[name], custom) for name in header.keys() - {"format", "epoch"}}
        model = Model(layer, backend=backend, device=device, **settings)
        epoch = int(header["epoch"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"load: expected a whole description of a model in {path}, got one without or with a wrong {error}"
        ) from None
    parts = []
    for name, old in zip(("params", "state", "key"), model._carry, strict=True):
        parts.append(_filled(f"load: {path}", name, old, tensors))
    model._restore(*parts)
    model.epoch = epoch
    return model


def _filled(where: str, name: str, old: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return the saved arrays in the structure of `old`; a ValueError says where they do not fit."""
    expected = {tree.name((name, *path)): array for path, array in tree.places(old)}
    given = {key for key in tensors if key.split(".")[0] == name}
    if given != expected.keys():
        odd = sorted(given ^ expected.keys())
        raise ValueError(
            f"{where}: expected the arrays of the architecture in its header, got others: {', '.join(odd[:3])}"
        )
    for key, array in expected.items():
        if tensors[key].shape != tuple(array.shape):
            raise ValueError(f"{where}: expected {key} of shape {tuple(array.shape)}, got {tensors[key].shape}")
    return tree.replace(old, iter([tensors[key] for key in expected]), like=old)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the header of a file, or raise ValueError if it is not one that anynet wrote."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(f"load: expected a file, got {path}, which is not there")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, TypeError) as error:
        raise ValueError(f"load: expected a whole safetensors file, got {path} ({error})") from None
    try:
        header = json.loads(metadata["anynet"])
        version = header["format"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"load: expected a file that Model.save wrote, got {path} without anynet's description"
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"load: expected format {FORMAT}, got {version!r} in {path}; use the version of anynet that wrote it"
        )
    return tensors, header

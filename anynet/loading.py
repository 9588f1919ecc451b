"""Loading of models from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anynet.backends.base import Backend
from anynet.checkpoint import snapshot
from anynet.checks import check_path
from anynet.distributed import Communicator
from anynet.model import Model
from anynet.names.constructors import explained


@explained
def load(
    path: str | Path,
    backend: str | Backend = "numpy",
    device: str | None = None,
    *,
    custom: Iterable[Any] = (),
    distributed: str | Communicator | None = None,
) -> Model:
    """Load a model written by `Model.save` or `Checkpoint`, from any backend to any backend.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device : str
        Backend for the loaded model; it may differ from the one that wrote the file.
    custom : classes and functions
        Your own layers, losses, optimizers, metrics and schedules that the model uses, and for each `TorchModule` a function
        without arguments that returns its module.
    distributed : str or Communicator, optional
        As for `Model`; each process reads the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or incomplete, was not written by anynet, or names classes that are neither in anynet nor in
        `custom`.

    Examples
    --------
    >>> import tempfile
    >>> from anynet import Dense, Model, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Model([Dense(2)], input_shape=3).save(f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors").output_shape
    (2,)
    """
    return Model.from_snapshot(
        "load", snapshot.read("load", check_path("load", "path", path)), backend, device, custom, distributed
    )

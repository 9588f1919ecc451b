"""A model, and where its training is, in one safetensors file that safetensors and JSON alone can read.

The tensors are named ``params.0.weight``, ``state.velocity.0.weight`` and ``key``; those that belong to a fit in progress
begin with ``fit``. The header's entry ``anynet`` is JSON:

===========  =====================================================================================================
``format``   version of all this
``model``    architecture and settings: what `Model` was given, a class with its fields for each layer
``epoch``    epochs done since the model was made; the shuffle of each is drawn for it
``history``  what was recorded, a list for each quantity; numbers that are not finite as text
``fit``      where a fit in progress is: settings, batches and sums of the present epoch, what callbacks remember
===========  =====================================================================================================

How the file is kept from damage, and damage from passing: `anynet.checkpoint.file`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anynet import backends, tree
from anynet.backends.base import Backend
from anynet.callbacks.base import Run
from anynet.checkpoint import file as storage
from anynet.checkpoint.serialize import from_config, to_config
from anynet.history import History
from anynet.optimizers import lr_factor

PARTS = ("params", "state", "key")


def save(model: Any, path: Path, **more: Any) -> None:
    """Write a model and, if there is one, the fit that it is in; see `Model.save`. More entries of plain data may be added."""
    places = tree.leaves_with_paths(dict(zip(PARTS, model._carry, strict=True)))
    tensors = {tree.name(p): np.asarray(model.backend.to_numpy(a), order="C") for p, a in places}
    run = None if model._run is None else model._run()
    description = {
        "model": describe(model),
        "epoch": model.epoch,
        "history": {name: _as_json(column) for name, column in model.history.items()},
        "fit": None if run is None else _packed(_position(run), "fit", tensors),
        **more,
    }
    storage.write(path, tensors, description)


def describe(model: Any) -> dict[str, Any]:
    """Return what the model was made of, as plain data."""
    from anynet.model import SETTINGS

    return {"layer": to_config(model.layer), **{name: to_config(getattr(model, name)) for name in SETTINGS}}


def load(
    path: str | Path, backend: str | Backend = "numpy", device: str | None = None, *, custom: Iterable[Any] = ()
) -> Any:
    """Read a model that `Model.save` or `Checkpoint` wrote, on any backend, and go on where it was.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device : str
        Where the model shall live, whatever wrote it.
    custom : classes and functions
        Your own layers, losses, optimisers, metrics and schedules that the model has.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, cut short, was not written by anynet, or holds classes that are neither anynet's nor custom.

    Examples
    --------
    >>> import tempfile
    >>> from anynet import Dense, Model, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Model([Dense(2)], input_shape=3).save(f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors").output_shape
    (2,)
    """
    return read(Path(path), backend, device, custom)[0]


def read(
    path: Path, backend: str | Backend, device: str | None, custom: Iterable[Any] = ()
) -> tuple[Any, dict[str, Any]]:
    """Return a model and all that stands beside it in the file; see `load`."""
    from anynet.model import SETTINGS, Model

    chosen = backends.get(backend, device)
    tensors, description = storage.read("load", path)
    try:
        config = description["model"]
        settings = {name: from_config(config[name], custom) for name in SETTINGS}
        model = Model(from_config(config["layer"], custom), backend=chosen, **settings)
    except (KeyError, TypeError) as error:
        raise ValueError(f"load: expected the description of a model in {path}, got one with a wrong {error}") from None
    carry = carry_from("load", path, model, tensors)
    epoch, history = _progress("load", path, description)
    model._restore(*carry)
    model.epoch, model.history = epoch, history
    return model, description


def resume_run(run: Run, path: Path) -> None:
    """Take a model, its history and its callbacks to where a checkpoint was; nothing is changed if it does not fit."""
    model, where = run.model, "fit: resume"
    tensors, description = storage.read(where, path)
    _check_same(where, path, "model", describe(model), description.get("model"))
    carry = carry_from(where, path, model, tensors)
    epoch, history = _progress(where, path, description)
    fit = _unpacked(description.get("fit"), tensors)
    if fit is not None:
        _check_same(where, path, "fit", run.settings, fit["settings"])
    storage.discard_leftovers(path)
    model._restore(*carry)
    model.epoch = epoch
    run.history = history
    if fit is not None:
        run.totals.restore(fit["totals"])
        run.stop = fit["stop"]
        remembered = list(fit["callbacks"])
        for callback in run.callbacks:
            found = next((r for r in remembered if r["class"] == type(callback).__name__), None)
            if found is not None:
                remembered.remove(found)
                callback.restore(found["state"])


def _position(run: Run) -> dict[str, Any]:
    states = [{"class": type(callback).__name__, "state": callback.state()} for callback in run.callbacks]
    return {
        "settings": run.settings,
        "totals": run.totals.state(),
        "stop": run.stop and not run.interrupted,
        "callbacks": states,
    }


def _check_same(where: str, path: Path, name: str, now: Any, then: Any) -> None:
    now, then = json.loads(json.dumps(now)), then if isinstance(then, dict) else {}
    for key in [*now, *(k for k in then if k not in now)]:
        if now.get(key) != then.get(key):
            raise ValueError(
                f"{where}: expected {key}={_short(then.get(key))}, as in the {name} that {path} was written by, got "
                f"{_short(now.get(key))}; resume with the arguments that it began with"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:300] + "…"


def _progress(where: str, path: Path, description: dict[str, Any]) -> tuple[int, History]:
    try:
        columns = {name: [_from_json(v) for v in column] for name, column in description["history"].items()}
        return int(description["epoch"]), History(columns)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: expected epoch and history in {path}, got a wrong {error}") from None


def carry_from(where: str, path: Path, model: Any, tensors: Mapping[str, np.ndarray]) -> tuple[Any, Any, Any]:
    """Return the saved parameters, state and key in the structure of the model's."""
    params, state, key = model._carry
    name = f"state.{lr_factor.KEY}"
    state = {k: v for k, v in state.items() if k != lr_factor.KEY}
    if name in tensors:
        state[lr_factor.KEY] = np.empty(())
    return tuple(
        _filled(f"{where}: {path}", part, old, tensors) for part, old in zip(PARTS, (params, state, key), strict=True)
    )


def _filled(where: str, name: str, old: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return the saved arrays in the structure of `old`; a ValueError says where they do not fit."""
    expected = {tree.name((name, *path)): array for path, array in tree.leaves_with_paths(old)}
    given = {key for key in tensors if key.split(".")[0] == name}
    if given != expected.keys():
        odd = sorted(given ^ expected.keys())
        raise ValueError(
            f"{where}: expected the arrays of the architecture in its header, got others: {', '.join(odd[:3])}"
        )
    for key, array in expected.items():
        if tensors[key].shape != tuple(array.shape):
            raise ValueError(f"{where}: expected {key} of shape {tuple(array.shape)}, got {tensors[key].shape}")
    return tree.set_leaves(old, iter([tensors[key] for key in expected]), like=old)


def _packed(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """Return plain data in which each array is replaced by the name under which it was put among the tensors."""
    if isinstance(value, np.ndarray):
        tensors[name] = np.asarray(value, order="C")
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {str(k): _packed(v, f"{name}.{k}", tensors) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
    return _as_json(value)


def _unpacked(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"tensor"}:
            return tensors[value["tensor"]]
        return {k: _unpacked(v, tensors) for k, v in value.items()}
    if isinstance(value, list):
        return [_unpacked(v, tensors) for v in value]
    return _from_json(value)


_NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _as_json(value: Any) -> Any:
    """Return numbers, and lists of them, as JSON knows them: those that are not finite become text."""
    if isinstance(value, list):
        return [_as_json(v) for v in value]
    return str(value) if isinstance(value, float) and (value != value or value in (np.inf, -np.inf)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(v) for v in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value

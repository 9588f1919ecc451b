"""A model and the position of its training in one safetensors file.

safetensors and JSON suffice to read it.

The tensors are named ``params.0.weight``, ``state.velocity.0.weight`` (optimizer state) and ``key``; those of a fit in
progress begin with ``fit``. The header's entry ``anynet`` is JSON:

===========  =====================================================================================================
``format``   version of this description
``model``    fields of `ModelConfig`; each layer, loss, ... as the name of its class with its fields
``epoch``    number of epochs completed since the model was created
``history``  one list per quantity; numbers that are not finite are text
``fit``      position of a fit in progress: settings, batches and sums of the current epoch, state of the callbacks
===========  =====================================================================================================

`anynet.checkpoint.file` protects the file against crashes and damage.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.arrays.convert import to_numpy
from anynet.checkpoint import file
from anynet.checkpoint.serialize import from_config, from_json, to_config, to_json
from anynet.config import ModelConfig
from anynet.history import History
from anynet.optimizers import lr_factor
from anynet.training.state import TrainState

if TYPE_CHECKING:
    from anynet.callbacks.base import Run

PARTS = ("params", "state", "key")
"""Prefixes of the tensors of a `TrainState`."""

NAMED = 5
"""Maximum number of different settings that a message lists."""


class Snapshot(NamedTuple):
    """The content of a file: a model without a backend, and where its training was.

    Attributes
    ----------
    path : Path
        The file.
    epoch : int
        Number of epochs completed.
    history : History
        Values of the last fit.
    tensors : dict of numpy.ndarray
        All arrays by name.
    description : dict
        The header's JSON.
    """

    path: Path
    epoch: int
    history: History
    tensors: dict[str, np.ndarray]
    description: dict[str, Any]

    def config(self, custom: Iterable[Any] = ()) -> ModelConfig:
        """Return the settings of the model; `custom` are the user's classes and functions."""
        names = [field.name for field in dataclasses.fields(ModelConfig)]
        fields = self.description["model"]
        return ModelConfig(**{name: from_config(fields[name], custom) for name in names})

    @contextmanager
    def wrong_content_is_value_error(self, where: str) -> Iterator[None]:
        """Turn errors that a header of wrong types or impossible numbers causes into ValueError."""
        try:
            yield
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            if isinstance(error, ValueError) and "expected" in str(error):  # it already explains the problem
                raise
            got = error if str(error) else type(error).__name__
            raise ValueError(
                f"{where}: expected the description of a model in {self.path}, got one with a wrong {got}"
            ) from error

    def state(self, where: str, like: TrainState) -> TrainState:
        """Return the saved arrays in the structure of another state, or raise ValueError."""
        opt_state = {name: value for name, value in like.opt_state.items() if name != lr_factor.KEY}
        if f"state.{lr_factor.KEY}" in self.tensors:
            opt_state[lr_factor.KEY] = np.empty(())
        parts = zip(PARTS, like._replace(opt_state=opt_state), strict=True)
        return TrainState(*(_filled(f"{where}: {self.path}", *part, self.tensors) for part in parts))

    def check_same(self, where: str, config: ModelConfig, settings: dict[str, Any]) -> None:
        """Raise ValueError unless model and settings are those that wrote the file."""
        fit = self.description.get("fit")
        if fit is not None:
            _check_same(where, self.path, "fit", settings, _unpacked(fit["settings"], {}))
        _check_same(where, self.path, "model", describe(config), self.description.get("model"))

    def restore(self, run: Run) -> None:
        """Restore the history, the metrics and the callbacks of a run."""
        run.history = self.history
        fit = _unpacked(self.description.get("fit"), self.tensors)
        if fit is not None:
            run.metrics.restore(fit["totals"])
            run.stop = fit["stop"]
            saved = list(fit["callbacks"])
            for callback in run.callbacks:
                found = next((entry for entry in saved if entry["class"] == type(callback).__name__), None)
                if found is not None:
                    saved.remove(found)
                    callback.restore(found["state"])


def write(
    path: Path, config: ModelConfig, state: TrainState, epoch: int, history: History, run: Run | None, **more: Any
) -> None:
    """Write a model and the position of its run, if any.

    `more` adds entries of plain data to the header."""
    arrays = tree.leaves_with_paths(dict(zip(PARTS, state, strict=True)))
    tensors = {tree.name(path): np.asarray(to_numpy(array), order="C") for path, array in arrays}
    description = {
        "model": describe(config),
        "epoch": epoch,
        "history": {name: to_json(column) for name, column in history.items()},
        "fit": None if run is None else _packed(_position(run), "fit", tensors),
        **more,
    }
    file.write(path, tensors, description)


def read(where: str, path: Path) -> Snapshot:
    """Read a file that `write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or was not written by anynet.
    """
    tensors, description = file.read(where, path)
    try:
        columns = {name: list(map(_quantity, column)) for name, column in description["history"].items()}
        epoch, history = int(description["epoch"]), History(columns)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected epoch and history in {path}, got a wrong {error}") from None
    return Snapshot(path, epoch, history, tensors, description)


def _quantity(value: Any) -> Any:
    """Return a number or a matrix of numbers in nested lists, or raise ValueError or TypeError."""
    quantity = from_json(value)
    np.asarray(quantity, dtype=float)
    return quantity


def describe(config: ModelConfig) -> dict[str, Any]:
    """Return a configuration as plain data."""
    return {field.name: to_config(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _position(run: Run) -> dict[str, Any]:
    states = [{"class": type(callback).__name__, "state": callback.state()} for callback in run.callbacks]
    return {
        "settings": run.settings,
        "totals": run.metrics.state(),
        "stop": run.stop and not run.interrupted,
        "callbacks": states,
    }


def _check_same(where: str, path: Path, name: str, now: Any, then: Any) -> None:
    """Raise ValueError that lists the settings in which two descriptions differ, field by field."""
    different = list(_differences(json.loads(json.dumps(now)), then if isinstance(then, dict) else {}))
    if different:
        more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
        raise ValueError(
            f"{where}: expected {', '.join(f'{key}={_short(old)}' for key, old, _ in different[:NAMED])}{more}, as in the "
            f"{name} that wrote {path}, got {', '.join(f'{key}={_short(new)}' for key, _, new in different[:NAMED])}; "
            "resume with the arguments of the first call"
        )


def _differences(now: Any, then: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, old and new value of each field in which two descriptions differ."""
    if isinstance(now, dict) and isinstance(then, dict) and now.get("class") == then.get("class"):
        for key in [*now, *(key for key in then if key not in now)]:
            yield from _differences(now.get(key), then.get(key), (*path, key))
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for index, pair in enumerate(zip(now, then, strict=True)):
            yield from _differences(*pair, (*path, str(index)))
    elif now != then:
        yield ".".join(path), then, now


def _short(value: Any) -> str:
    """Return a description as short text: classes by name, a list by its length."""
    if isinstance(value, dict) and "class" in value:
        return str(value["class"])
    if isinstance(value, list) and any(isinstance(part, (dict, list)) for part in value):
        return f"[{', '.join(map(_short, value[:NAMED]))}{', …' if len(value) > NAMED else ''}]"
    text = str(value)
    return text if len(text) <= 80 else text[:80] + "…"


def _filled(where: str, name: str, like: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return the saved arrays whose names begin with `name` in the structure of `like`, or raise ValueError."""
    expected = {tree.name((name, *path)): array for path, array in tree.leaves_with_paths(like)}
    given = {key for key in tensors if key.split(".")[0] == name}
    if given != expected.keys():
        odd = sorted(given ^ expected.keys())
        raise ValueError(
            f"{where}: expected the arrays of the architecture in its header, got others: {', '.join(odd[:3])}"
        )
    for key, array in expected.items():
        if tensors[key].shape != tuple(array.shape):
            raise ValueError(f"{where}: expected {key} of shape {tuple(array.shape)}, got {tensors[key].shape}")
    return tree.set_leaves(like, iter([tensors[key] for key in expected]), like=like)


def _packed(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """Return plain data with each array replaced by its name among the tensors, to which it is added."""
    if isinstance(value, np.ndarray):
        tensors[name] = np.asarray(value, order="C")
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {str(k): _packed(v, f"{name}.{k}", tensors) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
    return to_json(value)


def _unpacked(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"tensor"}:
            return tensors[value["tensor"]]
        return {k: _unpacked(v, tensors) for k, v in value.items()}
    if isinstance(value, list):
        return [_unpacked(v, tensors) for v in value]
    return from_json(value)

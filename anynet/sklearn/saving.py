"""Estimators in one safetensors file, without pickle: the model's file with one additional entry.

`anynet.load` reads the same file as a plain model, given ``custom=anynet.sklearn.saving.CUSTOM``.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from anynet.backends.base import Backend
from anynet.checkpoint import snapshot
from anynet.checkpoint.serialize import from_config, to_config
from anynet.config import ModelConfig
from anynet.model import Model
from anynet.sklearn.curves import DataLoss
from anynet.sklearn.losses import HalfPoissonDeviance, SummedSigmoidCrossEntropy
from anynet.sklearn.preprocessing import TablePreprocessor
from anynet.sklearn.solvers import FoldedAdam, VelocitySGD

CUSTOM = (FoldedAdam, VelocitySGD, HalfPoissonDeviance, SummedSigmoidCrossEntropy, DataLoss, ModelConfig)
"""Classes in the models of estimators that are not public classes of anynet."""

LEFT_OUT = ("callbacks", "distributed", "random_state")
"""Parameters that are not saved, except a `random_state` that is an integer."""


class SavedEstimator(BaseEstimator):
    """An estimator with a `Model`, which can be written to a file."""

    model_: Model
    random_state: Any

    def save(self, path: str | Path) -> None:
        """Write the estimator to one safetensors file, without pickle; see `load`.

        Callbacks, `distributed`, and a `random_state` that is not an integer are not saved.
        """
        save(self, path)

    @classmethod
    def load(
        cls, path: str | Path, *, backend: str | None = None, device: str | None = None, custom: Iterable[Any] = ()
    ) -> Self:
        """Read an estimator that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.
        backend, device : str, optional
            Backend of the estimator, whichever one wrote the file; NumPy by default.
        custom : classes
            Your own layers, losses, optimizers and schedules that the estimator uses.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or was not written by `save` of the same class.
        """
        return load(cls, path, backend, device, custom)


def save(estimator: SavedEstimator, path: str | Path, **more: Any) -> None:
    """Write an estimator; see `SavedEstimator.save`.

    `more` adds entries of plain data to the header.
    """
    check_is_fitted(estimator)
    params = {name: v for name, v in estimator.get_params(deep=False).items() if name not in LEFT_OUT}
    if isinstance(estimator.random_state, Integral):
        params["random_state"] = int(estimator.random_state)
    if isinstance(params["backend"], Backend):
        params["backend"] = params["backend"].name
    attributes = _fitted(estimator)
    binarizer, preprocessor = attributes.pop("_binarizer", None), attributes.pop("preprocessor_", None)
    description = {
        "class": type(estimator).__name__,
        "params": to_config(params),
        "attributes": {name: to_config(value) for name, value in attributes.items()},
        "y_type": None if binarizer is None else binarizer.y_type_,
        "preprocessor": None if preprocessor is None else to_config([preprocessor.get_params(), _fitted(preprocessor)]),
    }
    model = estimator.model_
    snapshot.write(
        Path(path), model.config, model.state, model.epoch, model.history, None, estimator=description, **more
    )


def load(cls: Any, path: str | Path, backend: str | None, device: str | None, custom: Iterable[Any]) -> Any:
    """Return an estimator; see `SavedEstimator.load`."""
    path, custom, name = Path(path), (*CUSTOM, *custom), cls.__name__
    where = f"{name}.load"
    saved = snapshot.read(where, path)
    content = saved.description.get("estimator")
    if content is None or content["class"] != name:
        found = "a model alone" if content is None else f"an {content['class']}"
        raise ValueError(f"{where}: expected a file that {name}.save wrote, got {found} in {path}")
    params = from_config(content["params"], custom)
    attributes = {name: from_config(value, custom) for name, value in content["attributes"].items()}
    attributes = {name: list(v) if isinstance(v, tuple) else v for name, v in attributes.items()}
    if backend is not None:
        params |= {"backend": backend, "device": device}
    elif "_kind" in attributes:
        attributes["_kind"] = "numpy"
    attributes["model_"] = Model.from_snapshot(where, saved, backend or "numpy", device, custom)
    if content["y_type"] is not None:
        attributes["_binarizer"] = LabelBinarizer()
        vars(attributes["_binarizer"]).update(
            classes_=attributes["classes_"], y_type_=content["y_type"], sparse_input_=False
        )
    if content["preprocessor"] is not None:
        settings, state = from_config(content["preprocessor"])
        attributes["preprocessor_"] = _with_attributes(f"{where}: {path}", TablePreprocessor(**settings), state)
    return _with_attributes(f"{where}: {path}", cls(**params), attributes)


def _fitted(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the attributes that `fit` sets, but for the model."""
    return {name: v for name, v in vars(estimator).items() if name not in {*estimator.get_params(), "model_"}}


def _with_attributes(where: str, estimator: Any, attributes: dict[str, Any]) -> Any:
    for name, value in attributes.items():
        _check_attribute(where, type(estimator), name)
        setattr(estimator, name, value)
    return estimator


def _check_attribute(where: str, cls: type, name: str) -> None:
    """Raise ValueError unless a name is that of a fitted attribute, not of a method or parameter."""
    if hasattr(cls, name) or not name.isidentifier() or not (name.startswith("_") or name.endswith("_")):
        raise ValueError(f"{where}: expected attributes that fit sets, got {name!r}")

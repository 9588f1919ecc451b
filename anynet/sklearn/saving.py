"""Estimators in one safetensors file, without pickle: the file of the model inside, with one more entry in its description.

`anynet.load` reads the same file as a plain model, given ``custom=anynet.sklearn.saving.CUSTOM``.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from anynet.backends.base import Backend
from anynet.checkpoint import snapshot
from anynet.checkpoint.serialize import from_config, to_config
from anynet.model import Model
from anynet.sklearn.curves import DataLoss
from anynet.sklearn.losses import HalfPoissonDeviance, SummedSigmoidCrossEntropy
from anynet.sklearn.solvers import FoldedAdam, VelocitySGD

CUSTOM = (FoldedAdam, VelocitySGD, HalfPoissonDeviance, SummedSigmoidCrossEntropy, DataLoss)
"""What an estimator's model may be made of besides anynet's public classes."""

LEFT_OUT = ("callbacks", "random_state")
"""Parameters that are not data; but for a `random_state` that is a number."""


def save(estimator: Any, path: str | Path) -> None:
    """Write an estimator; see `BaseMLP.save`."""
    check_is_fitted(estimator)
    params = {name: v for name, v in estimator.get_params(deep=False).items() if name not in LEFT_OUT}
    if isinstance(estimator.random_state, Integral):
        params["random_state"] = int(estimator.random_state)
    if isinstance(params["backend"], Backend):
        params["backend"] = params["backend"].name
    attributes = {name: v for name, v in vars(estimator).items() if name not in {*estimator.get_params(), "model_"}}
    binarizer = attributes.pop("_binarizer", None)
    description = {
        "class": type(estimator).__name__,
        "params": to_config(params),
        "attributes": {name: to_config(value) for name, value in attributes.items()},
        "y_type": None if binarizer is None else binarizer.y_type_,
    }
    model = estimator.model_
    snapshot.write(Path(path), model.config, model.state, model.epoch, model.history, None, estimator=description)


def load(cls: type, path: str | Path, backend: str | None, device: str | None, custom: Iterable[Any]) -> Any:
    """Read an estimator; see `BaseMLP.load`."""
    path, custom = Path(path), (*CUSTOM, *custom)
    where = f"{cls.__name__}.load"
    saved = snapshot.read(where, path)
    content = saved.description.get("estimator")
    if content is None or content["class"] != cls.__name__:
        found = "a model alone" if content is None else f"an {content['class']}"
        raise ValueError(f"{where}: expected a file that {cls.__name__}.save wrote, got {found} in {path}")
    params = from_config(content["params"], custom)
    estimator = cls(**{**params, "backend": backend, "device": device} if backend else params)
    for name, value in content["attributes"].items():
        setattr(estimator, name, _restored(value))
    estimator.model_ = Model.from_snapshot(where, saved, backend or "numpy", device, custom)
    if backend is None:
        estimator._kind = "numpy"
    if content["y_type"] is not None:
        estimator._binarizer = LabelBinarizer()
        vars(estimator._binarizer).update(classes_=estimator.classes_, y_type_=content["y_type"], sparse_input_=False)
    return estimator


def _restored(value: Any) -> Any:
    found = from_config(value)
    return list(found) if isinstance(found, tuple) else found

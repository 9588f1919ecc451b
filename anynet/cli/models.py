"""Models in files: the commands ``anynet predict``, ``evaluate``, ``export`` and ``info MODEL``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import tree
from anynet.checkpoint import file
from anynet.cli.errors import WrongArgument
from anynet.cli.tables import Rows, Task, listed, read, read_with_target

if TYPE_CHECKING:
    from pandas import DataFrame

ENTRY = "table"
"""Entry of a file's description with what ``anynet train`` adds."""


def save(estimator: Any, path: Path, task: Task, about: dict[str, Any]) -> None:
    """Write an estimator with its task and other facts."""
    import_module("anynet.sklearn.saving").save(estimator, path, **{ENTRY: {"task": asdict(task), **about}})


def load(path: str, backend: str = "numpy") -> tuple[Any, Task, dict[str, Any]]:
    """Return the estimator in a file, its task, and other facts."""
    if not Path(path).is_file():
        raise WrongArgument(f"expected an existing model, got {path}")
    description = file.read("MODEL", Path(path))[1]
    if ENTRY not in description:
        raise ValueError(f"expected a model that 'anynet train' wrote, got another one in {path}; use it from Python")
    cls = getattr(import_module("anynet.sklearn"), description["estimator"]["class"])
    about = description[ENTRY]
    return cls.load(path, backend=backend), Task(**about["task"]), about


def predict(options: argparse.Namespace) -> None:
    """Write the predictions for the rows of a table as CSV."""
    estimator, task, _ = load(options.model, options.backend)
    if options.proba and task.classes is None:
        raise WrongArgument(f"expected a model of classes for --proba, got a regression in {options.model}")
    x = inputs(estimator, task.inputs(read(options.data, task.text)))
    import pandas

    if options.proba:
        found = pandas.DataFrame(
            estimator.predict_proba(x), columns=[f"{task.target}={label}" for label in task.classes or ()]
        )
    else:
        found = pandas.DataFrame({task.target: estimator.predict(x)})
    found.to_csv(options.out or sys.stdout, index=False, float_format="%.8g")


def evaluate(options: argparse.Namespace) -> None:
    """Print the scores of a model on a table, next to those of a guess."""
    estimator, task, about = load(options.model)
    rows = task.rows(read_with_target(options.data, task.target, "the target of the model", task.text))
    found, guessed = scores(task, rows, outputs(estimator, rows.x)), scores(task, rows, about["guess"])
    text = (
        json.dumps({"rows": len(rows.y), "scores": found, "guess": guessed}) if options.json else words(found, guessed)
    )
    print(text)


def export(options: argparse.Namespace) -> None:
    """Write a model as ONNX."""
    estimator, _, _ = load(options.model)
    estimator.to_onnx(options.out)
    print(
        f"wrote {options.out}; its input X is what preprocessor_.transform of {type(estimator).__name__}.load("
        f"{options.model!r}) returns",
        file=sys.stderr,
    )


def describe(path: str) -> dict[str, str]:
    """Return facts about a model by name, for ``anynet info MODEL``."""
    estimator, task, about = load(path)
    classes, columns = task.classes, about["columns"]
    return {
        "model": f"{type(estimator).__name__} of anynet {about['version']}",
        "command": about["command"],
        "target": f"{task.target}: {'a number' if classes is None else f'{len(classes)} classes, {listed(classes)}'}",
        "inputs": f"{len(columns)} columns, {listed(columns)}",
        "rows": "{}, {} held out".format(*about["rows"]),
        "network": f"{sum(a.size for a in tree.leaves(estimator.model_.params))} parameters",
        "held out": words(about["scores"], about["guess scores"]),
    }


# -- scores ------------------------------------------------------------------------------------------------------------


def inputs(estimator: Any, x: DataFrame) -> Any:
    """Return the inputs of an estimator: a table, or a matrix for `MLPClassifier` and `MLPRegressor`."""
    return x if hasattr(estimator, "members") else estimator.preprocessor_.transform(x)


def outputs(estimator: Any, x: DataFrame) -> np.ndarray:
    """Return the probabilities (N, C) of the classes, or the predicted numbers (N,)."""
    return getattr(estimator, "predict_proba", estimator.predict)(inputs(estimator, x))


def guess(task: Task, rows: Rows) -> Any:
    """Return the fractions of the classes, or the mean, as plain data."""
    y = rows.y if task.classes is None else rows.y[:, None] == np.asarray(task.classes)
    return np.average(y, axis=0, weights=rows.weight).tolist()


def scores(task: Task, rows: Rows, outputs: Any) -> dict[str, float]:
    """Return the scores of outputs, one per row or one for all rows, by name."""
    from sklearn import metrics

    y, classes, options = rows.y, task.classes, {"sample_weight": rows.weight}
    outputs = np.broadcast_to(np.asarray(outputs, np.float64), (len(y), len(classes)) if classes else (len(y),))
    if classes is None:
        functions = {
            "RMSE": metrics.root_mean_squared_error,
            "MAE": metrics.mean_absolute_error,
            "R2": metrics.r2_score,
        }
        return {name: float(function(y, outputs, **options)) for name, function in functions.items()}
    outputs = outputs / outputs.sum(axis=1, keepdims=True)
    found = {
        "accuracy": metrics.accuracy_score(y, np.asarray(classes)[outputs.argmax(axis=1)], **options),
        "log loss": metrics.log_loss(y, outputs, labels=classes, **options),
    }
    if len(classes) == 2 == len(np.unique(y)):
        found["AUC"] = metrics.roc_auc_score(y == classes[1], outputs[:, 1], **options)
    return {name: float(value) for name, value in found.items()}


def words(scores: dict[str, float], guess: dict[str, float]) -> str:
    """Return scores as text, each with that of a guess."""
    return ", ".join(f"{name} {_short(value)} (guess {_short(guess[name])})" for name, value in scores.items())


def _short(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}" if abs(value) < 100.0 else f"{value:.1f}"  # + 0.0: no −0

"""Quality of the estimators for tables and of scikit-learn's on twelve data sets.

``python -m tests.benchmarks.tables --results build/tables.jsonl`` runs what the file does not contain yet, one fit at a time,
small tables first, appends a line per fit, and prints the Markdown tables of docs/howto/tables.md. ``--report`` only prints.

A fifth of the rows is the test part, drawn by the seed (adult has an official one). The networks hold out a fifth of the
others to select an epoch; scikit-learn's models train on all of them. Its perceptron has the matrix of `TablePreprocessor`
and, for numbers, standardized targets. All settings are defaults, except `members` and `hidden` of the smaller TabM.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from anynet.sklearn import (
    RealMLPClassifier,
    RealMLPRegressor,
    TablePreprocessor,
    TabMClassifier,
    TabMRegressor,
)

TARGETS = {
    "horse_colic": "surgical_lesion",
    "titanic": "Survived",
    "credit_g": "class",
    "abalone": "rings",
    "wine_white": "quality",
    "phoneme": "oral",
    "churn": "Churn",
    "bike": "cnt",
    "california": "median_house_value",
    "bank": "y",
    "adult": "income",
    "diamonds": "price",
}
"""Targets of the tables, by the number of rows."""

NUMBERS = {"abalone", "wine_white", "bike", "california", "diamonds"}
"""Tables whose target is a number."""

SMALLER = {"members": 8, "hidden": (256, 256, 256)}


def perceptron(seed: int, numbers: bool) -> Any:
    if not numbers:
        return make_pipeline(TablePreprocessor(), MLPClassifier(random_state=seed))
    regressor = make_pipeline(TablePreprocessor(), MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


def boosting(seed: int, numbers: bool) -> Any:
    kind = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    return kind(random_state=seed)


def ours(classifier: type, regressor: type, **params: Any) -> Callable[[int, bool], Any]:
    return lambda seed, numbers: (regressor if numbers else classifier)(random_state=seed, **params)


METHODS: dict[str, Callable[[int, bool], Any]] = {
    "gradient boosting": boosting,
    "scikit-learn's MLP": perceptron,
    "RealMLP": ours(RealMLPClassifier, RealMLPRegressor),
    "RealMLP, simple": ours(RealMLPClassifier, RealMLPRegressor, regularized=False),
    "TabM, smaller": ours(TabMClassifier, TabMRegressor, **SMALLER),
    "TabM": ours(TabMClassifier, TabMRegressor),
    "TabM, bins": ours(TabMClassifier, TabMRegressor, bins=48),
}
"""Estimators by name, as functions of the seed and of whether the target is a number."""


def split(folder: Path, name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return the rows to train on and to test, and their targets."""
    table = pandas.read_csv(folder / f"{name}.csv.gz").dropna(subset=TARGETS[name])
    text = [column for column in table if not pandas.api.types.is_numeric_dtype(table[column])]
    part = table.pop("part") if name == "adult" else None
    y = table.pop(TARGETS[name]).to_numpy()
    table = table.astype({column: "category" for column in text if column in table})
    if part is not None:
        train = (part == "train").to_numpy()
        return table[train], table[~train], y[train], y[~train]
    return tuple(train_test_split(table, y, test_size=0.2, random_state=seed))


def measure(folder: Path, name: str, method: str, seed: int) -> dict[str, Any]:
    """Return the test scores of one fit, and its seconds of processor time."""
    X, X_test, y, y_test = split(folder, name, seed)
    estimator, start = METHODS[method](seed, name in NUMBERS), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)
    found: dict[str, Any] = {"table": name, "method": method, "seed": seed}
    found["seconds"] = round(time.process_time() - start, 2)
    if name in NUMBERS:
        return found | {"rmse": root_mean_squared_error(y_test, estimator.predict(X_test))}
    p = estimator.predict_proba(X_test)
    found["accuracy"] = accuracy_score(y_test, estimator.predict(X_test))
    found["log_loss"] = log_loss(y_test, p, labels=estimator.classes_)
    return found | {"auc": roc_auc_score(y_test, p[:, 1])}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file; a line that was cut off is left out."""
    lines = path.read_text().split("\n") if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def missing(args: argparse.Namespace, done: list[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """Yield table, method and seed of each fit that is not in the results."""
    known = {(row["table"], row["method"], row["seed"]) for row in done}
    for seed in range(args.seeds):
        for name in args.tables:
            for method in args.methods:
                if (name, method, seed) not in known:
                    yield name, method, seed


def report(rows: list[dict[str, Any]]) -> str:
    """Return Markdown tables of mean ± standard deviation over the seeds, of methods with all tables and of others."""
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        cells[row["table"], row["method"]].append(row["rmse"] if "rmse" in row else row["accuracy"])
    names = [name for name in TARGETS if any(found == name for found, _ in cells)]
    methods = [method for method in METHODS if any(found == method for _, found in cells)]
    complete = [method for method in methods if all((name, method) in cells for name in names)]
    others = [method for method in methods if method not in complete]
    return "\n\n".join(_table(names, part, cells) for part in (complete, others) if part)


def _table(names: list[str], methods: list[str], cells: dict[tuple[str, str], list[float]]) -> str:
    """Return a Markdown table; rows without any result are left out."""
    lines = [f"| table | score | {' | '.join(methods)} |", f"|---|---|{'---|' * len(methods)}"]
    for name in names:
        texts = [_text(cells.get((name, method), [])) for method in methods]
        if any(texts):
            lines.append(f"| {name} | {'RMSE' if name in NUMBERS else 'accuracy'} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _text(values: list[float]) -> str:
    """Return mean ± standard deviation with four digits, and the number of seeds if it is not five."""
    if not values:
        return ""
    mean, deviation = float(np.mean(values)), float(np.std(values))
    digits = max(0, 3 - max(-1, int(np.floor(np.log10(mean)))))
    spread = f" ± {deviation:.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}" + ("" if len(values) == 5 else f" ({len(values)})")


def main(argv: list[str] | None = None) -> None:
    default = Path(os.environ.get("ANYNET_DATA", "data")) / "tabular"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=default, help="folder of the tables; default: $ANYNET_DATA/tabular"
    )
    parser.add_argument("--results", type=Path, default=Path("build/tables.jsonl"), help="file of the results")
    parser.add_argument("--tables", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--report", action="store_true", help="print the results without running anything")
    args = parser.parse_args(argv)
    if not args.report:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        known = read(args.results)
        args.results.write_text("".join(json.dumps(row) + "\n" for row in known))
        for name, method, seed in missing(args, known):
            row = measure(args.data, name, method, seed)
            with args.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    print(report(read(args.results)))


if __name__ == "__main__":
    main()

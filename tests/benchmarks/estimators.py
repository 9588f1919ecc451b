"""Quality of the estimators against scikit-learn's: five-fold cross-validation and the learning strategies.

``python -m tests.benchmarks.estimators`` prints the two Markdown tables of docs/sklearn.md.

Cross-validation uses standardized data (and standardized regression targets), default settings, and the same folds and
random states for both. The strategies are those of scikit-learn's example "Compare stochastic learning strategies for
MLPClassifier", on its four data sets.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier as TheirClassifier, MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from anynet.sklearn import MLPClassifier, MLPRegressor

DATA = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}

SGD = {"solver": "sgd", "learning_rate_init": 0.2}
STRATEGIES = {
    "constant": {**SGD, "learning_rate": "constant", "momentum": 0.0},
    "constant, momentum": {**SGD, "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": False},
    "constant, Nesterov": {**SGD, "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": True},
    "inverse scaling": {**SGD, "learning_rate": "invscaling", "momentum": 0.0},
    "inverse scaling, momentum": {**SGD, "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": False},
    "inverse scaling, Nesterov": {**SGD, "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": True},
    "Adam": {"solver": "adam", "learning_rate_init": 0.01},
}


def cross_validate(ours: bool, name: str, seeds: int = 3) -> np.ndarray:
    """Return the scores of five folds for each of a few random states."""
    x, y = DATA[name](return_X_y=True)
    regression = name == "diabetes"
    kind = (MLPRegressor if ours else TheirRegressor) if regression else (MLPClassifier if ours else TheirClassifier)
    scores = []
    for seed in range(seeds):
        folds = (KFold if regression else StratifiedKFold)(5, shuffle=True, random_state=seed)
        estimator = make_pipeline(StandardScaler(), kind(random_state=seed))
        if regression:
            estimator = TransformedTargetRegressor(estimator, transformer=StandardScaler())
        scores.append(cross_val_score(estimator, x, y, cv=folds))
    return np.concatenate(scores)


def strategy(kind: type, params: dict, x: np.ndarray, y: np.ndarray, epochs: int, seeds: int = 5) -> np.ndarray:
    """Return training score and final loss for each of a few random states."""
    fitted = [kind(**params, random_state=seed, max_iter=epochs).fit(x, y) for seed in range(seeds)]
    return np.array([(f.score(x, y), f.loss_) for f in fitted])


def strategy_data() -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Return data scaled to [0, 1], and epochs, as in the example."""
    digits, iris = load_digits(return_X_y=True), load_iris(return_X_y=True)
    made = {
        "iris": (*iris, 400),
        "digits": (*digits, 15),
        "circles": (*make_circles(noise=0.2, factor=0.5, random_state=1), 400),
        "moons": (*make_moons(noise=0.3, random_state=0), 400),
    }
    return {name: (MinMaxScaler().fit_transform(x), y, epochs) for name, (x, y, epochs) in made.items()}


def main() -> None:
    """Print both tables."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | scikit-learn | anynet |\n|---|---|---|")
    for name in DATA:
        theirs, ours = cross_validate(False, name), cross_validate(True, name)
        within = "" if ours.mean() >= theirs.mean() - theirs.std() else " (worse)"
        row = f"| {name} | {theirs.mean():.3f} ± {theirs.std():.3f} | {ours.mean():.3f} ± {ours.std():.3f}{within} |"
        print(row, flush=True)
    print("\n| data | strategy | scikit-learn: score | loss | anynet: score | loss |\n|---|---|---|---|---|---|")
    for name, (x, y, epochs) in strategy_data().items():
        for label, params in STRATEGIES.items():
            both = [strategy(kind, params, x, y, epochs) for kind in (TheirClassifier, MLPClassifier)]
            cells = [
                f"{r[:, 0].mean():.3f} ± {r[:, 0].std():.3f} | {r[:, 1].mean():.3f} ± {r[:, 1].std():.3f}" for r in both
            ]
            print(f"| {name} | {label} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()

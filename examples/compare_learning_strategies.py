"""scikit-learn's comparison of stochastic learning strategies, done with its own classifier and with anynet's.

Seven ways to choose the step, on four data sets: the loss after each epoch. Lines are scikit-learn's, dots anynet's; both
begin with the same random state, so each dot should lie on a line.

    python examples/compare_learning_strategies.py --backend torch --output strategies.png
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.preprocessing import MinMaxScaler

from anynet.plots import save_or_show
from anynet.sklearn import MLPClassifier

SGD = {"solver": "sgd", "learning_rate_init": 0.2}
STRATEGIES = {
    "constant": {**SGD, "momentum": 0.0},
    "constant, momentum": {**SGD, "momentum": 0.9, "nesterovs_momentum": False},
    "constant, Nesterov": {**SGD, "momentum": 0.9},
    "inverse scaling": {**SGD, "learning_rate": "invscaling", "momentum": 0.0},
    "inverse scaling, momentum": {**SGD, "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": False},
    "inverse scaling, Nesterov": {**SGD, "learning_rate": "invscaling", "momentum": 0.9},
    "Adam": {"solver": "adam", "learning_rate_init": 0.01},
}


def data() -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Return features scaled to [0, 1], classes, and how many epochs to train."""
    found = {
        "iris": (*load_iris(return_X_y=True), 400),
        "digits": (*load_digits(return_X_y=True), 15),
        "circles": (*make_circles(noise=0.2, factor=0.5, random_state=1), 400),
        "moons": (*make_moons(noise=0.3, random_state=0), 400),
    }
    return {name: (MinMaxScaler().fit_transform(x), y, epochs) for name, (x, y, epochs) in found.items()}


def main(*, epochs: int | None = None, backend: str | None = None, output: str | None = None) -> float:
    """Train everything, draw the figure, and return the largest difference between two final losses."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    figure, panels = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    largest = 0.0
    print(f"{'':30} scikit-learn     anynet")
    for axes, (name, (x, y, whole)) in zip(panels.flat, data().items(), strict=True):
        axes.set(title=name, xlabel="epoch", ylabel="loss", yscale="log")
        for colour, (label, params) in enumerate(STRATEGIES.items()):
            settings = {"random_state": 0, "max_iter": min(epochs or whole, whole), **params}
            theirs = TheirClassifier(**settings).fit(x, y)
            ours = MLPClassifier(**settings, backend=backend).fit(x, y)
            axes.plot(theirs.loss_curve_, color=f"C{colour}", label=label)
            shown = np.arange(0, len(ours.loss_curve_), max(1, len(ours.loss_curve_) // 20))
            axes.plot(shown, np.array(ours.loss_curve_)[shown], ".", color=f"C{colour}")
            largest = max(largest, abs(ours.loss_ - theirs.loss_))
            scores = [f"{e.score(x, y):.3f}/{e.loss_:.3f}" for e in (theirs, ours)]
            print(f"{name + ': ' + label:36} {scores[0]}  {scores[1]}")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save_or_show(figure, output)
    return largest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, help="at most so many, to be quick")
    parser.add_argument("--backend", help="what anynet computes with; NumPy by default")
    parser.add_argument("--output", help="file to draw the figure in; a window by default")
    main(**vars(parser.parse_args()))

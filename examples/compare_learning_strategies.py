"""Run scikit-learn's comparison of stochastic learning strategies with its own classifier and with anynet's.

The figure shows the loss per epoch of seven strategies on four data sets: lines for scikit-learn, dots for anynet. Both start
from the same random state, so each dot should be on a line.

    python examples/compare_learning_strategies.py --backend torch --output strategies.png

Needs matplotlib and scikit-learn (extras `plots` and `sklearn`).
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from anynet.plots import check_output, save_or_show

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
    """Return features scaled to [0, 1], classes, and the number of epochs to train."""
    from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
    from sklearn.preprocessing import MinMaxScaler

    found = {
        "iris": (*load_iris(return_X_y=True), 400),
        "digits": (*load_digits(return_X_y=True), 15),
        "circles": (*make_circles(noise=0.2, factor=0.5, random_state=1), 400),
        "moons": (*make_moons(noise=0.3, random_state=0), 400),
    }
    return {name: (MinMaxScaler().fit_transform(x), y, epochs) for name, (x, y, epochs) in found.items()}


def main(*, epochs: int | None = None, backend: str | None = None, output: str | None = None) -> float:
    """Train every pair, draw the figure, and return the largest difference between two final losses."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier as SklearnClassifier

    from anynet.sklearn import MLPClassifier

    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs: expected at least 1, got {epochs}")
    check_output(output)
    warnings.simplefilter("ignore", ConvergenceWarning)
    figure, panels = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    largest = 0.0
    print(f"{'':30} scikit-learn     anynet")
    for axes, (name, (x, y, whole)) in zip(panels.flat, data().items(), strict=True):
        axes.set(title=name, xlabel="epoch", ylabel="loss", yscale="log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        for i, (label, params) in enumerate(STRATEGIES.items()):
            settings = {"random_state": 0, "max_iter": min(epochs or whole, whole), **params}
            theirs = SklearnClassifier(**settings).fit(x, y)
            ours = MLPClassifier(**settings, backend=backend).fit(x, y)
            axes.plot(theirs.loss_curve_, "--" if "Nesterov" in label else "-", color=f"C{i}", label=label)
            shown = np.arange(0, len(ours.loss_curve_), max(1, len(ours.loss_curve_) // 20))
            axes.plot(shown, np.array(ours.loss_curve_)[shown], ".", color=f"C{i}")
            largest = max(largest, abs(ours.loss_ - theirs.loss_))
            scores = [f"{e.score(x, y):.3f}/{e.loss_:.3f}" for e in (theirs, ours)]
            print(f"{name + ': ' + label:36} {scores[0]}  {scores[1]}")
    figure.suptitle("lines: scikit-learn, dots: anynet")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save_or_show(figure, output)
    return largest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--epochs", type=int, help="upper limit of the number of epochs (default 15 for digits, else 400)"
    )
    parser.add_argument("--backend", help="backend of anynet: numpy (default), cupy, torch or jax")
    parser.add_argument("--output", help="write the figure to this file instead of showing it")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")

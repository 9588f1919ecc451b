"""scikit-learn's examples of `MLPClassifier`, with its own class and with anynet's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Run, Setting, Values

ALPHAS = np.logspace(-1, 1, 5)
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
"""The strategies of scikit-learn's example "Compare stochastic learning strategies for MLPClassifier"."""


def classifiers(run: Run) -> dict[str, Callable[..., Any]]:
    """Return a constructor of each library's classifier."""
    from sklearn.neural_network import MLPClassifier as Theirs

    from anynet.sklearn import MLPClassifier as Ours

    return {"scikit-learn": Theirs, "anynet": lambda *args, **settings: Ours(*args, backend=run.backend, **settings)}


def fitted(classifier: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """Return the classifier after training, without its warning that more epochs would help."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(x, y)


def small_data(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the three data sets of "Varying regularization in Multi-layer Perceptron"."""
    from sklearn.datasets import make_circles, make_classification, make_moons

    x, y = make_classification(n_features=2, n_redundant=0, n_informative=2, random_state=seed, n_clusters_per_class=1)
    x += 2 * np.random.RandomState(2 + seed).uniform(size=x.shape)
    return {
        "moons": make_moons(noise=0.3, random_state=seed),
        "circles": make_circles(noise=0.2, factor=0.5, random_state=1 + seed),
        "linear": (x, y),
    }


def regularization(run: Run) -> Values:
    """Train scikit-learn's pipelines with five strengths of the penalty on three data sets."""
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def scores(make: Callable[..., Any], data: list[np.ndarray]) -> list[float]:
        x_train, x_test, y_train, y_test = data
        settings = {"solver": "lbfgs", "random_state": 1, "max_iter": run.count(2000, 5), "early_stopping": True}
        pipelines = (make_pipeline(StandardScaler(), make((10, 10), alpha=alpha, **settings)) for alpha in ALPHAS)
        return [float(fitted(pipeline, x_train, y_train).score(x_test, y_test)) for pipeline in pipelines]

    makers = classifiers(run)
    found: dict[str, dict[str, list[float]]] = {"scikit-learn": {}, "anynet": {}, "reordered": {}}
    for name, (x, y) in small_data(run.seed).items():
        data = train_test_split(x, y, test_size=0.4, random_state=42)
        for library, make in makers.items():
            found[library][name] = scores(make, data)
        reordered = [array[::-1] if i in (0, 2) else array for i, array in enumerate(data)]
        found["reordered"][name] = scores(makers["scikit-learn"], reordered)
    return {
        "value": largest_difference(found),
        "itself": largest_difference(found | {"anynet": found["reordered"]}),
        "scores": found,
    }


def strategies(run: Run) -> Values:
    """Train with seven learning strategies on four data sets."""
    from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
    from sklearn.preprocessing import MinMaxScaler

    found = {
        "iris": (*load_iris(return_X_y=True), 400),
        "digits": (*load_digits(return_X_y=True), 15),
        "circles": (*make_circles(noise=0.2, factor=0.5, random_state=1), 400),
        "moons": (*make_moons(noise=0.3, random_state=0), 400),
    }
    curves: dict[str, dict[str, list[float]]] = {"scikit-learn": {}, "anynet": {}}
    scores: dict[str, dict[str, list[float]]] = {"scikit-learn": {}, "anynet": {}}
    for name, (x, y, epochs) in found.items():
        x = MinMaxScaler().fit_transform(x)
        for library, make in classifiers(run).items():
            models = [
                fitted(make(random_state=run.seed, max_iter=run.count(epochs, 2), **settings), x, y)
                for settings in STRATEGIES.values()
            ]
            scores[library][name] = [float(model.score(x, y)) for model in models]
            for label, model in zip(STRATEGIES, models, strict=True):
                curves[library][f"{name}: {label}"] = [round(float(loss), 6) for loss in model.loss_curve_]
    kept = {"curves": curves} if run.seed == 0 else {}
    return {"value": largest_difference(curves), "score_difference": largest_difference(scores), **kept}


def filters(run: Run) -> Values:
    """Train the network of "Visualization of MLP weights on MNIST", 784-40-10, on 30 % of the 70 000 images."""
    from sklearn.model_selection import train_test_split

    _, _, test = run.data
    training = run.data.all_training
    x, y = np.concatenate([training.x, test.x]), np.concatenate([training.y, test.y])
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=run.seed, test_size=0.7)
    values, weights = {}, {}
    for library, make in classifiers(run).items():
        model = fitted(
            make(
                (40,),
                max_iter=run.count(8),
                alpha=1e-4,
                solver="sgd",
                random_state=1 + run.seed,
                learning_rate_init=0.2,
            ),
            x_train,
            y_train,
        )
        values[library] = [float(model.loss_), float(model.score(x_train, y_train)), float(model.score(x_test, y_test))]
        weights[library] = np.asarray(model.coefs_[0])
    kept = (
        {"weights": {k: w[:, :8].T.astype(float).round(3).tolist() for k, w in weights.items()}}
        if run.seed == 0
        else {}
    )
    return {
        "value": 100 * abs(values["anynet"][2] - values["scikit-learn"][2]),
        "weights_difference": float(np.max(np.abs(weights["anynet"] - weights["scikit-learn"]))),
        "theirs": 100 * values["scikit-learn"][2],
        "ours": 100 * values["anynet"][2],
        "loss_accuracies": values,
        **kept,
    }


def largest_difference(values: dict[str, dict[str, list[float]]]) -> float:
    """Return the largest difference between corresponding numbers of the two libraries."""
    theirs, ours = values["scikit-learn"], values["anynet"]
    return max(float(np.max(np.abs(np.array(theirs[name]) - np.array(ours[name])))) for name in theirs)


def draw_strategies(results: Any) -> Any:
    """Draw the losses per epoch: lines for scikit-learn, dots for anynet."""
    import matplotlib.pyplot as plt

    curves = results.find("sklearn_examples/strategies", 0)["curves"]
    figure, panels = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for ax, name in zip(panels.flat, ("iris", "digits", "circles", "moons"), strict=True):
        for i, label in enumerate(STRATEGIES):
            theirs, ours = (np.array(curves[library][f"{name}: {label}"]) for library in ("scikit-learn", "anynet"))
            ax.plot(theirs, "--" if "Nesterov" in label else "-", color=f"C{i}", linewidth=1, label=label)
            shown = np.arange(0, len(ours), max(1, len(ours) // 20))
            ax.plot(shown, ours[shown], ".", color=f"C{i}")
        ax.set(title=name, xlabel="epoch", ylabel="training loss")
    figure.suptitle("lines: scikit-learn, dots: anynet")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_filters(results: Any) -> Any:
    """Draw the weights of eight hidden units of each library."""
    import matplotlib.pyplot as plt

    weights = results.find("sklearn_examples/filters", 0)["weights"]
    figure, axes = plt.subplots(2, 8, figsize=(11, 3.1), layout="constrained")
    largest = 0.5 * np.max(np.abs(weights["scikit-learn"]))
    for row, (library, columns) in zip(axes, weights.items(), strict=True):
        for ax, column in zip(row, columns, strict=True):
            ax.imshow(np.reshape(column, (28, 28)), cmap="gray", vmin=-largest, vmax=largest)
            ax.set(xticks=(), yticks=())
        row[0].set_ylabel(library)
    return figure


FIGURES = {
    "strategies": (("sklearn_examples/strategies",), draw_strategies),
    "filters": (("sklearn_examples/filters",), draw_filters),
}

SETTINGS = (
    Setting(
        "sklearn_examples/regularization",
        "scikit-learn's examples",
        "Varying regularization: difference of accuracies",
        "Pipelines with two hidden layers of 10, L-BFGS, five strengths of L2, three data sets of two features: "
        "largest difference between the two libraries' 15 accuracies on 40 test points. Seed 0 is the example, "
        "other seeds draw other data. L-BFGS takes hundreds of iterations, in which differences in rounding grow.",
        "0",
        regularization,
        target=0.0,
        unit="",
        better="lower",
        digits=3,
        also={"itself": "scikit-learn, with the training examples in reverse order"},
    ),
    Setting(
        "sklearn_examples/strategies",
        "scikit-learn's examples",
        "Learning strategies: difference of losses",
        "Seven learning strategies on four data sets: largest difference between the two libraries' training "
        "losses of any epoch. Seed 0 is the example.",
        "0",
        strategies,
        target=0.0,
        unit="",
        better="lower",
        digits=6,
        also={"score_difference": "largest difference of the accuracies"},
    ),
    Setting(
        "sklearn_examples/filters",
        "scikit-learn's examples",
        "MNIST filters: difference of accuracies",
        "784-40-10, SGD with learning rate 0.2, 8 epochs on 21 000 of the 70 000 images: difference between the "
        "two libraries' accuracies on the other 49 000. Seed 0 is the example, on MNIST in float32 from its own "
        "source instead of OpenML in float64.",
        "0",
        filters,
        target=0.0,
        better="lower",
        also={"theirs": "scikit-learn", "ours": "anynet", "weights_difference": "largest difference of a weight"},
    ),
)

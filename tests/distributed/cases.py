"""Models whose training on several processes equals that of one process: ``NAME: (arguments of Model, arguments of fit)``."""

import numpy as np

from anynet import (
    EMA,
    L2,
    LBFGS,
    ROCAUC,
    SGD,
    Accumulate,
    Accuracy,
    Adam,
    AdamW,
    BatchEnsemble,
    BatchNorm,
    Clip,
    ConfusionMatrix,
    Conv2D,
    Dense,
    Dropout,
    EachDense,
    EachMember,
    FlatCosine,
    Flatten,
    Frozen,
    GaussianNoise,
    HalfSquaredError,
    Losses,
    MaxPool2D,
    Members,
    Model,
    OutputMetric,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    Tanh,
    load_digits,
    tree,
)

(X, Y), _ = load_digits()
X, Y = X[:201] / 16, Y[:201]
WEIGHT = np.random.default_rng(1).uniform(0.0, 2.0, len(X))
WEIGHT[:70] *= np.random.default_rng(2).integers(0, 2, 70)
CLASS_WEIGHT = {i: 1.0 + i % 3 for i in range(10)}
DENSE = [Dense(16), ReLU(), Dense(10)]
TWO = [Dense(16), Tanh(), Parallel([Dense(10), Dense(2)], combine=None)]


def columns(y_true, y_pred):
    """A metric that needs all examples."""
    return np.max(np.abs(y_pred))


CASES = {
    "dense": ({"layers": DENSE, "metrics": ["accuracy", ConfusionMatrix(), columns]}, {}),
    "dropout": ({"layers": [Dense(16), ReLU(), Dropout(0.4), GaussianNoise(0.1), Dense(10)]}, {}),
    "dropout on a schedule": ({"layers": [Dense(16), ReLU(), Dropout(FlatCosine(0.4, epochs=2)), Dense(10)]}, {}),
    "weights": ({"layers": DENSE}, {"sample_weight": WEIGHT, "class_weight": CLASS_WEIGHT}),
    "weighted loss": (
        {"layers": DENSE, "loss": SoftmaxCrossEntropy(class_weight=tuple(CLASS_WEIGHT.values()))},
        {"sample_weight": WEIGHT},
    ),
    "wrappers": (
        {
            "layers": DENSE,
            "optimizer": EMA(Clip(AdamW(0.01), norm=0.5)),
            "regularizer": L2(0.01) + L2(1.0, per_example=True),
        },
        {},
    ),
    "weights, penalty per example": (
        {
            "layers": DENSE,
            "regularizer": L2(3.0, per_example=True),
            "optimizer": Accumulate(SGD(0.1, momentum=0.9), steps=2),
        },
        {"sample_weight": WEIGHT},
    ),
    "several losses": (
        {
            "layers": TWO,
            "loss": Losses([SoftmaxCrossEntropy(class_weight=tuple(CLASS_WEIGHT.values())), HalfSquaredError()]),
            "metrics": [OutputMetric(0, Accuracy())],
        },
        {"y": (Y, np.stack([X[:, 20], X[:, 30]], axis=1)), "sample_weight": WEIGHT},
    ),
    "members": (
        {
            "layers": [Members(3), BatchEnsemble(8, use_r=False), Tanh(), EachDense(10)],
            "loss": EachMember(SoftmaxCrossEntropy(class_weight=tuple(CLASS_WEIGHT.values()))),
            "regularizer": L2(1.0, per_example=True),
            "metrics": ["accuracy"],
        },
        {"sample_weight": WEIGHT},
    ),
    "keeps examples": (
        {
            "layers": [Dense(8), Tanh(), Dense(1)],
            "loss": SigmoidCrossEntropy(),
            "metrics": [ROCAUC(), "accuracy", columns],
        },
        {"y": Y % 2},
    ),
    "frozen": ({"layers": [Frozen([Dense(16), BatchNorm(), Dropout(0.5)]), ReLU(), Dense(10)]}, {}),
    "one row": ({"layers": DENSE}, {"batch_size": 1, "rows": 5}),
    "L-BFGS": ({"layers": DENSE, "optimizer": LBFGS(iterations=5), "regularizer": L2(0.01)}, {"batch_size": None}),
    "batch normalization": (
        {
            "layers": [
                Dense(16, use_bias=False),
                BatchNorm(),
                Tanh(),
                Residual([Dense(16, use_bias=False), BatchNorm()]),
                Dense(10),
            ]
        },
        {},
    ),
    "batches of one row, normalized": (
        {"layers": [Dense(16, use_bias=False), BatchNorm(epsilon=0.1), Tanh(), Dense(10)], "optimizer": SGD(0.1)},
        {"batch_size": 1, "rows": 5},
    ),
    "convolution": (
        {
            "layers": [
                Reshape((8, 8, 1)),
                Conv2D(4, 3, use_bias=False),
                BatchNorm(),
                ReLU(),
                MaxPool2D(2),
                Dropout(0.2),
                Flatten(),
                Dense(10),
            ]
        },
        {"rows": 90},
    ),
}
"""Biases before a `BatchNorm` are left out: their gradient is rounding noise, which Adam scales up."""

TRACED = [name for name in CASES if not any(part in name for part in ("norm", "dropout", "convolution"))]
"""Cases for a backend that compiles a step as a whole."""


def train(name, dtype="float64", epochs=2, rows=1000, **changes):
    """Return the model and the history of a case; `changes` are arguments of `Model`."""
    arguments, fit = CASES[name]
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.01), "metrics": ["accuracy"], "seed": 3} | arguments
    model = Model(arguments.pop("layers"), input_shape=64, dtype=dtype, **(arguments | changes))
    fit = {"y": Y, "batch_size": 32, "epochs": epochs, "validation_split": 0.2} | fit
    rows, y = min(rows, fit.pop("rows", rows)), fit.pop("y")
    fit = {name: value[:rows] if name == "sample_weight" else value for name, value in fit.items()}
    return model, model.fit(X[:rows], tree.map_arrays(lambda a: a[:rows], y), **fit)


def outcome(model, history):
    """Return the state and the history as host arrays by name."""
    arrays = {tree.name(path): model.backend.to_numpy(a) for path, a in tree.leaves_with_paths(list(model.state))}
    return arrays | {f"history.{name}": np.array(column) for name, column in history.items()}


def difference(one, other):
    """Return the largest difference of two outcomes."""
    assert one.keys() == other.keys()
    return max(float(np.max(np.abs(one[name] * 1.0 - other[name]), initial=0.0)) for name in one)

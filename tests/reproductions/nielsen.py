"""Nielsen (2015), "Neural Networks and Deep Learning", chapters 1 and 3."""

from __future__ import annotations

from anynet import L2, SGD, Dense, HalfSquaredError, Model, Normal, Sigmoid, SigmoidCrossEntropy, TopK

from .base import Part, Run, Setting, Values, error_rate, one_hot

LAMBDA = 5.0
OUTPUTS = 10


def unit_normal(units: int) -> Dense:
    """Return a layer whose weights and biases are initially N(0, 1)."""
    return Dense(units, weight=Normal(1.0), bias=Normal(1.0))


def curve_of(model: Model, run: Run, held_out: Part) -> list[float]:
    """Train for 30 epochs, and return the accuracy on `held_out` after each, in percent."""
    history = model.fit(
        run.data.training.x,
        one_hot(run.data.training.y),
        epochs=run.count(30),
        batch_size=10,
        validation_data=(held_out.x, one_hot(held_out.y)),
        progress=False,
    )
    return [round(100 * value, 2) for value in history["val_top_1"]]


def accuracy(model: Model, part: Part) -> float:
    """Return the percentage of images whose largest output is that of their class."""
    return round(100 - error_rate(model, part), 2)


def quadratic(run: Run) -> Values:
    """Chapter 1: 784-30-10, quadratic cost, learning rate 3, 30 epochs of batches of 10."""
    _, _, test = run.data
    model = Model(
        [unit_normal(30), Sigmoid(), unit_normal(OUTPUTS), Sigmoid()],
        input_shape=784,
        loss=HalfSquaredError(),
        optimizer=SGD(3.0),
        metrics=[TopK(1)],
        **run.model,
    )
    curve = curve_of(model, run, test)
    return {"value": max(curve), "last": accuracy(model, test), "test_accuracy": curve}


def with_cross_entropy(run: Run) -> Model:
    """Return the model of chapter 3: cross-entropy summed over the outputs, learning rate 0.5, λ = 5.

    The loss here is the mean over the outputs: ten times smaller, so the learning rate is ten times larger and the penalty,
    λ / (2n) Σ w² in the book, ten times smaller.
    """
    return Model(
        [unit_normal(100), Sigmoid(), unit_normal(OUTPUTS)],
        input_shape=784,
        loss=SigmoidCrossEntropy(),
        optimizer=SGD(0.5 * OUTPUTS),
        regularizer=L2(LAMBDA / len(run.data.training.x) / OUTPUTS, match="*weight"),
        metrics=[TopK(1)],
        **run.model,
    )


def cross_entropy(run: Run) -> Values:
    """Chapter 3: 784-100-10 with cross-entropy and regularization."""
    _, validation, test = run.data
    model = with_cross_entropy(run)
    curve = curve_of(model, run, validation)
    return {
        "value": accuracy(model, validation),
        "best": max(curve),
        "test": accuracy(model, test),
        "validation_accuracy": curve,
    }


SETTINGS = (
    Setting(
        "nielsen/784-30-10",
        "Nielsen 2015, chapter 1",
        "784-30-10, quadratic cost",
        "784-30-10, sigmoid, quadratic cost, SGD with learning rate 3 in batches of 10, 30 epochs, 50 000 "
        "training images; the highest test accuracy of the 30 epochs, as in the book.",
        "95.42 %",
        quadratic,
        target=95.42,
        also={"last": "of the last epoch"},
    ),
    Setting(
        "nielsen/784-100-10",
        "Nielsen 2015, chapter 3",
        "784-100-10, cross-entropy, L2",
        "784-100-10, sigmoid, cross-entropy, L2 with λ = 5, weights initially N(0, 1), SGD with learning rate 0.5 "
        "in batches of 10, 30 epochs; accuracy on 10 000 validation images, as in the book, of the last epoch. The same "
        "algorithm in plain NumPy, without anynet, gave 97.58 to 97.67 in three runs.",
        "97.92 %",
        cross_entropy,
        target=97.92,
        also={"best": "highest of the 30 epochs", "test": "test accuracy of the last epoch"},
    ),
)

"""Every loss, with valid predictions and targets. To test a new loss, add a row ``(loss, y_pred, y_true)``."""

import numpy as np

from anynet import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    EachMember,
    EachPosition,
    FocalLoss,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)


def numbers(*shape, seed=0):
    """Return numbers of either sign with absolute value of at least 0.1."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 2.0, shape)


def fractions(*shape, seed=1):
    """Return numbers between 0.05 and 0.95."""
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def probabilities(*shape, seed=2):
    """Return rows of probabilities that sum to one."""
    x = fractions(*shape, seed=seed)
    return x / x.sum(axis=-1, keepdims=True)


def labels(count, classes, seed=3):
    """Return integer classes."""
    return np.random.default_rng(seed).integers(0, classes, count)


def one_hot(count, classes, seed=3):
    """Return the same classes as one-hot rows."""
    return np.eye(classes)[labels(count, classes, seed)]


def answers(*shape, seed=4):
    """Return binary labels, 0.0 and 1.0."""
    return np.random.default_rng(seed).integers(0, 2, shape).astype(float)


LOSSES = [
    (HalfSquaredError(), numbers(4, 3), numbers(4, 3, seed=9)),
    (HalfSquaredError(), numbers(4, 2, 3), numbers(4, 2, 3, seed=9)),
    (MeanSquaredError(), numbers(4, 3), numbers(4, 3, seed=9)),
    (MeanSquaredError(), numbers(5, 1), numbers(5, 1, seed=9)),
    (MeanAbsoluteError(), numbers(4, 3), 0.1 * numbers(4, 3, seed=9)),
    (Huber(), numbers(4, 3), numbers(4, 3, seed=9)),
    (Huber(0.3), numbers(4, 2, 3), numbers(4, 2, 3, seed=9)),
    (LogCosh(), numbers(4, 3), numbers(4, 3, seed=9)),
    (Poisson(), numbers(4, 3), answers(4, 3) + 2.0),
    (Poisson(log_input=False), fractions(4, 3), answers(4, 3) + 2.0),
    (KLDivergence(), np.log(probabilities(4, 3)), probabilities(4, 3, seed=9)),
    (Hinge(), numbers(4, 1), answers(4, 1)),
    (Hinge(), numbers(4, 3), 2.0 * answers(4, 3) - 1.0),
    (FocalLoss(), numbers(4, 1), answers(4, 1)),
    (FocalLoss(1.5, alpha=None), numbers(4, 3), fractions(4, 3, seed=9)),
    (SoftmaxCrossEntropy(), numbers(4, 3), labels(4, 3)),
    (SoftmaxCrossEntropy(label_smoothing=0.2), numbers(4, 3), labels(4, 3)),
    (SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 1.0)), numbers(4, 3), labels(4, 3)),
    (SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 1.0), label_smoothing=0.1), numbers(4, 3), one_hot(4, 3)),
    (SoftmaxCrossEntropy(), numbers(4, 3), one_hot(4, 3)),
    (SoftmaxCrossEntropy(), numbers(4, 3), probabilities(4, 3)),
    (EachPosition(SoftmaxCrossEntropy()), numbers(4, 2, 3), labels((4, 2), 3)),
    (EachMember(SoftmaxCrossEntropy()), numbers(4, 2, 3), labels(4, 3)),
    (EachMember(SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 1.0))), numbers(4, 2, 3), labels(4, 3)),
    (EachMember(MeanSquaredError()), numbers(4, 3, 2), numbers(4, 2, seed=9)),
    (CategoricalCrossEntropy(), probabilities(4, 3), labels(4, 3)),
    (CategoricalCrossEntropy(), probabilities(4, 3), one_hot(4, 3)),
    (CategoricalCrossEntropy(), probabilities(4, 3), probabilities(4, 3, seed=9)),
    (SigmoidCrossEntropy(), numbers(4, 1), answers(4, 1)),
    (SigmoidCrossEntropy(), numbers(4, 3), fractions(4, 3, seed=9)),
    (SigmoidCrossEntropy(pos_weight=3), numbers(4, 1), answers(4, 1)),
    (SigmoidCrossEntropy(pos_weight=(0.5, 2.0, 1.0)), numbers(4, 3), answers(4, 3)),
    (BinaryCrossEntropy(), fractions(4, 1), answers(4, 1)),
    (BinaryCrossEntropy(), fractions(4, 3), fractions(4, 3, seed=9)),
    (GaussianNLL(), numbers(4, 2), numbers(4, 1, seed=9)),
    (GaussianNLL(epsilon=0.1), numbers(4, 2, 6), numbers(4, 2, 3, seed=9)),
    (GaussianNLL(log_variance=False), fractions(4, 4), numbers(4, 2, seed=9)),
    (Quantile(), numbers(4, 3), 0.1 * numbers(4, 1, seed=9)),
    (Quantile((0.25, 0.8)), numbers(4, 1, 2), 0.1 * numbers(4, 1, 1, seed=9)),
    (Quantile(0.3), numbers(4, 2), 0.1 * numbers(4, 2, seed=9)),
]

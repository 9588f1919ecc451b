"""Cross-entropies for one of several classes, from logits (accurate everywhere) and from probabilities.

==========================  =============  ======================================================
loss                        model output   y
==========================  =============  ======================================================
`SoftmaxCrossEntropy`       logits         one of C classes, as an integer or a one-hot row
`CategoricalCrossEntropy`   probabilities  the same
`SigmoidCrossEntropy`       logits         0 or 1, independently per output (anynet.losses.binary)
`BinaryCrossEntropy`        probabilities  the same
==========================  =============  ======================================================

`FocalLoss` and `Hinge` (anynet.losses.margin) are also for binary targets, and `KLDivergence` (anynet.losses.divergence) is
for log-probabilities. Derivations: docs/derivations/losses.md.

Legend: N batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass

from array_api_compat import device

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, DType, namespace
from anynet.arrays.reduce import total
from anynet.arrays.special import shifted_exp
from anynet.checks import check_number
from anynet.losses.base import Cache, Loss, OutputShape, check_finite, largest


@dataclass(frozen=True)
class ClassLoss(Loss):
    """Base class of losses of C classes, given as integers or rows of probabilities.

    Parameters
    ----------
    label_smoothing : float, in [0, 1]
        ε, the fraction of each target that is spread evenly over all classes: q = (1 − ε) y + ε/C.
    class_weight : sequence of C floats in [0, inf), optional
        w, the factor of the loss of each class: q = w ⊙ ((1 − ε) y + ε/C).

    Notes
    -----
    As in PyTorch, the denominator of the mean is Σ w of the true classes for integer y, and the number of examples for rows
    of probabilities. The `class_weight` of `Model.fit` multiplies the sample weights instead; for integer y without
    smoothing both give the same result.
    """

    has_classes = True

    _: KW_ONLY
    label_smoothing: float = 0.0
    class_weight: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_number(where, "label_smoothing", self.label_smoothing, "[0, 1]")
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", check_weights(where, "class_weight", self.class_weight))

    def classes(self, y_pred: Array) -> Array:
        return largest(y_pred)

    def distribution(self, y_true: Array, like: Array) -> Array:
        """Return q (N, C) in the dtype of `like`; without smoothing and weights, return y unchanged."""
        if self.label_smoothing == 0.0 and self.class_weight is None:
            return y_true
        q = (1.0 - self.label_smoothing) * one_hot(y_true, like) + self.label_smoothing / like.shape[1]
        return q if self.class_weight is None else q * constant(self.class_weight, like)

    @property
    def weights_targets(self) -> bool:
        return self.class_weight is not None

    def effective_weights(self, losses: Array, y_true: Array, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None or len(y_true.shape) == 2:
            return sample_weight
        weight = namespace(losses).take(constant(self.class_weight, losses), y_true, axis=0)
        return weight if sample_weight is None else weight * sample_weight

    def check_outputs(self, output_shape: OutputShape) -> None:
        super().check_outputs(output_shape)
        where = type(self).__name__
        if len(output_shape) > 1:
            raise ValueError(
                f"{where}: expected outputs of shape (classes,), got {output_shape}; for one class per example put Flatten() "
                f"before the last Dense, or end in LSTM(units, sequences=False) and Dense; for a class at each position use "
                f"EachPosition({where}()), for an ensemble EachMember({where}()); leave the batch axis out of input_shape"
            )
        if output_shape in ((), (1,)):
            raise ValueError(
                f"{where}: expected a model with two or more outputs, one per class, got output shape "
                f"{output_shape}; for a single binary output use SigmoidCrossEntropy"
            )

    def targets(self, y: Array, output_shape: tuple[int, ...], dtype: DType) -> Array:
        self.check_outputs(output_shape)
        where, xp, classes = type(self).__name__, namespace(y), output_shape[0]
        check_count(where, "class_weight", self.class_weight, classes)
        if xp.isdtype(y.dtype, ("bool", "integral")) and (len(y.shape) == 1 or y.shape[1:] == (1,)):
            index_dtype = xp.__array_namespace_info__().default_dtypes()["indexing"]
            return y if y.dtype == index_dtype and len(y.shape) == 1 else xp.reshape(xp.astype(y, index_dtype), (-1,))
        if y.shape[1:] != (classes,):
            hint = _label_advice(y) if len(y.shape) == 1 else ""
            raise ValueError(
                f"{where}: expected y of integers, shape (N,), or one-hot rows, shape (N, {classes}), got "
                f"{y.dtype} of shape {tuple(y.shape)}{hint}"
            )
        return y if y.dtype == dtype else xp.astype(y, dtype)

    def check_values(self, y: Array, output_shape: tuple[int, ...]) -> None:
        where, xp, classes = type(self).__name__, namespace(y), output_shape[0]
        if len(y.shape) == 1:
            low, high = int(xp.min(y)), int(xp.max(y))
            if low < 0 or high >= classes:
                raise ValueError(
                    f"{where}: expected labels in y from 0 to {classes - 1}, got {low if low < 0 else high}; "
                    f"the model has {classes} outputs"
                )
            return
        check_finite(where, "y", y)
        if bool(xp.any(y < 0)) or float(xp.max(xp.abs(total(y, axis=1) - 1.0))) > 1e-3:
            raise ValueError(
                f"{where}: expected one-hot rows in y, or rows of probabilities that sum to 1, got other values"
            )


def _label_advice(y: Array) -> str:
    xp = namespace(y)
    if xp.isdtype(y.dtype, "real floating") and bool(xp.any(xp.isnan(y))):
        return "; leave out the examples without a label, which are NaN, and cast the labels to integers"
    return "; cast the labels to integers"


def check_weights(where: str, name: str, values: Iterable[float]) -> tuple[float, ...]:
    """Return weights in [0, inf), not all 0, as a tuple of floats."""
    if isinstance(values, (str, dict)) or not isinstance(values, Iterable):
        raise TypeError(f"{where}: expected {name} to be a sequence of numbers, got {values!r}")
    weights = tuple(values)
    for value in weights:
        check_number(where, f"every {name}", value, "[0, inf)")
    if not any(weights):
        raise ValueError(f"{where}: expected a {name} > 0, got {weights!r}")
    return tuple(map(float, weights))


def check_count(where: str, name: str, values: tuple[float, ...] | None, outputs: int) -> None:
    """Raise unless the number of weights equals the number of outputs."""
    if values is not None and len(values) != outputs:
        raise ValueError(f"{where}: expected {outputs} numbers in {name}, one per output, got {len(values)}")


def constant(values: tuple[float, ...], like: Array) -> Array:
    """Return numbers as an array with the dtype and device of `like`."""
    return namespace(like).asarray(values, dtype=like.dtype, device=device(like))


def one_hot(y_true: Array, like: Array) -> Array:
    """Return integer labels (N,) as one-hot rows like `like`, and rows unchanged."""
    if len(y_true.shape) == 2:
        return y_true
    xp = namespace(y_true)
    classes = xp.arange(like.shape[1], dtype=y_true.dtype, device=device(y_true))
    return xp.astype(y_true[:, None] == classes, like.dtype)


def pick(values: Array, y_true: Array) -> Array:
    """Return Σ_c y_c · values_c for each row: the value of the true class if y is an integer."""
    xp = namespace(values)
    if len(y_true.shape) == 2:
        return total(y_true * values, axis=1)
    return xp.take_along_axis(values, y_true[:, None], axis=1)[:, 0]


def check_labels(where: str, y_true: Array, y_pred: Array) -> None:
    """Raise unless y_true is (N,) or has y_pred's shape (N, C)."""
    if len(y_pred.shape) != 2 or tuple(y_true.shape) not in ((y_pred.shape[0],), tuple(y_pred.shape)):
        raise ValueError(
            f"{where}: expected y_pred of shape (N, C) and y_true of (N,) or (N, C), "
            f"got {tuple(y_pred.shape)} and {tuple(y_true.shape)}"
        )


@dataclass(frozen=True)
class SoftmaxCrossEntropy(ClassLoss):
    """Categorical cross-entropy from logits.

    .. math:: ℓ_n = \\log \\sum_c e^{z_{nc}} \\sum_c y_{nc} - \\sum_c y_{nc} z_{nc}, \\qquad
              \\frac{∂ℓ_n}{∂z_n} = \\text{softmax}(z_n) \\sum_c y_{nc} - y_n

    With one-hot y this is −log p of the true class, and the derivative is A₂ − Y as in the lecture notes. Softmax and logarithm
    are one function, so neither underflows. The same as PyTorch's `CrossEntropyLoss` with `label_smoothing` and `weight` (here
    `class_weight`), which replace y by q.

    Parameters
    ----------
    label_smoothing : float, in [0, 1]
        ε, the fraction of each target that is spread evenly over all classes: q = (1 − ε) y + ε/C.
    class_weight : sequence of C floats in [0, inf), optional
        w, the factor of the loss of each class: q = w ⊙ ((1 − ε) y + ε/C). The denominator of the mean is Σ w of
        the true classes for integer y, and the number of examples for rows.

    Notes
    -----
    y_pred (N, C) logits; y_true (N,) integers or (N, C) rows. Cache: softmax(z), y or q.

    Examples
    --------
    >>> import numpy as np
    >>> loss, cache = SoftmaxCrossEntropy().forward(np.array([1]), np.array([[0.0, 0.0]]))
    >>> print(loss.round(4), SoftmaxCrossEntropy().backward(cache))
    0.6931 [[ 0.5 -0.5]]

    References
    ----------
    Bishop (2006), "Pattern Recognition and Machine Learning", eqs. 4.108 and 4.109; Szegedy, Vanhoucke, Ioffe, Shlens,
    Wojna (2016), "Rethinking the inception architecture for computer vision", section 7 (label smoothing).
    """

    expects = "logits"

    def probabilities(self, y_pred: Array) -> Array:
        _, e = shifted_exp(y_pred, namespace(y_pred).max(y_pred, axis=1, keepdims=True))
        return e / total(e, axis=1, keepdims=True)

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_labels("SoftmaxCrossEntropy", y_true, y_pred)
        xp, y_true = namespace(y_pred), self.distribution(y_true, like=y_pred)
        z, e = shifted_exp(y_pred, xp.max(y_pred, axis=1, keepdims=True))
        sums = total(e, axis=1, keepdims=True)
        if len(y_true.shape) == 2:
            return xp.log(sums[:, 0]) * total(y_true, axis=1) - pick(z, y_true), (e / sums, y_true)
        return _log_minus(sums[:, 0], pick(z, y_true)), (e / sums, y_true)

    def derivative(self, cache: Cache) -> Array:
        p, y_true = cache
        if len(y_true.shape) == 2:
            return p * total(y_true, axis=1, keepdims=True) - y_true
        xp = namespace(p)
        return _minus_one_at(p, y_true[:, None], xp.arange(p.shape[1], dtype=y_true.dtype, device=device(y_true)))


@fused
def _log_minus(x: Array, y: Array) -> Array:
    return namespace(x).log(x) - y


@fused
def _minus_one_at(p: Array, label: Array, classes: Array) -> Array:
    return p - namespace(p).astype(label == classes, p.dtype)


@dataclass(frozen=True)
class CategoricalCrossEntropy(ClassLoss):
    """Categorical cross-entropy from probabilities, such as the output of `Softmax`.

    .. math:: ℓ_n = -\\sum_c y_{nc} \\log p_{nc}, \\qquad \\frac{∂ℓ_n}{∂p_n} = -\\frac{y_n}{p_n}

    Probabilities are clipped below at the smallest normal number of the dtype, so the loss is finite. Where softmax has
    underflowed the gradient is lost; `SoftmaxCrossEntropy` on logits keeps it. PyTorch's `NLLLoss` is this loss of log p.

    Parameters
    ----------
    label_smoothing, class_weight
        As in `SoftmaxCrossEntropy`; they replace y by q.

    Notes
    -----
    y_pred (N, C) probabilities; y_true (N,) integers or (N, C) rows. Cache: p, y or q.

    Examples
    --------
    >>> import numpy as np
    >>> loss, cache = CategoricalCrossEntropy().forward(np.array([1]), np.array([[0.5, 0.5]]))
    >>> print(loss.round(4), CategoricalCrossEntropy().backward(cache))
    0.6931 [[-0. -2.]]
    """

    expects = "probabilities"

    def probabilities(self, y_pred: Array) -> Array:
        return y_pred

    def per_example(self, y_true: Array, y_pred: Array) -> tuple[Array, Cache]:
        check_labels("CategoricalCrossEntropy", y_true, y_pred)
        p, y_true = at_least_tiny(y_pred), self.distribution(y_true, like=y_pred)
        return -pick(namespace(p).log(p), y_true), (p, y_true)

    def derivative(self, cache: Cache) -> Array:
        p, y_true = cache
        return -one_hot(y_true, like=p) / p


def at_least_tiny(p: Array) -> Array:
    """Clip p at the smallest normal number, so that log p is finite."""
    xp = namespace(p)
    return xp.maximum(p, float(xp.finfo(p.dtype).smallest_normal))

"""Classifier for binary, multiclass and multilabel targets."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from anynet import backends
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.special import sigmoid
from anynet.layers import Softmax
from anynet.losses import Loss, SigmoidCrossEntropy, SoftmaxCrossEntropy
from anynet.onnx.estimators import classifier_to_onnx
from anynet.sklearn.losses import SummedSigmoidCrossEntropy
from anynet.sklearn.parameters import ATTRIBUTES, CONSTRAINTS, LAST, NETWORK, TRAINING
from anynet.sklearn.rollback import unchanged_on_error
from anynet.sklearn.training import TrainableMLP
from anynet.sklearn.validation import as_labels, to_host


class MLPClassifier(ClassifierMixin, TrainableMLP):
    __doc__ = f"""scikit-learn's multi-layer perceptron classifier on any array library.

    The loss is the cross-entropy, of a softmax for multiclass targets and of a sigmoid for binary and multilabel targets.

    Parameters
    ----------
    {NETWORK}{TRAINING}class_weight : dict from class to weight, "balanced" or None
        Factors of the weights of the examples of each class; "balanced" gives all classes the same total weight.
    label_smoothing : float, in [0, 1]
        Fraction of each target that is spread evenly over all classes.
    {LAST}
    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Sorted classes, as a NumPy array.
    {ATTRIBUTES}
    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> x, y = make_moons(100, random_state=0)
    >>> classifier = MLPClassifier((16, 16), activation="tanh", learning_rate_init=0.02, max_iter=300, random_state=0)
    >>> classifier.fit(x, y).score(x, y)
    1.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        backend: Any = None,
        device: str | None = None,
        distributed: Any = None,
        dtype: str | None = None,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.backend = backend
        self.device = device
        self.distributed = distributed
        self.dtype = dtype
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.callbacks = callbacks
        self.progress = progress

    # -- targets ------------------------------------------------------------------------------------------------------

    def _fit_targets(self, y: np.ndarray, first: bool, incremental: bool) -> None:
        if first and not incremental:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_
        else:
            self._check_targets(y)
            if self.warm_start and set(unique_labels(y)) != set(self.classes_):
                raise ValueError(
                    f"y: expected all classes of the previous fit, {self.classes_}, with warm_start=True, got "
                    f"{unique_labels(y)}; use partial_fit with warm_start=False for a subset"
                )
        kind = self._binarizer.y_type_
        self.n_outputs_ = 1 if kind == "binary" else len(self.classes_)
        self.out_activation_ = "softmax" if kind == "multiclass" else "logistic"

    def _check_targets(self, y: np.ndarray) -> None:
        multilabel = type_of_target(y).startswith("multilabel")
        if multilabel != (self._binarizer.y_type_ == "multilabel-indicator"):
            raise ValueError(
                f"y: expected targets of the type trained on, {self._binarizer.y_type_}, got {type_of_target(y)}"
            )
        classes = unique_labels(y)
        unknown = sorted(set(classes) - set(self.classes_), key=str)
        if unknown or (multilabel and len(classes) != len(self.classes_)):
            raise ValueError(f"y: expected classes among {self.classes_}, got {classes}")

    def _encode_targets(self, y: np.ndarray, *, smooth: bool = True) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return np.searchsorted(self.classes_, y)
        dtype = self.model_.dtype
        yes = y.astype(dtype) if y.ndim == 2 else (y == self.classes_[-1]).astype(dtype)
        if len(self.classes_) == 1 and y.ndim == 1:
            yes = np.zeros(len(y), dtype)
        amount = self.label_smoothing if smooth else 0.0
        return yes * (1.0 - amount) + 0.5 * amount if amount else yes

    def _make_loss(self) -> Loss:
        if self.out_activation_ == "softmax":
            return SoftmaxCrossEntropy(label_smoothing=float(self.label_smoothing))
        return SigmoidCrossEntropy() if self.n_outputs_ == 1 else SummedSigmoidCrossEntropy()

    def _training_weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight: expected a dict for partial_fit, got 'balanced', which needs all targets; pass a dict"
            )
        factors = compute_sample_weight(self.class_weight, y)
        return factors if weight is None else factors * weight

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch, starting from the current weights.

        Parameters of the estimator may change between calls, except those of the machine and of the sizes of layers. The
        optimizer keeps its state unless it changes too.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array of shape (n_classes,)
            All classes that occur in any call; required in the first call.

        Returns
        -------
        self
        """
        classes = to_host(classes)
        with unchanged_on_error(self):
            if _check_partial_fit_first_call(self, classes):
                host = to_host(y)
                multilabel = type_of_target(host).startswith("multilabel")
                self._binarizer = LabelBinarizer().fit(host if multilabel else classes)
            self._fit(X, y, sample_weight, incremental=True)
        return self

    # -- predictions --------------------------------------------------------------------------------------------------

    def _activate(self, z: Array) -> Array:
        return Softmax().forward({}, z)[0] if self.out_activation_ == "softmax" else sigmoid(z)

    def _classify(self, p: Array) -> Array:
        """Return the index of the most probable class, or rows of 0 and 1, on the backend of the outputs."""
        xp = namespace(p)
        if self.out_activation_ == "softmax":
            return xp.argmax(p, axis=1)
        yes = xp.astype(p > 0.5, xp.int64)
        if self._binarizer.y_type_ == "multilabel-indicator":
            return yes
        return xp.minimum(yes[:, 0], len(self.classes_) - 1)

    def predict(self, X: Any) -> Any:
        """Return the predicted class of each example.

        Parameters
        ----------
        X : array of any library, data frame or sparse matrix, of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_classes) of 0 and 1 for multilabel targets
            The same kind of array as X, on its device; NumPy for labels that are not numbers.
        """
        found = self._map_outputs(X, self._classify)
        return found if self._binarizer.y_type_ == "multilabel-indicator" else as_labels(self.classes_, found)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class or, for multilabel targets, of each label.

        Parameters
        ----------
        X : array of any library, data frame or sparse matrix, of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            The same kind of array as X, on its device; the columns are in the order of `classes_`.
        """
        return self._map_outputs(X, self._probabilities)

    def _probabilities(self, p: Array) -> Array:
        xp = namespace(p)
        return xp.concat([1.0 - p, p], axis=1) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"), backends.of(p).activate():
            return namespace(p).log(p)

    def to_onnx(self, path: str | Path | None = None, *, opset: int = 18, dtype: str = "float32") -> Any:
        """Convert to ONNX, write a file if a path is given, and return the `onnx.ModelProto`.

        The input ``X`` has shape (N, n_features). The outputs are those of sklearn-onnx without its ZipMap: ``label``, of shape
        (N,), with integers or strings as in `classes_`, or (N, n_classes) of 0 and 1 for multilabel targets; and
        ``probabilities``, of shape (N, n_classes), as `predict_proba` returns.

        Parameters
        ----------
        path, opset, dtype
            As for `anynet.onnx.to_onnx`.
        """
        check_is_fitted(self)
        return classifier_to_onnx(self, path, opset=opset, dtype=dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; a multilabel prediction is correct if all its labels are."""
        return self._score(X, y, sample_weight)

    def _score_outputs(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        if not np.isfinite(outputs).all():
            return np.nan
        return accuracy_score(y, self._labels(outputs), sample_weight=weight)

    def _score_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        if not np.isfinite(outputs).all():
            return np.nan
        correct = self._labels(outputs) == y  # `accuracy_score` would first find out the kind of labels, in 0.5 ms
        return float(np.average(correct if correct.ndim == 1 else correct.all(axis=1), weights=weight))

    def _labels(self, outputs: np.ndarray) -> np.ndarray:
        """Return predicted classes (N,), or rows of 0 and 1 for several labels."""
        found = np.asarray(self._classify(outputs))
        return found if self._binarizer.y_type_ == "multilabel-indicator" else self.classes_[found]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

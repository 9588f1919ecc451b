"""Targets of the estimators for tables: classes, and numbers.

Legend: N rows, C classes, O numbers per target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from anynet import backends
from anynet.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from anynet.sklearn.tabular import TableEstimator
from anynet.sklearn.validation import as_labels, check_numbers


class TableClassifier(ClassifierMixin, TableEstimator):
    """Targets of C classes."""

    monitor = "val_accuracy"

    def _check_targets(self, y: np.ndarray) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return y

    def _fit_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected two or more classes in y, got one class, {self.classes_.tolist()[0]!r}"
            )

    def _encode(self, y: np.ndarray) -> np.ndarray:
        unknown = sorted(set(y.tolist()) - set(self.classes_.tolist()), key=str)
        if unknown:
            raise ValueError(f"y: expected classes among {self.classes_}, got {unknown[0]!r}")
        return np.searchsorted(self.classes_, y)

    def _make_loss(self) -> Loss:
        return SoftmaxCrossEntropy(label_smoothing=float(getattr(self, "label_smoothing", 0.0)))

    def _count_outputs(self) -> int:
        return len(self.classes_)

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : data frame, array of any library or nested list, with the columns of `fit`

        Returns
        -------
        array (N,)
            The same kind of array as X; NumPy for a data frame, and for labels that are not numbers.
        """
        check_is_fitted(self)
        return as_labels(self.classes_, self.model_.predict_classes(self._inputs(X)))

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, the mean over the members.

        Parameters
        ----------
        X : data frame, array of any library or nested list, with the columns of `fit`

        Returns
        -------
        array (N, C)
            The same kind of array as X; the columns are in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.model_.predict_proba(self._inputs(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy."""
        found, y, weight = self._on_host(X, y, sample_weight)
        return float(accuracy_score(y, found, sample_weight=weight))


class TableRegressor(RegressorMixin, TableEstimator):
    """Targets of one or several numbers, which are standardized for training."""

    monitor = "val_rmse"

    def _check_targets(self, y: np.ndarray) -> np.ndarray:
        check_numbers(type(self).__name__, y)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _fit_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.n_outputs_ = 0 if y.ndim == 1 else y.shape[1]
        y = y.reshape(len(y), -1)
        self.y_mean_ = np.average(y, axis=0, weights=weight)
        deviation = np.sqrt(np.average((y - self.y_mean_) ** 2, axis=0, weights=weight))
        self.y_scale_ = np.where(deviation > 0.0, deviation, 1.0)
        self.y_range_ = np.stack([y.min(axis=0), y.max(axis=0)])

    def _encode(self, y: np.ndarray) -> np.ndarray:
        y = y.reshape(len(y), -1)
        if y.shape[1] != len(self.y_mean_):
            raise ValueError(f"y: expected {len(self.y_mean_)} numbers per row, got {y.shape[1]}")
        return (y - self.y_mean_) / self.y_scale_

    def _make_loss(self) -> Loss:
        return MeanSquaredError()

    def _count_outputs(self) -> int:
        return len(self.y_mean_)

    @property
    def denormalization(self) -> tuple[np.ndarray, ...]:
        """Mean, standard deviation, minimum and maximum (O,) of the targets of training."""
        return self.y_mean_, self.y_scale_, *self.y_range_

    def predict(self, X: Any) -> Any:
        """Return the predicted number or numbers of each row, the mean over the members.

        Parameters
        ----------
        X : data frame, array of any library or nested list, with the columns of `fit`

        Returns
        -------
        array (N,) or (N, O)
            The same kind of array as X.
        """
        check_is_fitted(self)
        z = self.model_.predict(self._inputs(X))
        kind = backends.of(z)
        with kind.activate():
            mean, scale, low, high = (kind.asarray(a) for a in self.denormalization)
            xp = kind.xp
            y = mean + scale * (xp.mean(z, axis=1) if z.ndim == 3 else z)
            if self.clamps:
                y = xp.minimum(xp.maximum(y, low), high)
            return y if self.n_outputs_ else y[:, 0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the fraction of the variance of y that is explained; the best value is 1."""
        found, y, weight = self._on_host(X, y, sample_weight)
        return float(r2_score(y, found, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

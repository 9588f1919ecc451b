"""Constraints of the parameters that the estimators for tables share, and their documentation."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions

from anynet.backends.base import Backend

POSITIVE = Interval(Integral, 1, None, closed="left")
CONSTRAINTS: dict[str, Any] = {
    "hidden": ["array-like", POSITIVE],
    "epochs": [POSITIVE],
    "batch_size": [POSITIVE],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "label_smoothing": [Interval(Real, 0, 1, closed="both")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "members": [POSITIVE],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "random_state": ["random_state"],
    "backend": [str, Backend, None],
    "device": [str, None],
    "dtype": [StrOptions({"float32", "float64"})],
    "callbacks": [list, tuple, None],
    "progress": ["boolean"],
}
"""Constraints of the parameters that the estimators share."""

MORE = """validation_fraction : float, in (0, 1)
        Fraction of the rows to hold out, unless `fit` gets validation data.
    categorical_features : "from_dtype", sequence of str, int or bool, or None
        Columns of categories, as for `TablePreprocessor`.
    random_state : int, RandomState or None
        Source of the held-out rows, initial weights, orders and dropout, which are the same on every backend.
    backend : str or Backend, optional
        Backend, such as ``"cupy"`` or ``"torch:cuda"``; by default that of X. Predictions are the same kind of array as X.
    device : str, optional
        The device, if the backend's name does not contain it.
    dtype : {"float32", "float64"}
        Data type of the network.
    callbacks : list of Callback, optional
        Callbacks to run during training, from `anynet.callbacks`.
    progress : bool
        Whether to show a progress bar.
    """

ATTRIBUTES = """model_ : Model
        The network. Its input is the matrix that ``preprocessor_.transform`` returns.
    preprocessor_ : TablePreprocessor
        The preprocessing, fitted on all rows.
    best_epochs_, best_scores_ : list of int, list of float
        Best epoch, from 1, and its {score} on the held-out rows; one per trained network.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array
        Names of the columns, if X has names.
    """

NUMBER_ATTRIBUTES = """y_mean_, y_scale_ : array (O,)
        Mean and standard deviation of the targets.
    y_range_ : array (2, O)
        Minimum and maximum of the targets.
    """

"""Checks and conversions of the data that estimators are given.

Data that NumPy can hold pass scikit-learn's own checks. Arrays of other libraries remain on their device and are checked
there, whether ``array_api_dispatch`` is on or off; targets and weights, which are small, are checked on the host.

Legend: N examples, I features, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_X_y
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from anynet import backends
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.checks import check_finite
from anynet.data.batch import Batch
from anynet.data.plan import Order

if TYPE_CHECKING:
    from anynet.sklearn.base import BaseMLP

FLOATS = (np.float64, np.float32)
SPARSE = ["csr", "csc"]


def check_inputs(estimator: BaseMLP, X: Any, *, reset: bool) -> Any:
    """Return finite floating-point X (N, I): a NumPy array, a sparse matrix, or an array of its library."""
    backend = backends.of(X)
    if backend.name == "numpy":
        return validate_data(estimator, X, accept_sparse=SPARSE, dtype=FLOATS, reset=reset)
    with backend.activate():
        return _check_foreign(estimator, X, backend, reset)


def check_pair(estimator: BaseMLP, X: Any, y: Any, *, numeric: bool, reset: bool) -> tuple[Any, np.ndarray]:
    """Return X as `check_inputs` does, and y (N,) or (N, O) on the host."""
    backend, y = backends.of(X), to_host(y)
    if backend.name == "numpy":
        X, y = validate_data(
            estimator, X, y, accept_sparse=SPARSE, multi_output=True, y_numeric=numeric, dtype=FLOATS, reset=reset
        )
    else:
        with backend.activate():
            X = _check_foreign(estimator, X, backend, reset)
        rows = np.broadcast_to(np.float64(0.0), (X.shape[0], 1))
        _, y = check_X_y(rows, y, multi_output=True, y_numeric=numeric, estimator=estimator)
    y = y.toarray() if issparse(y) else y
    return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def check_validation(given: Any) -> tuple[Any, Any, Any]:
    """Return X, y and weights of `validation_data`, None for weights that are not given."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise ValueError(f"validation_data: expected (X, y) or (X, y, sample_weight), got {type(given).__name__}")
    X, y, weight = (*given, None)[:3]
    return X, y, weight


def check_numbers(where: str, y: np.ndarray) -> None:
    """Raise ValueError if a target is text that is not a number."""
    for row, values in enumerate(y.tolist() if y.dtype.kind in "OUS" else ()):
        for value in values if isinstance(values, list) else [values]:
            try:
                float(value)
            except ValueError:
                raise ValueError(
                    f"{where}: expected numbers in y, got {value!r} in row {row}; convert it, or use a classifier"
                ) from None


def check_weight(weight: Any, y: np.ndarray) -> np.ndarray | None:
    """Return the weights of the examples (N,) on the host, or None."""
    if weight is None:
        return None
    return _check_sample_weight(to_host(weight), np.broadcast_to(np.float64(0.0), (len(y), 1)), dtype=np.float64)


def _check_foreign(estimator: BaseMLP, X: Array, backend: Backend, reset: bool) -> Array:
    name, xp = type(estimator).__name__, backend.xp
    if X.ndim != 2:
        raise ValueError(f"{name}: expected X of shape (examples, features), got {tuple(X.shape)}; reshape it")
    if not xp.isdtype(X.dtype, ("bool", "integral", "real floating")):
        raise ValueError(f"{name}: expected real numbers in X, got dtype {X.dtype}; complex data is not supported")
    for count, unit in zip(X.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(f"{name}: expected at least one {unit} in X, got shape {tuple(X.shape)}")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if X.dtype not in (xp.float32, xp.float64):
        X = xp.astype(X, xp.__array_namespace_info__().default_dtypes()["real floating"])
    check_finite(name, "X", X)
    return X


def to_host(y: Any) -> Any:
    """Return arrays of other libraries as NumPy arrays, and anything else unchanged."""
    return y if backends.of(y).name == "numpy" else backends.to_numpy(y)


def as_labels(classes: np.ndarray, indices: Array) -> Array:
    """Return the classes at indices (N,), as an array of their library.

    It is a NumPy array for labels that are not numbers.
    """
    kind = backends.of(indices)
    if kind.name == "numpy" or classes.dtype.kind not in "biuf":
        return classes[backends.to_numpy(indices)]
    with kind.activate():
        return kind.xp.take(kind.asarray(classes), indices, axis=0)


def dense(X: Any) -> Any:
    """Return a sparse matrix as an array, and anything else unchanged."""
    return X.toarray() if issparse(X) else X


def take(X: Any, rows: np.ndarray) -> Any:
    """Return the given rows of a checked X."""
    backend = backends.of(X)
    if backend.name == "numpy":
        return X[rows]
    with backend.activate():
        return backend.xp.take(X, backend.asarray(rows, backend.index_dtype), axis=0)


class Shuffle:
    """Orders of the examples, as in scikit-learn; each epoch shuffles the previous one."""

    def __init__(self, random: np.random.RandomState, count: int) -> None:
        self._random, self._order = random, np.arange(count)

    def __call__(self, epoch: int, count: int) -> np.ndarray:
        indices = np.arange(count)
        self._random.shuffle(indices)
        self._order = self._order[indices]
        return self._order


class SparseBatches:
    """Sparse examples as dense batches, converted one at a time.

    Parameters
    ----------
    data : Batch
        Sparse X, with targets and weights on the host.
    size : int
        Number of examples per batch.
    order : callable, optional
        Function as for `shuffle` of `Model.fit`; by default, the order of the data.
    """

    def __init__(self, data: Batch, size: int, order: Order | None = None) -> None:
        self._data, self._size, self._order, self._epoch = Batch(data.x.tocsr(), data.y, data.weight), size, order, 0

    def __len__(self) -> int:
        return -(-self._data.x.shape[0] // self._size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        count, x = self._data.x.shape[0], self._data.x
        order = np.arange(count) if self._order is None else self._order(self._epoch, count)
        self._epoch += 1
        for start in range(0, count, self._size):
            rows = order[start : start + self._size]
            yield (x[rows].toarray(), *(a[rows] for a in self._data[1:] if a is not None))

"""Base classes of the estimators for tables: data frames to a trained `Model` and predictions.

Legend: N rows, C classes, O numbers per target, K members.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from anynet import backends
from anynet.backends.base import Backend
from anynet.checks import errors_of
from anynet.data.plan import SPLIT_STREAM
from anynet.data.split import stratified_split
from anynet.layers import Columns, Flatten, Layer, Parallel, Reshape, Sequential
from anynet.losses import EachMember, Loss
from anynet.model import Model
from anynet.onnx.estimators import table_to_onnx
from anynet.sklearn.best_epoch import BestEpoch
from anynet.sklearn.network import hidden_sizes
from anynet.sklearn.preprocessing import TablePreprocessor
from anynet.sklearn.rollback import unchanged_on_error
from anynet.sklearn.saving import SavedEstimator
from anynet.sklearn.table import Table, counted, is_missing, read_table
from anynet.sklearn.validation import check_validation, check_weight, to_host


class Rows(NamedTuple):
    """Inputs of a network, with targets and weights on the host."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Rows:
        """Return the rows with the given indices."""
        return Rows(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


class TableEstimator(SavedEstimator):
    """A network for tables with scikit-learn's interface; subclasses define the network and the targets."""

    scaling: ClassVar[str]
    """Scaling of numbers, as for `TablePreprocessor`."""

    clamps: ClassVar[bool] = False
    """Whether predicted numbers are limited to the range of the targets of training."""

    monitor: ClassVar[str]
    """Quantity of the held-out rows that selects the best epoch."""

    # -- defined by subclasses ----------------------------------------------------------------------------------------

    def _train(
        self, rows: Rows, held: Rows | None, random: np.random.RandomState, backend: Backend, resume: Any
    ) -> list[Model]:
        """Return one or several trained networks; `resume` is for `_fit_model`."""
        raise NotImplementedError

    def _fit_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Set the attributes that `_encode` needs."""
        raise NotImplementedError

    def _check_targets(self, y: np.ndarray) -> np.ndarray:
        """Return targets (N,) or (N, O), or raise ValueError if they are of the wrong kind."""
        raise NotImplementedError

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Return checked targets in the form that the loss takes."""
        raise NotImplementedError

    def _make_loss(self) -> Loss:
        raise NotImplementedError

    def _count_outputs(self) -> int:
        """Return the number of outputs of the network."""
        raise NotImplementedError

    # -- training -----------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
        resume: str | Path | None = None,
    ) -> Self:
        """Train on a table.

        Parameters
        ----------
        X : data frame, array of any library or nested list, of shape (N, columns)
            The table, with numbers, categories and missing values. The network computes on the device of X unless `backend`
            is set; the preprocessing takes place on the host.
        y : array (N,), or (N, O) of numbers
            Class labels or numbers, without missing values.
        sample_weight : array (N,), optional
            Weights of the rows. If all are whole numbers up to 10, a row of weight w is the same as w rows.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows that select the best epoch, instead of a part of X.
        resume : path, optional
            File that the callback `Checkpoint` wrote during a fit of one network with the same data, parameters and
            `random_state`. Training continues from there, with the result of an uninterrupted fit.

        Returns
        -------
        self
        """
        name, kind = type(self).__name__, backends.of(X)
        table, y, weight = self._check_rows(X, y, sample_weight)
        held = None
        if validation_data is not None:
            given = check_validation(validation_data)
            with errors_of("validation_data"):
                held = self._check_rows(*given)
        table, y, weight = counted(name, table, y, weight)
        least = 2 if held is None else 1
        if len(y) < least:
            raise ValueError(
                f"{name}: expected at least {least} rows, one of them to hold out, got n_samples = {len(y)}; pass "
                "more rows or validation_data"
            )
        with unchanged_on_error(self):
            self._fit_targets(y, weight)
            self.preprocessor_ = TablePreprocessor(
                scaling=self.scaling, categorical_features=self.categorical_features
            ).fit(table)
            self.n_features_in_ = self.preprocessor_.n_features_in_
            self.__dict__.pop("feature_names_in_", None)
            if table.names is not None:
                self.feature_names_in_ = self.preprocessor_.feature_names_in_
            self.best_epochs_: list[int] = []
            self.best_scores_: list[float] = []
            rows, known = Rows(self._inputs(table), self._encode(y), weight), None
            if held is not None:
                with errors_of("validation_data"):
                    known = Rows(self._inputs(held[0]), self._encode(held[1]), held[2])
            name_of_kind = kind.name.partition(":")[0] if self.device is not None else kind
            backend = backends.get(self.backend or name_of_kind, self.device)
            self.model_ = _predictor(self._train(rows, known, check_random_state(self.random_state), backend, resume))
        return self

    def _check_rows(self, X: Any, y: Any, weight: Any) -> tuple[Table, np.ndarray, np.ndarray | None]:
        """Return a table with checked targets and weights."""
        name = type(self).__name__
        table = read_table(name, X)
        if y is None:
            raise ValueError(f"{name}: requires y to be passed, but the target y is None; pass one target per row")
        values = np.asarray(to_host(y))
        check_consistent_length(table.columns[0], values)
        lost = next(
            (row for row, value in enumerate(values.reshape(len(values), -1)[:, 0].tolist()) if is_missing(value)), None
        )
        if lost is not None:
            raise ValueError(f"{name}: expected a target in each row of y, got none in row {lost}; leave such rows out")
        y = self._check_targets(values)
        return table, y, check_weight(weight, y)

    def _split(self, rows: Rows, held: Rows | None, seed: int) -> tuple[Rows, Rows]:
        """Return the rows to train on and those to hold out, which are given or drawn."""
        if held is not None:
            return rows, held
        labels = rows.y if rows.y.dtype.kind in "iu" else None
        count, rng = len(rows.y), np.random.default_rng((seed, SPLIT_STREAM))
        part = min(max(round(self.validation_fraction * count), 1), count - 1) / count
        kept, out = stratified_split(type(self).__name__, part, count, labels, rng)
        return rows.take(kept), rows.take(out)

    def _fit_model(self, model: Model, rows: Rows, held: Rows, best: BestEpoch, batch_size: int, resume: Any) -> bool:
        """Train a model, restore its best epoch, and return whether Ctrl-C ended training."""
        model.fit(
            *rows[:2],
            sample_weight=rows.weight,
            validation_data=held if held.weight is not None else held[:2],
            callbacks=[best, *(self.callbacks or ())],
            progress=bool(self.progress),
            epochs=int(self.epochs),
            batch_size=min(batch_size, len(rows.y)),
            resume=resume,
        )
        if best.params is not None:
            model.params = best.params
        self.best_epochs_.append(best.epoch)
        self.best_scores_.append(best.value)
        if best.interrupted:
            warnings.warn(
                "fit: interrupted by the user; the estimator has the best epoch so far", UserWarning, stacklevel=5
            )
        return best.interrupted

    def _hidden_sizes(self) -> list[int]:
        sizes = hidden_sizes("hidden", self.hidden)
        if not sizes:
            raise ValueError(f"hidden: expected one or more integers >= 1, got {self.hidden!r}")
        return sizes

    # -- predictions --------------------------------------------------------------------------------------------------

    def _inputs(self, X: Any) -> Any:
        """Return the inputs of the network, as arrays of the library of X."""
        return self.preprocessor_.transform(X)

    def _on_host(self, X: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Return predictions, targets and weights on the host, for a score."""
        return backends.to_numpy(self.predict(X)), to_host(y), to_host(weight)

    def predict(self, X: Any) -> Any:
        raise NotImplementedError

    # -- files --------------------------------------------------------------------------------------------------------

    def to_onnx(self, path: str | Path | None = None, *, opset: int = 18, dtype: str = "float32") -> Any:
        """Convert the network to ONNX, optionally write a file, and return the `onnx.ModelProto`.

        The input ``X`` is the matrix that ``preprocessor_.transform`` returns. The outputs are those of
        `MLPClassifier.to_onnx` and `MLPRegressor.to_onnx`.
        """
        check_is_fitted(self)
        return table_to_onnx(self, path, opset=opset, dtype=dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True  # `categorical` would round the data of the checks
        return tags


def each_number(embedding: Layer, numbers: int, features: int) -> Layer:
    """Return a layer that embeds the first features, the numbers, and passes on the others."""
    if numbers == features:
        return Sequential([embedding, Flatten()])
    return Parallel([[Columns(0, numbers), embedding, Flatten()], Columns(numbers, features)])


def _predictor(models: list[Model]) -> Model:
    """Return a model that predicts the average of trained networks.

    On NumPy it computes in float64, so that the prediction for a row depends on the other rows by less than 1e-7: BLAS rounds
    the rows of a product differently.
    """
    first = models[0]
    wide, loss, layer = (
        "float64" if first.backend.name == "numpy" else first.dtype,
        first.config.required_loss,
        first.layer,
    )
    params = first.params
    if len(models) > 1:
        layer = Sequential([Parallel([model.layer for model in models]), Reshape((len(models), *first.output_shape))])
        params, loss = [[model.params for model in models], {}], EachMember(loss)
    predictor = Model(layer, input_shape=first.input_shape, loss=loss, backend=first.backend, dtype=wide)
    predictor.params, predictor.history = params, first.history
    return predictor

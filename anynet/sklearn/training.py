"""Training of the estimators: from checked data to a `Model` and to scikit-learn's attributes."""

from __future__ import annotations

import copy
import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import _fit_context, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from anynet import backends, tree
from anynet.checks import errors_of
from anynet.data.batch import Batch, eval_batch_size
from anynet.sklearn import network
from anynet.sklearn.base import BaseMLP
from anynet.sklearn.curves import CurveRecorder, Score, sklearn_loss
from anynet.sklearn.lbfgs import minimize_loss
from anynet.sklearn.rollback import unchanged_on_error
from anynet.sklearn.validation import (
    Shuffle,
    SparseBatches,
    check_pair,
    check_validation,
    check_weight,
    dense,
    take,
)


class Examples(NamedTuple):
    """Checked X, with y and weights on the host."""

    X: Any
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Examples:
        """Return the examples with the given indices."""
        return Examples(take(self.X, rows), self.y[rows], None if self.weight is None else self.weight[rows])


class TrainableMLP(BaseMLP):
    """A multi-layer perceptron with the method `fit`; subclasses define targets, outputs and `partial_fit`."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple[Any, ...] | None = None) -> Self:
        """Train on data, from new weights or, with `warm_start`, from the current ones.

        Parameters
        ----------
        X : array of any library, data frame or sparse matrix, of shape (n_samples, n_features)
            Training inputs. The computation runs on the device of X unless `backend` is set. A sparse matrix is converted to
            dense one batch at a time.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, rows of 0 and 1, or numbers.
        sample_weight : array of shape (n_samples,), optional
            Weights of the examples.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Data to evaluate after each epoch, for `validation_loss_curve_`. With `early_stopping`, they replace the held-out
            part of X.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            self._fit(X, y, sample_weight, incremental=False, validation_data=validation_data)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, validation_data: Any = None) -> None:
        """Train from new weights or from the current ones; `incremental` trains for one epoch."""
        sizes = network.hidden_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        if self.solver == "lbfgs" and (self.batch_norm or np.any(self.dropout)):
            name = "batch_norm" if self.batch_norm else "dropout"
            raise ValueError(
                f"{name}: expected none with solver='lbfgs', got {getattr(self, name)!r}; use solver=LBFGS()"
            )
        if incremental and self.early_stopping:
            raise ValueError("early_stopping: expected False for partial_fit, got True; use fit to stop early")
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        kind = backends.of(X)
        X, y = check_pair(self, X, y, numeric=not is_classifier(self), reset=first)
        data = Examples(X, y, check_weight(sample_weight, y))
        self._fit_targets(y, first, incremental)
        validation = None if validation_data is None else self._check_validation(validation_data)
        training = data._replace(weight=self._training_weight(y, data.weight, incremental))

        random = check_random_state(self.random_state)
        weights = network.draw_weights(self, [X.shape[1], *sizes, self.n_outputs_], random) if first else None
        if self.early_stopping and validation is None and self.solver != "lbfgs":
            kept, held = self._split(y, random)
            training, validation = training.take(kept), data.take(held)
        if first or not incremental:
            seed = int(copy.deepcopy(random).randint(np.iinfo(np.int32).max))  # a copy: scikit-learn draws no seed
            self._make_model(X, kind, sizes, weights, seed)
        else:
            self._update_model(sizes)
        if first:
            self._reset_attributes()
        order = Shuffle(random, len(training.y)) if self.shuffle else None
        self._train(training, validation, order, incremental)

    def _check_validation(self, given: Any) -> Examples:
        X, y, weight = check_validation(given)
        with errors_of("validation_data"):
            X, y = check_pair(self, X, y, numeric=not is_classifier(self), reset=False)
            self._check_targets(y)
            return Examples(X, y, check_weight(weight, y))

    def _split(self, y: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the examples to train on and to hold out, which are those of scikit-learn."""
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        fraction = self.validation_fraction
        kept, held = train_test_split(np.arange(len(y)), random_state=random, test_size=fraction, stratify=stratify)
        if len(held) < 2:
            raise ValueError(
                f"validation_fraction: expected to hold out at least 2 examples, got {len(held)} of {len(y)}; increase it"
            )
        return kept, held

    def _reset_attributes(self) -> None:
        """Set the attributes to their values before the first epoch."""
        self.t_ = self._no_improvement_count = 0
        self.n_layers_ = len(network.dense_indices(self.model_)) + 1
        self.validation_loss_curve_: list[float] | None = None
        for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
            self.__dict__.pop(name, None)
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            stopping = self.early_stopping
            self.validation_scores_: list[float] | None = [] if stopping else None
            self.best_validation_score_: float | None = -np.inf if stopping else None
            self.best_loss_: float | None = None if stopping else np.inf

    def _train(self, data: Examples, validation: Examples | None, order: Shuffle | None, incremental: bool) -> None:
        if validation is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        self.n_iter_ = 0
        if self.solver == "lbfgs":
            converged = self._train_lbfgs(data, validation)
        else:
            converged = self._train_epochs(data, validation, order, 1 if incremental else self.max_iter)
        self._check_weights()
        if not incremental and not converged:
            warnings.warn(
                f"{type(self).__name__}: expected to converge within max_iter={self.max_iter} iterations, got "
                f"{self.n_iter_} without convergence; increase max_iter or tol, or scale X",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _train_lbfgs(self, data: Examples, validation: Examples | None) -> bool:
        """Train with SciPy's L-BFGS-B, and return whether it has converged."""
        model = self.model_
        host = (dense(data.X), self._encode_targets(data.y), data.weight)
        arguments = tuple(None if a is None else model.backend.asarray(a) for a in host)
        held = None
        if validation is not None:
            held = (dense(validation.X), self._encode_targets(validation.y, smooth=False), validation.weight)

        def record(loss: float) -> None:
            self.n_iter_ += 1
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {loss:.8f}", flush=True)
            if held is not None and self.validation_loss_curve_ is not None:
                logs = model.evaluate(*held)
                self.validation_loss_curve_.append(sklearn_loss(logs, "", self.n_outputs_))

        self.loss_, self.n_iter_, converged = minimize_loss(
            model, arguments, max_iter=self.max_iter, max_fun=int(self.max_fun), tol=float(self.tol), callback=record
        )
        if model.metrics:
            self.loss_ = sklearn_loss(model.evaluate(*arguments), "", self.n_outputs_)
        return converged

    def _train_epochs(self, data: Examples, validation: Examples | None, order: Shuffle | None, epochs: int) -> bool:
        """Train for up to `epochs` epochs, and return whether training was stopped."""
        model, count = self.model_, len(data.y)
        size = self._batch_size(count)
        recorder = CurveRecorder(self, count, self._no_improvement_count, self._scorer(validation))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fit: expected a finite loss", RuntimeWarning)  # see `_check_weights`
            model.fit(
                *self._batches(data, size, order),
                epochs=epochs,
                batch_size=size,
                shuffle=False if order is None or size is None else order,
                sample_weight=None if issparse(data.X) and size else data.weight,
                validation_data=None if validation is None else self._validation_batches(validation),
                callbacks=[recorder, *(self.callbacks or ())],
                progress=bool(self.progress),
            )
        self._no_improvement_count = recorder.no_improvement_count
        if recorder.interrupted:
            warnings.warn("fit: interrupted by the user; the estimator keeps its state", UserWarning, stacklevel=6)
        return recorder.stopped

    def _scorer(self, held: Examples | None) -> Score | None:
        """Return the score of held-out examples, or None unless early stopping uses one."""
        if held is None or not self.early_stopping:
            return None
        return Score(self._activate, lambda outputs: self._score_held_out(held.y, outputs, held.weight))

    def _uses_full_batch(self) -> bool:
        """Return whether the solver processes all examples in each step."""
        return self.solver == "lbfgs" or getattr(self.solver, "full_batch", False)

    def _check_solver(self) -> bool:
        """Return True, or raise AttributeError, which makes `hasattr` return False for `partial_fit`."""
        if self._uses_full_batch():
            raise AttributeError(
                f"partial_fit: expected a solver that processes batches, such as 'adam', got {self.solver!r}"
            )
        return True

    def _batch_size(self, count: int) -> int | None:
        if self._uses_full_batch():
            return None
        if self.batch_size == "auto":
            return min(200, count)
        if self.batch_size > count:
            warnings.warn(
                f"batch_size: expected at most {count}, the number of examples, got {self.batch_size}; using {count}",
                UserWarning,
                stacklevel=6,
            )
        return min(int(self.batch_size), count)

    def _batches(self, data: Examples, size: int | None, order: Shuffle | None) -> tuple[Any, ...]:
        """Return the first arguments of `Model.fit`: x and y, or an iterable of batches."""
        targets = self._encode_targets(data.y)
        if not issparse(data.X) or size is None:
            return dense(data.X), targets
        return (SparseBatches(Batch(data.X, targets, data.weight), size, order),)

    def _validation_batches(self, data: Examples) -> Any:
        """Return `validation_data` for `Model.fit`."""
        whole = Batch(data.X, self._encode_targets(data.y, smooth=False), data.weight)
        if issparse(data.X):
            config, numbers = self.model_.config, self.model_.backend.max_eval_numbers
            return SparseBatches(whole, eval_batch_size(config, numbers, data.X))
        return tuple(whole if data.weight is not None else whole[:2])

    def _check_weights(self) -> None:
        """Raise unless all weights are finite."""
        backend, params = self.model_.backend, self.model_.state.params
        with backend.activate():
            finite = all(bool(backend.xp.all(backend.xp.isfinite(a))) for a in tree.leaves(params))
        if not finite:
            raise ValueError(
                f"{type(self).__name__}: expected finite weights after training, got non-finite parameter weights; "
                "scale X, or lower learning_rate_init"
            )

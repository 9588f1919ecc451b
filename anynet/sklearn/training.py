"""How an estimator trains: from checked data to a `Model`, and from that to scikit-learn's attributes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from anynet import backends, tree
from anynet.backends.base import Backend
from anynet.data.batch import Batch
from anynet.model import Model
from anynet.regularizers import L2
from anynet.sklearn import network
from anynet.sklearn.curves import DataLoss, Watch, reported
from anynet.sklearn.lbfgs import minimize_loss
from anynet.sklearn.solvers import make_optimizer
from anynet.sklearn.validation import Shuffle, SparseBatches, check_pair, check_weight, dense, take

HELD_OUT_ROWS = 2048
"""Sparse examples that are made dense at a time to evaluate them."""


class Examples(NamedTuple):
    """Checked X, and y and weights on the host."""

    X: Any
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Examples:
        """Return some of them."""
        return Examples(take(self.X, rows), self.y[rows], None if self.weight is None else self.weight[rows])


def fit(estimator: Any, X: Any, y: Any, sample_weight: Any, *, incremental: bool, validation_data: Any = None) -> None:
    """Train an estimator, from the beginning or from where it is."""
    sizes = network.hidden_sizes(estimator)
    if estimator.solver == "lbfgs" and (estimator.batch_norm or np.any(estimator.dropout)):
        name = "batch_norm" if estimator.batch_norm else "dropout"
        raise ValueError(
            f"{name}: expected none with solver='lbfgs', got {getattr(estimator, name)!r}; take solver=LBFGS()"
        )
    if incremental and estimator.early_stopping:
        raise ValueError("early_stopping: expected False for partial_fit, got True; one step cannot stop early")
    first = not hasattr(estimator, "model_") or not (estimator.warm_start or incremental)
    kind, numeric = backends.of(X), not is_classifier(estimator)
    X, y = check_pair(estimator, X, y, numeric=numeric, reset=first)
    data = Examples(X, y, check_weight(sample_weight, y))
    estimator._take_targets(y, first, incremental)
    validation = None if validation_data is None else _check_validation(estimator, validation_data, numeric)
    training = data._replace(weight=estimator._training_weight(y, data.weight, incremental))

    random = check_random_state(estimator.random_state)
    weights = None
    if first:
        weights = network.draw_weights(estimator, [X.shape[1], *sizes, estimator.n_outputs_], random)
    if estimator.early_stopping and validation is None and estimator.solver != "lbfgs":
        kept, held = _split(estimator, y, random)
        training, validation = training.take(kept), data.take(held)
    if first or not incremental:
        seed = int(copy.deepcopy(random).randint(np.iinfo(np.int32).max))  # the state itself goes on as scikit-learn's
        _make_model(estimator, X, kind, sizes, weights, seed)
    if first:
        _forget(estimator)
    order = Shuffle(random, len(training.y)) if estimator.shuffle else None
    _train(estimator, training, validation, order, incremental)


def whole_batch(estimator: Any) -> bool:
    """Return whether the solver wants all examples at a time."""
    return estimator.solver == "lbfgs" or getattr(estimator.solver, "full_batch", False)


def _check_validation(estimator: Any, given: Any, numeric: bool) -> Examples:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise ValueError(f"validation_data: expected (X, y) or (X, y, sample_weight), got {type(given).__name__}")
    X, y = check_pair(estimator, given[0], given[1], numeric=numeric, reset=False)
    estimator._check_targets(y)
    return Examples(X, y, check_weight(given[2] if len(given) == 3 else None, y))


def _split(estimator: Any, y: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those to hold out, the ones that scikit-learn takes from the same random state."""
    stratify = y if is_classifier(estimator) and estimator.n_outputs_ == 1 else None
    fraction = estimator.validation_fraction
    kept, held = train_test_split(np.arange(len(y)), random_state=random, test_size=fraction, stratify=stratify)
    if len(held) < 2:
        raise ValueError(
            f"validation_fraction: expected to hold out 2 examples or more, got {len(held)} of {len(y)}; increase it"
        )
    return kept, held


def _make_model(estimator: Any, X: Any, kind: Backend, sizes: list[int], weights: Any, seed: int) -> None:
    """Make the model anew, with given weights or with those of the model that was there."""
    name = kind.name.partition(":")[0] if estimator.device is not None else kind
    backend = backends.get(estimator.backend or name, estimator.device)
    loss = estimator._make_loss()
    squares = estimator.out_activation_ == "identity" and estimator.n_outputs_ > 1
    model = Model(
        network.make_layers(estimator, sizes, estimator.n_outputs_),
        input_shape=X.shape[1],
        loss=loss,
        optimizer=make_optimizer(estimator),
        regularizer=L2(float(estimator.alpha), per_example=True) if estimator.alpha else None,
        metrics=[DataLoss(loss)] if squares else (),
        backend=backend,
        dtype=estimator.dtype or _float(X, backend),
        seed=seed,
    )
    if weights is None:
        model.params = estimator.model_.params
    else:
        network.set_dense(model, "weight", weights[0])
        network.set_dense(model, "bias", weights[1])
    estimator.model_, estimator._kind = model, kind.name


def _float(X: Any, backend: Backend) -> str:
    """Return the precision to compute in: that of X, unless the backend has float32 only."""
    if str(X.dtype).endswith("float32"):
        return "float32"
    try:
        backend.dtype("float64")
    except ValueError:
        return "float32"
    return "float64"


def _forget(estimator: Any) -> None:
    """Set what a first fit begins with."""
    estimator.t_ = estimator._no_improvement_count = 0
    estimator.n_layers_ = len(network.dense_places(estimator.model_)) + 1
    estimator.validation_loss_curve_ = None
    for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
        vars(estimator).pop(name, None)
    if estimator.solver != "lbfgs":
        estimator.loss_curve_ = []
        stopping = estimator.early_stopping
        estimator.validation_scores_, estimator.best_validation_score_ = ([], -np.inf) if stopping else (None, None)
        estimator.best_loss_ = None if stopping else np.inf


def _train(
    estimator: Any, data: Examples, validation: Examples | None, order: Shuffle | None, incremental: bool
) -> None:
    if validation is not None and estimator.validation_loss_curve_ is None:
        estimator.validation_loss_curve_ = []
    estimator.n_iter_ = 0
    if estimator.solver == "lbfgs":
        converged = _train_lbfgs(estimator, data, validation)
    else:
        converged = _train_in_epochs(estimator, data, validation, order, 1 if incremental else estimator.max_iter)
    _check_weights(estimator)
    if not incremental and not converged:
        warnings.warn(
            f"{type(estimator).__name__}: expected to converge within max_iter={estimator.max_iter} iterations, got "
            f"{estimator.n_iter_} without; increase max_iter or tol, or scale X",
            ConvergenceWarning,
            stacklevel=5,
        )


def _train_lbfgs(estimator: Any, data: Examples, validation: Examples | None) -> bool:
    """Train with SciPy's L-BFGS-B, and return whether it has converged."""
    model, outputs = estimator.model_, estimator.n_outputs_
    given = (dense(data.X), estimator._make_targets(data.y), data.weight)
    arguments = tuple(None if a is None else model.backend.asarray(a) for a in given)

    def each(loss: float) -> None:
        estimator.n_iter_ += 1
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}", flush=True)
        if validation is not None:
            scored = model.evaluate(
                dense(validation.X), estimator._make_targets(validation.y, smooth=False), validation.weight
            )
            estimator.validation_loss_curve_.append(reported(scored, "", outputs))

    estimator.loss_, estimator.n_iter_, converged = minimize_loss(
        model,
        arguments,
        each=each,
        max_iter=estimator.max_iter,
        max_fun=int(estimator.max_fun),
        tol=float(estimator.tol),
    )
    if model.metrics:
        estimator.loss_ = reported(model.evaluate(*arguments), "", outputs)
    return converged


def _train_in_epochs(
    estimator: Any, data: Examples, validation: Examples | None, order: Shuffle | None, epochs: int
) -> bool:
    """Train in epochs, and return whether anything has ended them before the last."""
    model, count = estimator.model_, len(data.y)
    size = _batch_size(estimator, count)
    watch = Watch(estimator, count, _scorer(estimator, validation))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit: expected a finite loss", RuntimeWarning)  # an error says so later
        model.fit(
            *_batches(estimator, data, size, order),
            epochs=epochs,
            batch_size=size,
            shuffle=False if order is None or size is None else order,
            sample_weight=None if issparse(data.X) and size else data.weight,
            validation_data=None if validation is None else _held_out(estimator, validation),
            callbacks=[watch, *(estimator.callbacks or ())],
            progress=bool(estimator.progress),
        )
    if watch.interrupted:
        warnings.warn("fit: interrupted by the user; the estimator is as of there", UserWarning, stacklevel=6)
    return watch.stopped


def _scorer(estimator: Any, held: Examples | None) -> Callable[[], float] | None:
    """Return what gives the score on what is held out, if that decides when to stop."""
    if held is None or not estimator.early_stopping:
        return None
    return lambda: estimator._score_outputs(held.y, estimator._host_outputs(held.X), held.weight)


def _batch_size(estimator: Any, count: int) -> int | None:
    if whole_batch(estimator):
        return None
    if estimator.batch_size == "auto":
        return min(200, count)
    if estimator.batch_size > count:
        warnings.warn(
            f"batch_size: expected at most {count}, the number of examples, got {estimator.batch_size}; clipped to that",
            UserWarning,
            stacklevel=6,
        )
    return min(int(estimator.batch_size), count)


def _batches(estimator: Any, data: Examples, size: int | None, order: Shuffle | None) -> tuple[Any, ...]:
    """Return the first arguments of `Model.fit`: x and y, or batches."""
    targets = estimator._make_targets(data.y)
    if not issparse(data.X) or size is None:
        return dense(data.X), targets
    return (SparseBatches(Batch(data.X, targets, data.weight), size, order),)


def _held_out(estimator: Any, data: Examples) -> Any:
    """Return `validation_data` for `Model.fit`."""
    whole = Batch(data.X, estimator._make_targets(data.y, smooth=False), data.weight)
    if issparse(data.X):
        return SparseBatches(whole, HELD_OUT_ROWS)
    return tuple(whole if data.weight is not None else whole[:2])


def _check_weights(estimator: Any) -> None:
    """Raise if training has led to numbers that are not finite."""
    backend, params = estimator.model_.backend, estimator.model_.state.params
    with backend.activate():
        finite = all(bool(backend.xp.all(backend.xp.isfinite(a))) for a in tree.leaves(params))
    if not finite:
        raise ValueError(
            f"{type(estimator).__name__}: expected finite weights after training, got non-finite parameter weights; "
            "scale X, or lower learning_rate_init"
        )

"""What both estimators share: their parameters, and answers in the kind of array that was asked with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils.validation import check_is_fitted

from anynet import backends
from anynet.arrays.namespace import Array
from anynet.losses import Loss
from anynet.sklearn import network, saving as files, training as fitting
from anynet.sklearn.parameters import CONSTRAINTS
from anynet.sklearn.validation import check_inputs, dense, on_host

ROWS, NUMBERS = 2048, 2**24
"""Examples, and numbers in them, that are predicted at a time."""


class BaseMLP(BaseEstimator):
    """A multi-layer perceptron with scikit-learn's interface; the estimators say what the outputs mean."""

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS

    # -- what an estimator says ---------------------------------------------------------------------------------------

    def _take_targets(self, y: np.ndarray, first: bool, incremental: bool) -> None:
        """Learn from y what there is to be learnt, and set `n_outputs_` and `out_activation_`."""
        raise NotImplementedError

    def _check_targets(self, y: np.ndarray) -> None:
        """Raise ValueError unless y fits what was learnt."""
        raise NotImplementedError

    def _make_targets(self, y: np.ndarray, *, smooth: bool = True) -> np.ndarray:
        """Return y as the loss takes it."""
        raise NotImplementedError

    def _make_loss(self) -> Loss:
        raise NotImplementedError

    def _activate(self, z: Array) -> Array:
        """Return the outputs (N, O) with their activation."""
        raise NotImplementedError

    def _score_outputs(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the score against y of outputs on the host."""
        raise NotImplementedError

    def _training_weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """Return the weights to train with."""
        return weight

    # -- training -----------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple[Any, ...] | None = None) -> Any:
        """Train on data, from the beginning or, with `warm_start`, from where it is.

        Parameters
        ----------
        X : array of any library, data frame or sparse matrix, of shape (n_samples, n_features)
            What is computed stays where X is, unless `backend` says otherwise. Of a sparse matrix one batch at a time is
            made dense.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, rows of yes and no, or numbers.
        sample_weight : array of shape (n_samples,), optional
            How much each example counts.
        validation_data : (X, y) or (X, y, sample_weight), optional
            What to evaluate after each epoch, for `validation_loss_curve_`; with `early_stopping` also what decides, instead
            of a part of X.

        Returns
        -------
        self
        """
        fitting.fit(self, X, y, sample_weight, incremental=False, validation_data=validation_data)
        return self

    def _check_solver(self) -> bool:
        if fitting.whole_batch(self):
            raise AttributeError(
                f"partial_fit: expected a solver that takes batches, such as 'adam', got {self.solver!r}"
            )
        return True

    # -- weights, as scikit-learn shows them --------------------------------------------------------------------------

    def _dense_arrays(self, name: str) -> list[Any]:
        if "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted")
        params, kind = self.model_.params, backends.get(self._kind)
        return [kind.asarray(params[place][name]) for place in network.dense_places(self.model_)]

    @property
    def coefs_(self) -> list[Any]:
        """The weights (units, units) of each layer, in the kind of array that was trained on; assign a list to set them."""
        return self._dense_arrays("weight")

    @coefs_.setter
    def coefs_(self, arrays: list[Any]) -> None:
        network.set_dense(self.model_, "weight", arrays)

    @property
    def intercepts_(self) -> list[Any]:
        """The biases (units,) of each layer, likewise."""
        return self._dense_arrays("bias")

    @intercepts_.setter
    def intercepts_(self, arrays: list[Any]) -> None:
        network.set_dense(self.model_, "bias", arrays)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> list[Array]:
        """Return the outputs for checked X with their activation, on the model's backend, in pieces."""
        model, parts = self.model_, []
        rows = max(1, min(ROWS, NUMBERS // X.shape[1]))
        for start in range(0, X.shape[0], rows):
            piece = model.backend.asarray(dense(X[start : min(start + rows, X.shape[0]), ...]))
            with model.backend.activate():
                parts.append(self._activate(model.predict(piece)))
        return parts

    def _host_outputs(self, X: Any) -> np.ndarray:
        return np.concatenate([self.model_.backend.to_numpy(part) for part in self._outputs(X)])

    def _answer(self, X: Any, finish: Callable[[Array], Array]) -> Array:
        """Return what `finish` makes of the outputs, in the kind of array that X is."""
        check_is_fitted(self)
        kind = backends.of(X)
        outputs = self._outputs(check_inputs(self, X, reset=False))
        with self.model_.backend.activate():
            parts = [kind.asarray(finish(part)) for part in outputs]
        with kind.activate():
            return parts[0] if len(parts) == 1 else kind.xp.concat(parts, axis=0)

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Return the score on the host, where labels may be of any kind."""
        check_is_fitted(self)
        outputs = self._host_outputs(check_inputs(self, X, reset=False))
        return float(self._score_outputs(on_host(y), outputs, on_host(sample_weight)))

    # -- keeping ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the estimator to one safetensors file, without pickle; see `load`.

        Callbacks, and a `random_state` that is not a number, are left out.
        """
        files.save(self, path)

    @classmethod
    def load(
        cls, path: str | Path, *, backend: str | None = None, device: str | None = None, custom: Iterable[Any] = ()
    ) -> Any:
        """Read an estimator that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.
        backend, device : str, optional
            Where it shall compute from now on; NumPy by default, wherever it was trained.
        custom : classes
            Your own layers, losses, optimisers and schedules that it has.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is damaged or holds something else.
        """
        return files.load(cls, path, backend, device, custom)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # `array_api_support` stays off: it promises to refuse arrays of another library than `fit` had; these take them
        return tags

"""Base class of both estimators: model, weights, predictions and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from anynet import backends
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.config import ModelConfig, warn_if_output_mismatches_loss
from anynet.data.batch import eval_batch_size
from anynet.losses import Loss
from anynet.metrics import Metric
from anynet.model import Model
from anynet.regularizers import L2
from anynet.sklearn import network
from anynet.sklearn.parameters import CONSTRAINTS
from anynet.sklearn.saving import SavedEstimator
from anynet.sklearn.solvers import make_optimizer
from anynet.sklearn.validation import check_inputs, dense, to_host
from anynet.training.processes import place_of
from anynet.training.state import TrainState


class BaseMLP(SavedEstimator):
    """A multi-layer perceptron with scikit-learn's interface; subclasses define targets and outputs."""

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS
    model_: Model
    n_outputs_: int
    out_activation_: str
    _kind: str
    """Name of the backend of the X that was trained on."""
    _config: ModelConfig
    """Configuration of `model_` as the parameters define it; training converts epochs of its schedules to steps."""

    # -- defined by subclasses ----------------------------------------------------------------------------------------

    def _fit_targets(self, y: np.ndarray, first: bool, incremental: bool) -> None:
        """Set `n_outputs_`, `out_activation_` and the classes from y, or check y against those of the previous fit."""
        raise NotImplementedError

    def _check_targets(self, y: np.ndarray) -> None:
        """Raise ValueError unless y has the form and the classes of the targets trained on."""
        raise NotImplementedError

    def _encode_targets(self, y: np.ndarray, *, smooth: bool = True) -> np.ndarray:
        """Return y in the form that the loss expects."""
        raise NotImplementedError

    def _make_loss(self) -> Loss:
        raise NotImplementedError

    def _metrics(self, loss: Loss) -> list[Metric]:
        """Return the metrics that `sklearn_loss` needs in addition to the loss."""
        return []

    def _activate(self, z: Array) -> Array:
        """Return the outputs (N, O) after their activation function."""
        raise NotImplementedError

    def _score_outputs(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the score of outputs on the host, for targets y."""
        raise NotImplementedError

    def _score_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the score for targets that were checked, in every epoch with early stopping."""
        return self._score_outputs(y, outputs, weight)

    def _training_weight(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """Return the weights of the examples in training."""
        return weight

    # -- model --------------------------------------------------------------------------------------------------------

    def _make_config(self, sizes: list[int], features: int, dtype: str, seed: int) -> ModelConfig:
        """Return the configuration that the parameters define."""
        loss = self._make_loss()
        return ModelConfig(
            network.make_layers(self, sizes, self.n_outputs_),  # type: ignore[arg-type]
            input_shape=features,
            loss=loss,
            optimizer=make_optimizer(self),
            regularizer=L2(float(self.alpha), per_example=True) if self.alpha else None,
            metrics=self._metrics(loss),
            dtype=dtype,
            seed=seed,
        )

    def _make_model(self, X: Any, kind: Backend, sizes: list[int], weights: Any, seed: int) -> None:
        """Set `model_` to a new model, with the given weights or, for None, those of the previous model."""
        name = kind.name.partition(":")[0] if self.device is not None else kind
        backend, communicator = place_of(self.backend or name, self.device, self.distributed)
        if communicator is not None and communicator.size > 1 and issparse(X):
            raise ValueError("X: expected a dense array with distributed, got a sparse matrix; pass X.toarray()")
        config = self._make_config(sizes, X.shape[1], self.dtype or _float(X, backend), seed)
        warn_if_output_mismatches_loss(config.layer, config.loss)
        model = Model.from_config(config, backend, distributed=communicator)
        if weights is None:
            model.params = network.inherited(type(self).__name__, model.params, self.model_.params)
        else:
            network.set_dense(model, "weight", weights[0])
            network.set_dense(model, "bias", weights[1])
        self.model_, self._config, self._kind = model, config, kind.name

    def _update_model(self, sizes: list[int]) -> None:
        """Replace `model_` if its settings have changed, by one with its weights and, for an equal optimizer, its state."""
        old, name = self.model_, type(self).__name__
        config = self._make_config(sizes, self.n_features_in_, old.dtype, old.seed)
        settings = {field.name: getattr(config, field.name) for field in fields(config)}
        changed = {field: value for field, value in settings.items() if value != getattr(self._config, field)}
        if not changed:
            return
        model = Model.from_config(replace(old.config, **changed), old.backend, distributed=old.distributed)
        new, (params, slots, key) = model.state, old.state
        if "optimizer" in changed:
            slots = new.opt_state
        else:
            moved = {slot: value for slot, value in slots.items() if slot in new.opt_state}  # all but the rate's factor
            slots = {**slots, **network.inherited(name, new.opt_state, moved)}
        model.state = TrainState(network.inherited(name, new.params, params), slots, key)
        model.epoch, model.history = old.epoch, old.history
        self.model_, self._config = model, config

    # -- weights, as scikit-learn shows them --------------------------------------------------------------------------

    def _dense_arrays(self, name: str) -> list[Any]:
        if "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted")
        params, kind = self.model_.params, backends.get(self._kind)
        return [kind.asarray(params[index][name]) for index in network.dense_indices(self.model_)]

    @property
    def coefs_(self) -> list[Any]:
        """Weights (units, units) of each layer, as arrays of the library trained on.

        Assign a list of arrays to set them.
        """
        return self._dense_arrays("weight")

    @coefs_.setter
    def coefs_(self, arrays: list[Any]) -> None:
        network.set_dense(self.model_, "weight", arrays)

    @property
    def intercepts_(self) -> list[Any]:
        """Biases (units,) of each layer, likewise."""
        return self._dense_arrays("bias")

    @intercepts_.setter
    def intercepts_(self, arrays: list[Any]) -> None:
        network.set_dense(self.model_, "bias", arrays)

    # -- predictions --------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> list[Array]:
        """Return the activated outputs for checked X, on the model's backend, in parts of limited size."""
        model, parts = self.model_, []
        size = eval_batch_size(model.config, model.backend.max_eval_numbers, X)
        for start in range(0, X.shape[0], size):
            rows = model.backend.asarray(dense(X[start : min(start + size, X.shape[0]), ...]))
            with model.backend.activate():
                parts.append(self._activate(model.predict(rows)))
        return parts

    def _host_outputs(self, X: Any) -> np.ndarray:
        return np.concatenate([self.model_.backend.to_numpy(part) for part in self._outputs(X)])

    def _map_outputs(self, X: Any, function: Callable[[Array], Array]) -> Array:
        """Return a function of the outputs, as the same kind of array as X."""
        check_is_fitted(self)
        kind = backends.of(X)
        outputs = self._outputs(check_inputs(self, X, reset=False))
        with self.model_.backend.activate():
            parts = [kind.asarray(function(part)) for part in outputs]
        with kind.activate():
            return parts[0] if len(parts) == 1 else kind.xp.concat(parts, axis=0)

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Return the score, computed on the host, where labels may have any dtype."""
        check_is_fitted(self)
        outputs = self._host_outputs(check_inputs(self, X, reset=False))
        return float(self._score_outputs(to_host(y), outputs, to_host(sample_weight)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # `array_api_support` stays off: it promises to reject arrays of another library than that of `fit`
        return tags


def _float(X: Any, backend: Backend) -> str:
    """Return the dtype to compute in: that of X, or float32 if the backend has no float64."""
    if str(X.dtype).endswith("float32"):
        return "float32"
    try:
        backend.dtype("float64")
    except ValueError:
        return "float32"
    return "float64"

"""Regressor for one or several numbers per example."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from anynet.arrays.namespace import Array, namespace
from anynet.losses import HalfSquaredError, Loss, Poisson
from anynet.metrics import Metric
from anynet.onnx.estimators import regressor_to_onnx
from anynet.sklearn.curves import DataLoss
from anynet.sklearn.losses import HalfPoissonDeviance
from anynet.sklearn.parameters import ATTRIBUTES, CONSTRAINTS, LAST, NETWORK, TRAINING
from anynet.sklearn.rollback import unchanged_on_error
from anynet.sklearn.training import TrainableMLP


class MLPRegressor(RegressorMixin, TrainableMLP):
    __doc__ = f"""scikit-learn's multi-layer perceptron regressor on any array library.

    Parameters
    ----------
    loss : {{"squared_error", "poisson"}} or Loss
        Half the squared error; half the Poisson deviance, with outputs that pass through the exponential function; or a loss
        of anynet with one output per target, such as ``Huber()``, with linear outputs.
    {NETWORK}{TRAINING}{LAST}
    Attributes
    ----------
    {ATTRIBUTES}
    Notes
    -----
    For several outputs, "squared_error" minimizes the sum of the squared errors over the outputs, while `loss_` is their mean, as
    in scikit-learn. With another loss, `loss_` is that loss.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0.0, 1.0, 50)[:, None]
    >>> regressor = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=1000, random_state=0)
    >>> regressor.fit(x, np.sin(6.0 * x[:, 0])).score(x, np.sin(6.0 * x[:, 0])) > 0.98
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "poisson"}), Loss],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
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
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.loss = loss
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
        self.callbacks = callbacks
        self.progress = progress

    # -- targets ------------------------------------------------------------------------------------------------------

    def _fit_targets(self, y: np.ndarray, first: bool, incremental: bool) -> None:
        if not first:
            self._check_targets(y)
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        logarithm = self.loss == "poisson" or (isinstance(self.loss, Poisson) and self.loss.log_input)
        self.out_activation_ = "exp" if logarithm else "identity"

    def _check_targets(self, y: np.ndarray) -> None:
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if outputs != self.n_outputs_:
            raise ValueError(f"y: expected {self.n_outputs_} outputs, as in training, got {outputs}")

    def _encode_targets(self, y: np.ndarray, *, smooth: bool = True) -> np.ndarray:
        return y.reshape(len(y), -1)

    def _make_loss(self) -> Loss:
        if not isinstance(self.loss, Loss):
            return HalfPoissonDeviance() if self.loss == "poisson" else HalfSquaredError()
        shape = (self.n_outputs_,)
        if self.loss.target_shape(shape) != shape:
            raise ValueError(
                f"loss: expected one output per target, got {self.loss}, which takes several; use Model, with a network that "
                "ends in as many outputs"
            )
        return self.loss

    def _metrics(self, loss: Loss) -> list[Metric]:
        return [DataLoss(loss)] if self.loss == "squared_error" and self.n_outputs_ > 1 else []

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch, starting from the current weights.

        Parameters of the estimator may change between calls, except those of the machine and of the sizes of layers. The
        optimizer keeps its state unless it changes too.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            self._fit(X, y, sample_weight, incremental=True)
        return self

    # -- predictions --------------------------------------------------------------------------------------------------

    def _activate(self, z: Array) -> Array:
        return namespace(z).exp(z) if self.out_activation_ == "exp" else z

    def predict(self, X: Any) -> Any:
        """Return the predicted number or numbers of each example.

        Parameters
        ----------
        X : array of any library, data frame or sparse matrix, of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            The same kind of array as X, on its device.
        """
        return self._map_outputs(X, lambda y: y[:, 0] if self.n_outputs_ == 1 else y)

    def to_onnx(self, path: str | Path | None = None, *, opset: int = 18, dtype: str = "float32") -> Any:
        """Convert to ONNX, write a file if a path is given, and return the `onnx.ModelProto`.

        The input ``X`` has shape (N, n_features), and the output ``variable`` (N, n_outputs), also for one output, as in
        sklearn-onnx.

        Parameters
        ----------
        path, opset, dtype
            As for `anynet.onnx.to_onnx`.
        """
        check_is_fitted(self)
        return regressor_to_onnx(self, path, opset=opset, dtype=dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the fraction of the variance of y that is explained; the best value is 1."""
        return self._score(X, y, sample_weight)

    def _score_outputs(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        if not np.isfinite(outputs).all():
            return np.nan
        return r2_score(y, outputs[:, 0] if self.n_outputs_ == 1 else outputs, sample_weight=weight)

"""Constraints of the estimators' parameters, in scikit-learn's form, and their documentation."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from anynet.backends.base import Backend
from anynet.distributed import NAMES, Communicator
from anynet.layers import Layer
from anynet.optimizers import Optimizer
from anynet.sklearn.network import ACTIVATIONS

CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), Layer, tuple, list],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"}), Optimizer],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "backend": [str, Backend, None],
    "device": [str, None],
    "distributed": [StrOptions(set(NAMES)), Communicator, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "dropout": [Interval(Real, 0, 1, closed="left"), tuple, list],
    "batch_norm": ["boolean"],
    "callbacks": [list, tuple, None],
    "progress": ["boolean"],
}

NETWORK = """hidden_layer_sizes : int or sequence of int, in [1, inf)
        Numbers of units of the hidden layers.
    activation : {"identity", "logistic", "tanh", "relu"}, a layer such as ``GELU()``, or a tuple of these
        Activation of all hidden layers, or one per layer.
    """

TRAINING = """solver : {"lbfgs", "sgd", "adam"} or Optimizer
        Optimizer; "lbfgs" is SciPy's L-BFGS-B, ``LBFGS()`` is that of anynet.
    alpha : float, in [0, inf)
        Strength of the L2 penalty α/2 · Σ w², which is divided by the number of examples of a batch.
    batch_size : int, in [1, inf), or "auto"
        Examples per step; "auto" is 200, or all if there are fewer. L-BFGS ignores it.
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule
        Learning rate of "sgd": "invscaling" multiplies the initial rate by ``t_ ** -power_t`` after each epoch, "adaptive"
        divides the rate by 5 when training stops improving. A schedule, a function of the step, also applies to "adam".
    learning_rate_init : float, in (0, inf)
        Initial learning rate of "sgd" and "adam".
    power_t : float, in [0, inf)
        Exponent of "invscaling".
    max_iter : int, in [1, inf)
        Maximum number of epochs, or of iterations of "lbfgs".
    shuffle : bool
        Whether to shuffle the examples in each epoch.
    random_state : int, RandomState or None
        Source of initial weights, held-out examples, orders and dropout; the first three are those of scikit-learn.
    tol : float, in [0, inf)
        Smallest improvement of the loss, or of the score on held-out examples, that counts.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether `fit` continues from the weights of the previous fit.
    momentum, nesterovs_momentum : float, in [0, 1], and bool
        Momentum of "sgd", and whether it is Nesterov momentum.
    early_stopping : bool
        Whether the score on held-out examples instead of the loss determines when to stop; the best weights are kept.
    validation_fraction : float, in (0, 1)
        Fraction of the examples to hold out for early stopping.
    beta_1, beta_2, epsilon : float
        Decay rates and ε of "adam".
    n_iter_no_change : int, in [1, inf)
        Number of epochs without improvement after which training stops.
    max_fun : int, in [1, inf)
        Maximum number of evaluations of the loss by "lbfgs".
    backend : str or Backend, optional
        Backend, such as ``"cupy"`` or ``"torch:cuda"``; by default that of X. Predictions are the same kind of array as X.
    device : str, optional
        The device, if the backend's name does not contain it.
    distributed : {"mpi", "nccl", "torch"} or Communicator, optional
        Processes that train together, each with all of X and y and the same integer `random_state`; see
        `anynet.distributed`. X must be dense. "lbfgs" trains on each process alone.
    dtype : {"float32", "float64"}, optional
        Data type of the computation, by default that of X. On a GPU, use float32.
    dropout : float, in [0, 1), or a tuple of these
        Dropout rate of all hidden layers, or one per layer.
    batch_norm : bool
        Whether to apply batch normalization before each activation.
    """

LAST = """callbacks : list of Callback, optional
        Callbacks to run during training, from `anynet.callbacks`. "lbfgs" ignores them.
    progress : bool
        Whether to show a progress bar.
    """

ATTRIBUTES = """model_ : Model
        The network.
    coefs_, intercepts_ : list of arrays
        Copies of the weights (units, units) and biases (units,) of each layer, as arrays of the library trained on. To
        change them, assign a whole list.
    loss_, best_loss_ : float
        Last and lowest loss; the latter is None with `early_stopping`, and not set with "lbfgs".
    loss_curve_ : list of float
        Loss per epoch; not set with "lbfgs".
    validation_loss_curve_ : list of float, or None
        Loss on validation data per epoch, if there are any.
    validation_scores_, best_validation_score_ : list of float, float
        Scores on validation data with `early_stopping`, otherwise None.
    n_iter_, t_ : int
        Number of epochs or iterations of the last fit; total number of examples processed.
    n_layers_, n_outputs_, n_features_in_ : int
        Numbers of layers (including the input), outputs and features.
    feature_names_in_ : array
        Names of the features, if X has names.
    out_activation_ : str
        Name of the activation function of the outputs.
    """

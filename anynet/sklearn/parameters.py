"""What the parameters of both estimators may be, and what they mean: the constraints that scikit-learn checks, and the text."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from anynet.backends.base import Backend
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
    "dtype": [StrOptions({"float32", "float64"}), None],
    "dropout": [Interval(Real, 0, 1, closed="left"), tuple, list],
    "batch_norm": ["boolean"],
    "callbacks": [list, tuple, None],
    "progress": ["boolean"],
}

NETWORK = """hidden_layer_sizes : int or sequence of int
        Units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, a layer such as ``GELU()``, or a tuple of these
        Of all hidden layers, or of each.
    """

TRAINING = """solver : {"lbfgs", "sgd", "adam"} or an optimiser of anynet
        How the weights are found; "lbfgs" is SciPy's, ``LBFGS()`` anynet's.
    alpha : float >= 0
        Half of it, times the squared weights, divided by the examples of a batch, is added to the loss.
    batch_size : int >= 1 or "auto"
        Examples in a step; "auto" is 200, or all if there are fewer. Not for L-BFGS.
    learning_rate : {"constant", "invscaling", "adaptive"} or a schedule of anynet
        How the rate changes with "sgd": not, by ``t_ ** -power_t`` after each epoch, or by 1/5 when training stands still. A
        schedule, a function of the step, holds for "adam" too.
    learning_rate_init : float > 0
        The first rate, of "sgd" and "adam".
    power_t : float >= 0
        The exponent of "invscaling".
    max_iter : int >= 1
        Epochs, or iterations of "lbfgs", at most.
    shuffle : bool
        Whether each epoch takes the examples in another order.
    random_state : int, RandomState or None
        What first weights, held-out examples, orders and dropout are drawn from; the first three are scikit-learn's.
    tol : float >= 0
        An epoch counts as better if the loss, or the score on what is held out, is better by so much.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether `fit` goes on from where the last one ended.
    momentum, nesterovs_momentum : float in [0, 1], bool
        Of "sgd".
    early_stopping : bool
        Whether the score on held-out examples, not the loss, decides when to stop; the best weights are kept.
    validation_fraction : float in (0, 1)
        The part of the examples that is held out then.
    beta_1, beta_2, epsilon : float
        Of "adam".
    n_iter_no_change : int >= 1
        Epochs without improvement after which training ends.
    max_fun : int >= 1
        Evaluations of the loss, at most, of "lbfgs".
    backend : str or Backend, optional
        Where to compute, such as ``"cupy"`` or ``"torch:cuda"``; where X is, by default. Answers come in the kind of X.
    device : str, optional
        The device, if it is not in the backend's name.
    dtype : {"float32", "float64"}, optional
        Precision of the computation; that of X by default. Take float32 on a GPU.
    dropout : float in [0, 1), or a tuple of these
        The part of the outputs of all hidden layers, or of each, that is dropped in training.
    batch_norm : bool
        Whether to normalise the inputs of each activation.
    """

LAST = """callbacks : list of Callback, optional
        Who is told of each batch and epoch: `anynet.callbacks`. Not with "lbfgs".
    progress : bool
        Whether to show a progress bar.
    """

ATTRIBUTES = """model_ : Model
        The network inside.
    coefs_, intercepts_ : list of arrays
        Weights (units, units) and biases (units,) of each layer, in the kind of array that was trained on. They are copies: to
        change them, assign whole lists.
    loss_, best_loss_ : float
        The last loss, and the lowest; the latter is None with `early_stopping`, and not there with "lbfgs".
    loss_curve_ : list of float
        The loss of each epoch; not there with "lbfgs".
    validation_loss_curve_ : list of float, or None
        The loss on what was held out, where something was.
    validation_scores_, best_validation_score_ : list of float, float
        The score on it with `early_stopping`, else None.
    n_iter_, t_ : int
        Epochs, or iterations, of the last fit; examples seen in all.
    n_layers_, n_outputs_, n_features_in_ : int
        Numbers of layers (inputs count as one), outputs and features.
    feature_names_in_ : array
        Names of the features, where X had names.
    out_activation_ : str
        What the outputs go through.
    """

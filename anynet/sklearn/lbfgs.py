"""``solver="lbfgs"``: SciPy's L-BFGS-B, as in scikit-learn, around gradients that are computed where the model lives.

With the same first weights it takes the same steps as scikit-learn's. The vectors of parameters and gradients come to the
host for each evaluation; ``solver=LBFGS()`` keeps them on the device, and knows dropout, batch normalisation and callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from anynet.sklearn import network


def minimize_loss(
    model: Any, arguments: tuple[Any, ...], *, max_iter: int, max_fun: int, tol: float, each: Callable[[float], None]
) -> tuple[float, int, bool]:
    """Bring the loss of a model on some data to a minimum.

    Parameters
    ----------
    model : Model
        Made of Dense and layers without parameters; its parameters are changed.
    arguments : (x, y, sample_weight)
    max_iter, max_fun : int >= 1
        How many iterations, and evaluations of the loss, there may be.
    tol : float
        Where no number in the gradient is larger, it has converged.
    each : callable
        Told the loss after each iteration, with the model at that point.

    Returns
    -------
    loss, iterations, whether it has converged
    """
    places = network.dense_places(model)
    shapes = [(place, name) for name in ("weight", "bias") for place in places]
    first = model.params

    def tree_of(vector: np.ndarray) -> list[Any]:
        params, start = list(first), 0
        for place, name in shapes:
            shape = tuple(first[place][name].shape)
            stop = start + int(np.prod(shape))
            params[place] = {**params[place], name: vector[start:stop].reshape(shape)}
            start = stop
        return params

    def vector_of(tree: Any) -> np.ndarray:
        arrays = [model.backend.to_numpy(tree[place][name]) for place, name in shapes]
        return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        model.params = tree_of(vector)
        with np.errstate(over="ignore", invalid="ignore"):
            loss, grads = model.gradients(*arguments)
        return float(loss), vector_of(grads)

    def told(intermediate_result: Any) -> None:
        model.params = tree_of(intermediate_result.x)
        each(float(intermediate_result.fun))

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    found = minimize(objective, vector_of(first), jac=True, method="L-BFGS-B", options=options, callback=told)
    model.params = tree_of(found.x)
    return float(found.fun), min(int(found.nit), max_iter), found.status == 0

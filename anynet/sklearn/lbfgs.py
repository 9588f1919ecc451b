"""``solver="lbfgs"``: SciPy's L-BFGS-B, as in scikit-learn, with gradients computed on the model's device.

With the same initial weights it takes the same steps as scikit-learn. Each evaluation copies the vectors of parameters and
gradients to the host; ``solver=LBFGS()`` keeps them on the device, and supports dropout, batch normalization and callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from anynet.sklearn.network import dense_indices

if TYPE_CHECKING:
    from anynet.model import Model


def minimize_loss(
    model: Model,
    arguments: tuple[Any, ...],
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    callback: Callable[[float], None],
) -> tuple[float, int, bool]:
    """Minimize the loss of a model on fixed data.

    Parameters
    ----------
    model : Model
        Network of Dense layers and layers without parameters; its parameters are changed.
    arguments : (x, y, sample_weight)
        Data on the model's backend.
    max_iter, max_fun : int, in [1, inf)
        Maximum numbers of iterations and of evaluations of the loss.
    tol : float
        Largest absolute element of the gradient at which the minimization has converged.
    callback : callable
        Function called with the loss after each iteration; the model then has the parameters of that iteration.

    Returns
    -------
    loss, iterations, whether it has converged
    """
    indices = dense_indices(model)
    shapes = [(index, name) for name in ("weight", "bias") for index in indices]
    first = model.params

    def tree_of(vector: np.ndarray) -> list[Any]:
        params, start = list(first), 0
        for index, name in shapes:
            shape = tuple(first[index][name].shape)
            stop = start + int(np.prod(shape))
            params[index] = {**params[index], name: vector[start:stop].reshape(shape)}
            start = stop
        return params

    def vector_of(params: Any) -> np.ndarray:
        arrays = [model.backend.to_numpy(params[index][name]) for index, name in shapes]
        return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        model.params = tree_of(vector)
        with np.errstate(over="ignore", invalid="ignore"):
            loss, grads = model.gradients(*arguments)
        return float(loss), vector_of(grads)

    def report(intermediate_result: Any) -> None:
        model.params = tree_of(intermediate_result.x)
        callback(float(intermediate_result.fun))

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    found = minimize(objective, vector_of(first), jac=True, method="L-BFGS-B", options=options, callback=report)
    model.params = tree_of(found.x)
    return float(found.fun), min(int(found.nit), max_iter), found.status == 0

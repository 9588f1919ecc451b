r"""Reference results in float64, and limits on the gap to them.

The reference is NumPy in float64 without replayed steps, tiled or compiled rules. A result may differ from it by its
*condition* times the roundoff of its computation:

.. math:: \text{limit} = κ \, u \, \sqrt{n}, \qquad κ = \max\Bigl(1, \frac{\text{relative change of the result}}{δ}\Bigr)

κ is measured: every parameter and input is multiplied by 1 ± δ with random signs, in float64, several times. u is the unit
roundoff of the dtype. n is an upper bound of the number of roundings in a row that contribute to one number, `ROUNDINGS` per
step: ten layers, forward and backward, with sums of fifty terms. Roundings of random sign add up like √n.

References
----------
Higham, Mary (2019), "A new approach to probabilistic rounding error analysis", SIAM Journal on Scientific Computing 41,
theorem 2.4 (the factor √n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anynet import tree
from anynet.backends.base import Backend
from anynet.backends.numpy import NumpyBackend
from anynet.model import Model
from anynet.optimizers import Optimizer
from anynet.selfcheck.cases import EPOCHS, Case

ROUNDINGS = 1000
DELTA = 2.0**-24
TRIALS = 3
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "tf32": 2.0**-11}
TRAINED = f"{EPOCHS} epochs"

Results = dict[str, list[np.ndarray]]
"""The arrays of each quantity, on the host."""


class PlainNumpy(NumpyBackend):
    """NumPy without anything that makes steps faster."""

    compile = Backend.compile
    elementwise = Backend.elementwise


@dataclass(frozen=True, eq=False)
class Reference:
    """The exact results of a case, up to rounding in float64, and their conditions.

    Attributes
    ----------
    params : tree of NumPy arrays
        Initial parameters, float32 numbers.
    results : Results
    conditions : dict of str to list of float
        κ of each array.
    """

    params: tree.Tree
    results: Results
    conditions: dict[str, list[float]]


def make_reference(case: Case) -> Reference:
    """Return the reference of a case."""
    backend = PlainNumpy()
    params = tree.map(
        lambda a: np.asarray(a, np.float32).astype(np.float64), Model.from_config(case.config, backend).params
    )
    results = compute(case, params, backend, "float64")
    conditions = {name: [1.0] * len(arrays) for name, arrays in results.items()}
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)

        def moved(a: Any, rng: np.random.Generator = rng) -> np.ndarray:
            a = np.asarray(a)
            return a if a.dtype.kind in "iu" else a * (1.0 + DELTA * rng.choice([-1.0, 1.0], a.shape))

        near = replace(case, x=moved(case.x))
        for name, arrays in compute(near, tree.map(moved, params), backend, "float64").items():
            changes = [gap(array, exact) / DELTA for array, exact in zip(arrays, results[name], strict=True)]
            conditions[name] = [max(pair) for pair in zip(conditions[name], changes, strict=True)]
    return Reference(params, results, conditions)


def compute(
    case: Case,
    params: tree.Tree,
    backend: Backend,
    dtype: str,
    compute_dtype: str | None = None,
    wrap: Callable[[Optimizer], Optimizer] = lambda optimizer: optimizer,
) -> Results:
    """Return the results of a case on a backend, from the given initial parameters."""
    optimizer = wrap(case.config.required_optimizer)
    config = replace(case.config, dtype=dtype, compute_dtype=compute_dtype, optimizer=optimizer)
    model = Model.from_config(config, backend)
    model.params = params
    found: dict[str, Any] = {}
    if case.is_network:
        found = {"gradients": model.gradients(case.x, case.y), "predictions": model.predict(case.x)}
    losses = model.fit(case.x, case.y, epochs=EPOCHS, batch_size=case.batch_size, progress=False)["loss"]
    found[TRAINED] = np.asarray(losses), model.params
    return {name: [array.astype(np.float64) for array in host_arrays(backend, value)] for name, value in found.items()}


def host_arrays(backend: Backend, values: Any) -> list[np.ndarray]:
    """Return copies of the arrays of a tree, in the same order on every backend."""
    # JAX sorts dictionaries.
    leaves = sorted(tree.leaves_with_paths(values), key=lambda pair: str(pair[0]))
    return [np.array(a if isinstance(a, np.ndarray) else backend.to_numpy(a)) for _, a in leaves]


def gap(array: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest difference, relative to the largest exact number; NaN for NaN."""
    if array.shape != exact.shape:
        raise ValueError(f"check: expected a result of shape {exact.shape}, got {array.shape}")
    if not array.size:
        return 0.0
    scale = float(np.max(np.abs(exact)))
    difference = float(np.max(np.abs(array - exact)))
    return difference / scale if scale else difference


def limits(reference: Reference, case: Case, quantity: str, roundoff: float) -> list[float]:
    """Return the limit on the gap of each array of a quantity."""
    steps = case.steps if quantity == TRAINED else 1
    return [condition * roundoff * (ROUNDINGS * steps) ** 0.5 for condition in reference.conditions[quantity]]

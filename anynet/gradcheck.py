"""Check a hand-derived backward pass against finite differences, in float64.

For each parameter and for the input, ⟨∂L/∂θ, d⟩ from `backward` is compared with a central difference of
L = ⟨v, forward⟩ along a random direction d. One number per array suffices: the error of a wrong gradient is orthogonal to a
random direction with probability zero.

>>> from anynet import Dense
>>> import numpy as np
>>> check_gradients(Dense(3), np.ones((4, 2))).worst < 1e-7
True
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import backends, random, tree
from anynet.backends.base import Backend
from anynet.checks import is_multi
from anynet.layers import Identity
from anynet.layers.base import Layer
from anynet.losses.base import Loss
from anynet.names.constructors import explained

if TYPE_CHECKING:
    from anynet.model import Model

TRIES = 5
"""Maximum number of directions tried while two step sizes disagree, as across a kink; each try divides the step by 4."""

ROUNDING = 5e-11
"""Rounding error of a difference quotient relative to the size of its terms, about ten times 2⁻⁵² over the step.

Without it, a gradient of exactly zero, such as that of a bias before batch normalization, would fail."""


class GradientError(AssertionError):
    """Mismatch between a backward pass and its forward pass."""


@dataclass(frozen=True)
class GradientReport:
    """Relative error of each gradient, by name of the parameter or input."""

    errors: dict[str, float]

    @property
    def worst(self) -> float:
        """Largest relative error."""
        return max(self.errors.values(), default=0.0)

    def __str__(self) -> str:
        width = max(map(len, self.errors), default=0)
        return "\n".join(f"{name.ljust(width)}  {error:.1e}" for name, error in self.errors.items())


@explained
def check_gradients(
    subject: Layer | Loss | Model,
    x: Any,
    y: Any = None,
    *,
    tolerance: float = 1e-7,
    training: bool = True,
    seed: int = 0,
    backend: str | Backend | None = None,
) -> GradientReport:
    """Compare the gradients of a layer, loss or model with finite differences.

    Parameters
    ----------
    subject : Layer, Loss or Model
        A layer gets initial parameters with random perturbations, because zeros and ones would hide a missing factor in
        backward. A model is checked with its own parameters and is not changed.
    x : array (N, ...), or tuple of arrays
        Inputs, converted to float64; for a loss, the outputs y_pred.
    y : array
        Targets, required for a model and a loss.
    tolerance : float, in (0, inf)
        Maximum relative error.
    training : bool
        Whether to pass a key, as in training; dropout then uses the same mask in every evaluation.
    seed : int
        Seed of the parameters, directions and key.
    backend : str or Backend, optional
        Backend to compute on; by default the model's, or that of x.

    Returns
    -------
    GradientReport
        Relative errors of all parameters and, for a layer, of x.

    Raises
    ------
    GradientError
        If an error exceeds the tolerance, or a trained parameter or x has no gradient, or one of another dtype; the message
        names the layer and parameter.
    ValueError
        If the backend has no float64.
    """
    if backend is not None:
        where = backends.get(backend)
    elif isinstance(subject, (Layer, Loss)):
        where = backends.of(tree.leaves(x)[0] if isinstance(x, tuple) else x)
    elif hasattr(subject, "backend"):
        where = subject.backend
    else:
        got = f"the class {subject.__name__}; write it with parentheses" if isinstance(subject, type) else repr(subject)
        raise TypeError(f"check_gradients: expected a Layer, a Loss or a Model, got {got}")
    with where.activate():
        return _compare(subject, x, y, where, tolerance, training, seed)


def _compare(
    subject: Layer | Loss | Model, x: Any, y: Any, backend: Backend, tolerance: float, training: bool, seed: int
) -> GradientReport:
    """Return the errors of the gradients on a backend; raise at the first that is too large."""
    rng = np.random.default_rng(seed)
    layer = Identity() if isinstance(subject, Loss) else subject if isinstance(subject, Layer) else subject.layer
    dtype, training_key = backend.dtype("float64"), backend.asarray(random.make_key(seed))
    inputs = _inputs(x, layer.integer_input, backend)
    if isinstance(subject, (Layer, Loss)):
        params = layer.init(rng, tree.map_arrays(lambda a: tuple(a.shape[1:]), inputs))[0]
        trained = layer.trainable(params)
        params = tree.set_leaves(params, iter([_moved(a, rng) for a in tree.leaves(trained)]), like=trained)
    else:
        params = tree.map(subject.backend.to_numpy, subject.state.params)
    params = tree.map(lambda a: backend.asarray(a, dtype), params)
    if isinstance(subject, Layer):
        objective = _layer_objective(layer, backend, rng)
        params = layer.update_buffers(params, layer.forward(params, inputs, key=training_key)[1])
    else:
        loss = subject if isinstance(subject, Loss) else subject.config.required_loss
        shape = tree.map_arrays(lambda a: tuple(a.shape[1:]), inputs) if loss is subject else subject.output_shape  # type: ignore[union-attr]
        objective = _loss_objective(layer, loss, shape, backend, y)
    key = training_key if training else None

    _, scale, gradients = objective(params, inputs, key)
    noise = ROUNDING * scale / tolerance

    def name(path: tree.Path) -> str:
        if isinstance(subject, Loss):
            return ".".join([f"{type(subject).__name__}: y_pred", *map(str, path[1:])])
        return _name(layer, path if path[0] == "x" else path[1:])

    _check_complete(name, layer, {"params": layer.trainable(params), "x": inputs}, gradients)
    errors = {}
    for path, gradient in tree.leaves_with_paths(gradients):
        label = name(path)
        errors[label] = _relative_error(
            objective, {"params": params, "x": inputs}, path, gradient, key, backend, rng, label, noise
        )
        if not errors[label] <= tolerance:
            raise GradientError(
                f"{label}: expected a relative error of at most {tolerance:g} against finite differences, got "
                f"{errors[label]:.1e}; backward does not match forward"
            )
    return GradientReport(errors)


def _check_complete(name: Callable[[tree.Path], str], layer: Layer, places: Any, gradients: Any) -> None:
    """Raise GradientError unless each trained parameter and each input of numbers has a gradient."""
    flags = layer.integer_input
    integers = {("x", i) for i, flag in enumerate(flags) if flag} if isinstance(flags, tuple) else set()
    expected = {path for path, _ in tree.leaves_with_paths(places)} - integers
    given = {path for path, _ in tree.leaves_with_paths(gradients)}
    if flags and not isinstance(flags, tuple):
        expected, given = ({path for path in paths if path[0] != "x"} for paths in (expected, given))
    if expected != given:
        odd = min(expected ^ given, key=str)
        raise GradientError(
            f"{name(odd)}: expected a gradient for the input, each trained parameter and no other, got "
            f"{'none' if odd in expected else 'an extra one'}"
        )


def _inputs(x: Any, integers: Any, backend: Backend) -> Any:
    """Return the inputs on the backend, as float64 or as required integers."""
    if isinstance(x, tuple):
        flags = integers if isinstance(integers, tuple) else (integers,) * len(x)
        return tuple(_inputs(a, flag, backend) for a, flag in zip(x, flags, strict=True))
    host = backends.to_numpy(x)
    return backend.asarray(host if integers else host.astype(np.float64))


Objective = Callable[[Any, Any, Any], tuple[float, float, dict[str, Any]]]
"""A function of params, x and key that returns a value, the size of the terms in its sum, and its gradients."""


def _layer_objective(layer: Layer, backend: Backend, rng: np.random.Generator) -> Objective:
    """Return an objective ⟨v, forward⟩ with a fixed random v."""
    v: Any = None

    def objective(params: Any, x: Any, key: Any) -> tuple[float, float, dict[str, Any]]:
        nonlocal v
        y, cache = layer.forward(params, x, key=key)
        if v is None:
            v = tree.map(lambda a: backend.asarray(rng.normal(size=a.shape)), y)
        dx, grads = layer.backward(params, cache, v)
        terms = [a * b for a, b in zip(tree.leaves(y), tree.leaves(v), strict=True)]
        xp = backend.xp
        value, size = (sum(float(xp.sum(f(t))) for t in terms) for f in (lambda t: t, xp.abs))
        return value, size, {"params": grads, "x": dx}

    return objective


def _loss_objective(layer: Layer, loss: Loss, output_shape: Any, backend: Backend, y: Any) -> Objective:
    """Return the loss of the outputs of a layer as an objective."""
    if y is None:
        raise ValueError("check_gradients: expected y for a model or a loss, got None")
    several = is_multi(loss.target_shape(output_shape))
    placed = (
        tree.map(lambda a: backend.asarray(backends.to_numpy(a)), y)
        if several
        else backend.asarray(backends.to_numpy(y))
    )
    targets = loss.targets(placed, output_shape, backend.dtype("float64"))
    loss.check_values(targets, output_shape)

    def objective(params: Any, x: Any, key: Any) -> tuple[float, float, dict[str, Any]]:
        y_pred, cache = layer.forward(params, x, key=key)
        value, loss_cache = loss.forward(targets, y_pred)
        dx, grads = layer.backward(params, cache, loss.backward(loss_cache))
        return float(value), abs(float(value)), {"params": grads, "x": dx}

    return objective


def _relative_error(
    objective: Objective,
    at: dict[str, Any],
    path: tree.Path,
    gradient: Any,
    key: Any,
    backend: Backend,
    rng: np.random.Generator,
    label: str,
    noise: float,
) -> float:
    """Return |analytic − numeric| over their size, along a random direction that crosses no kink.

    With many units the nearest kink is close, so if two step sizes disagree, the next try uses smaller steps. The result is
    that of the try with the best agreement. `noise` is the smallest size that exceeds rounding errors.
    """
    place = tree.get(at, path)
    if gradient.dtype != place.dtype:
        raise GradientError(f"{label}: expected a gradient of dtype {place.dtype}, as its input, got {gradient.dtype}")
    if tuple(gradient.shape) != tuple(place.shape):
        raise GradientError(f"{label}: expected a gradient of shape {tuple(place.shape)}, got {tuple(gradient.shape)}")
    scale = max(float(backend.xp.max(backend.xp.abs(place))), 1e-2) if math.prod(place.shape) else 1.0
    error, spread = 0.0, math.inf
    for attempt in range(TRIES):
        direction = backend.asarray(rng.normal(size=tuple(place.shape)) * scale)
        h = 1e-4 * 4.0**-attempt

        def along(step: float, direction: Any = direction) -> float:
            moved = tree.set_leaves(at, iter([place + step * direction]), like=_only(at, path))
            return objective(moved["params"], moved["x"], key)[0]

        def slope(h: float, along: Callable[[float], float] = along) -> float:
            """Return the five-point difference quotient, with an error of order h⁴."""
            return (8.0 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12.0 * h)

        numeric, finer = slope(h), slope(h / 2)
        analytic = float(backend.xp.sum(gradient * direction))
        size = max(abs(analytic), abs(finer), _magnitude(gradient, direction, backend), noise, 1e-8)
        if not abs(numeric - finer) >= spread * size:  # also true for NaN, which must not count as an error of zero
            spread = abs(numeric - finer) / size
            error = min(abs(analytic - numeric), abs(analytic - finer)) / size
        if spread <= 1e-8:
            break
    return error


def _moved(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an initial value plus uniform noise on ±0.1."""
    return array + rng.uniform(-0.1, 0.1, array.shape)


def _magnitude(gradient: Any, direction: Any, backend: Backend) -> float:
    """Return |g|·|d|/√n, the typical size of ⟨g, d⟩ without chance cancellation."""
    xp = backend.xp
    norms = float(xp.sum(gradient * gradient)) ** 0.5 * float(xp.sum(direction * direction)) ** 0.5
    return norms / max(math.prod(direction.shape), 1) ** 0.5


def _only(at: Any, path: tree.Path) -> Any:
    """Return a tree with a single leaf, for `tree.set_leaves`."""
    if not path:
        return 0
    if isinstance(at, (list, tuple)):
        return type(at)(_only(part, path[1:]) if i == path[0] else None for i, part in enumerate(at))
    return {path[0]: _only(at[path[0]], path[1:])}


def _name(layer: Layer, path: tree.Path) -> str:
    """Return the name of a parameter with its layer, such as ``layer 0 (Dense): weight``."""
    here, trail = layer, []
    rest = list(path)
    while rest:
        inside: dict[Any, Layer] = dict(here.children())
        if rest[0] not in inside:
            break
        trail.append(str(rest[0]))
        here = inside[rest.pop(0)]
    place = f"layer {'.'.join(trail)} ({type(here).__name__})" if trail else type(here).__name__
    return f"{place}: {'.'.join(map(str, rest))}"

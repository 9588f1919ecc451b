"""Shared test helpers: place, fetch and compare trees of arrays; generate inputs; differentiate automatically."""

import numpy as np

import anynet
from anynet import tree
from anynet.random import make_key

PUBLIC = {name: getattr(anynet, name) for name in anynet.__all__} | {"Given": anynet.initializers.Given}
"""Every public name and `Given`, for ``eval`` of a repr."""


def place(backend, values, dtype="float64"):
    """Copy a tree of host arrays to a backend, with floats in the given dtype."""

    def one(a):
        a = np.asarray(a)
        return backend.asarray(a, backend.dtype(dtype) if a.dtype.kind == "f" else None)

    return tree.map(one, values)


def fetch(backend, values):
    """Return a tree of a backend's arrays as copies on the host."""
    return tree.map(lambda a: np.array(backend.to_numpy(a)), values)


def halves(backend):
    """Return the names of a backend's floating-point dtypes of 16 bits."""
    return [name for name in ("float16", "bfloat16") if hasattr(backend.xp, name)]


def cast(backend, values, dtype):
    """Return a tree of a backend's arrays with its floats in a dtype."""
    xp = backend.xp
    return tree.map(lambda a: xp.astype(a, dtype) if xp.isdtype(a.dtype, "real floating") else a, values)


def assert_close(actual, expected, *, rtol, atol=0.0):
    """Assert equal paths and shapes, and values within `rtol` times each array's maximum."""
    given, wanted = dict(tree.leaves_with_paths(actual)), dict(tree.leaves_with_paths(expected))
    assert given.keys() == wanted.keys()
    for path, array in wanted.items():
        scale = float(np.max(np.abs(array))) if np.asarray(array).size else 0.0
        assert np.shape(given[path]) == np.shape(array), tree.name(path)
        np.testing.assert_allclose(
            given[path], array, rtol=0, atol=rtol * scale + atol, err_msg=tree.name(path), equal_nan=False
        )


def assert_same(actual, expected):
    """Assert that trees of host arrays are equal bit for bit, including dtypes."""
    given, wanted = dict(tree.leaves_with_paths(actual)), dict(tree.leaves_with_paths(expected))
    assert given.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(given[path], array, err_msg=tree.name(path), strict=True)


# Inputs ---------------------------------------------------------------------------------------------------------------


def away_from_zero(rng, shape):
    """Return numbers at least 0.1 away from zero, where many layers have a kink."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 1.5, shape)


def away_from(*kinks):
    """Return a generator of inputs that are at least 0.05 from each kink."""

    def make(rng, shape):
        x = rng.uniform(min(kinks) - 2.0, max(kinks) + 2.0, shape)
        for kink in kinks:
            x = np.where(np.abs(x - kink) < 0.05, kink + 0.1, x)
        return x

    return make


def indices(count):
    """Return a generator of integer inputs in [0, count)."""
    return lambda rng, shape: rng.integers(0, count, shape)


def key(seed=0):
    """Return a random key on the host; passing one to a layer means training."""
    return make_key(seed)


# Automatic differentiation of the layers' forward pass, an independent reference for backward -------------------------


def torch_vjp(f, at, v):
    """Return ``f(at)`` and the gradient of ⟨v, f(at)⟩ by torch; None for unused arrays."""
    import torch

    from anynet.backends.torch import TorchBackend

    backend = TorchBackend()
    at = place(backend, at)
    floats = [a.requires_grad_() for a in tree.leaves(at) if a.dtype.is_floating_point]
    y = f(at)
    found = iter(torch.autograd.grad(y, floats, torch.asarray(v), allow_unused=True))
    grads = tree.map(lambda a: next(found) if a.dtype.is_floating_point else None, at)
    return y.detach().numpy(), fetch(backend, grads)


def jax_vjp(f, at, v):
    """Return ``f(at)`` and the gradient of ⟨v, f(at)⟩ by JAX; `at` is a tree of host arrays."""
    import jax

    from anynet.backends.jax import JaxBackend

    backend = JaxBackend()
    at = place(backend, at)
    places = [path for path, a in tree.leaves_with_paths(at) if a.dtype.kind == "f"]

    def of_floats(*floats):
        new = iter(floats)
        return f(tree.map(lambda a: next(new) if a.dtype.kind == "f" else a, at))

    y, vjp = jax.vjp(of_floats, *(tree.get(at, path) for path in places))
    found = iter(vjp(backend.asarray(v)))
    grads = tree.map(lambda a: next(found) if a.dtype.kind == "f" else None, at)
    return np.asarray(y), fetch(backend, grads)

"""anynet's layers as functions that JAX differentiates.

>>> import jax
>>> import numpy as np
>>> from anynet import Dense, ReLU, Sequential
>>> from anynet.interop.jax import function
>>> network = Sequential([Dense(64), ReLU(), Dense(10)])
>>> params, _ = network.init(np.random.default_rng(0), (784,))
>>> f = jax.jit(function(network))
>>> f(params, np.ones((32, 784), np.float32)).shape
(32, 10)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

if importlib.util.find_spec("jax") is None:
    raise ModuleNotFoundError(
        "anynet.interop.jax: expected the package jax to be installed, got none; run: pip install jax", name="jax"
    )

import jax
import jax.numpy as jnp

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.layers import Layer
from anynet.layers.containers import as_layer

__all__ = ["function"]


def function(layers: Sequence[Layer] | Layer, *, buffers: bool = False) -> Callable[..., Any]:
    """Return ``f(params, x, key=None) -> y``, which JAX differentiates by the backward passes of the layers.

    It is a pure function with a ``jax.custom_vjp``, for use with ``jax.jit``, ``grad``, ``vmap``, ``lax.scan`` and
    ``checkpoint``.

    Parameters
    ----------
    layers : list of Layer, or Layer
        A list becomes a `Sequential`.
    buffers : bool
        Whether to return ``(y, params)``, where `params` has the running statistics that a training pass moved. They have no
        derivative; the other parameters are those that were passed.

    Returns
    -------
    callable
        A function of `params`, a tree of arrays as returned by ``layer.init`` or ``model.params``; `x`, an array or a tuple of
        arrays; and `key`, the randomness of a training pass, from `anynet.random` or ``jax.random``. Without a key, layers run
        in inference mode.

    Raises
    ------
    TypeError
        If `layers` are not layers, or a key is not a key of two words.

    Notes
    -----
    Gradients have the structure of `params`, with zeros for running statistics and frozen parameters. Integers have gradients
    of the dtype ``float0``, as everywhere in JAX. Higher derivatives are JAX's own, of the layers' forward and backward passes.
    Forward mode (``jax.jvp``) is not defined, and raises JAX's TypeError.

    Parameters keep their dtype. ``layer.init`` draws in float64, which JAX converts to float32 unless 64 bits are enabled.

    Examples
    --------
    >>> from anynet import Dense
    >>> f = function(Dense(1, weight=[[2.0]]))
    >>> params, _ = Dense(1, weight=[[2.0]]).init(None, (1,))
    >>> jax.grad(lambda params, x: f(params, x).sum())(params, jnp.ones((3, 1)))["weight"].item()
    3.0
    """
    layer = as_layer(layers)

    @jax.custom_vjp
    def run(params: Any, x: Any, key: Array | None) -> tuple[Any, Any]:
        return forward(params, x, key)[0]

    def forward(params: Any, x: Any, key: Array | None) -> tuple[Any, Any]:
        y, cache = layer.forward(params, x, key=key)
        moved = layer.update_buffers(params, cache) if buffers and key is not None else None
        return (y, moved), (params, cache, x)

    def backward(residuals: Any, dy: Any) -> tuple[Any, Any, None]:
        params, cache, x = residuals
        dx, grads = layer.backward(params, cache, dy[0])
        none = tree.map(lambda a: None, params)  # stands for zeros, of whatever dtype JAX requires
        return tree.set_leaves(none, iter(tree.leaves(grads)), like=grads), _only_floats(dx, x), None

    run.defvjp(forward, backward)

    def f(params: Any, x: Any, key: Array | None = None) -> Any:
        params, x = jax.tree.map(jnp.asarray, (params, x))
        y, moved = run(params, x, None if key is None else _as_key(key))
        if not buffers:
            return y
        moved = jax.lax.stop_gradient(params if moved is None else moved)
        trained = layer.trainable(params)
        return y, tree.set_leaves(moved, iter(tree.leaves(trained)), like=trained)

    return f


def _only_floats(dx: Any, x: Any) -> Any:
    """Return the gradients of the inputs, None for integers."""
    if dx is None:
        return None
    if isinstance(x, tuple):
        return tuple(_only_floats(part, one) for part, one in zip(dx, x, strict=True))
    return dx if jnp.issubdtype(x.dtype, jnp.floating) else None


def _as_key(key: Any) -> Array:
    """Return a key of two int32 words; those of ``jax.random`` have other types and the same bits."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    key = jnp.asarray(key)
    if key.shape != (2,) or key.dtype not in (jnp.int32, jnp.uint32):
        raise TypeError(
            f"function: expected a key of two 32-bit words, as from anynet.random.make_key or jax.random.key, got {key.dtype} "
            f"of shape {key.shape}"
        )
    return jax.lax.bitcast_convert_type(key, jnp.int32)

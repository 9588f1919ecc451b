"""Batch normalization over the batches of all processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from array_api_compat import device

from anynet.arrays.fused import affine
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.layers import BatchNorm, Frozen
from anynet.layers.base import Cache, Grads, Key, Layer, Params
from anynet.layers.hooks import map_layers
from anynet.tree import Path


@dataclass(frozen=True)
class SynchronizedBatchNorm(BatchNorm):
    """Normalize each channel over the examples of all processes.

    Two sums in the forward pass, Σ x with the number of values, then Σ (x − μ)²; one in the backward pass, of ∂L/∂w and ∂L/∂b.

    Parameters
    ----------
    total : callable
        Function that sums an array over all processes.

    Notes
    -----
    See `BatchNorm`. A process may have no examples. The gradients are those of its own examples, whose sum over all processes
    is that of the batch. Cache: that of `BatchNorm`, and the number of values M of the batch.
    """

    total: Callable[[Array], Array] = field(kw_only=True, repr=False)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        if key is None:
            y, cache = super().forward(params, x)
            return y, (cache, None)
        xp, wide = namespace(x), widened(x)
        axes = tuple(range(x.ndim - 1))
        own = xp.full((1,), float(math.prod(x.shape[:-1])), dtype=wide.dtype, device=device(x))
        sums = self.total(xp.concat([xp.sum(wide, axis=axes), own]))
        count = sums[-1]
        mean = sums[:-1] / count
        centered = wide - mean
        variance = self.total(xp.sum(centered * centered, axis=axes)) / count
        scale = (variance + self.epsilon) ** -0.5
        unbiased = variance * (count / xp.maximum(count - 1.0, 1.0))
        x_hat = narrowed(centered * scale, x.dtype)
        return affine(x_hat, params["weight"], params["bias"]), ((x_hat, scale, mean, unbiased), count)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        inner, count = cache
        if count is None:
            return super().backward(params, inner, dy, need_dx=need_dx)
        (x_hat, scale, _, _), xp = inner, namespace(dy)
        axes, wide = tuple(range(dy.ndim - 1)), widened(dy)
        weight, bias = xp.sum(wide * x_hat, axis=axes), xp.sum(wide, axis=axes)
        grads = {"weight": narrowed(weight, dy.dtype), "bias": narrowed(bias, dy.dtype)}
        if not need_dx:
            return None, grads
        sums = self.total(xp.concat([weight, bias])) / count
        channels = weight.shape[0]
        dx = (wide - sums[channels:] - x_hat * sums[:channels]) * (params["weight"] * scale)
        return narrowed(dx, dy.dtype), grads

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return super().update_buffers(params, cache[0])


def synchronized(layer: Layer, total: Callable[[Array], Array]) -> Layer:
    """Return an equal network whose `BatchNorm` layers are synchronized, except frozen ones; itself without any."""

    def replace(part: Layer, path: Path) -> Layer:
        if type(part) is not BatchNorm:
            return part
        arguments: dict[str, Any] = {f.name: getattr(part, f.name) for f in fields(part)}
        return SynchronizedBatchNorm(**arguments, total=total)

    return map_layers(layer, replace, but=Frozen)

"""Layers that normalize their input and then apply a learned scale and shift.

===========  ===============================================  ==========================
layer        statistics over                                  at inference
===========  ===============================================  ==========================
`BatchNorm`  the batch (and all positions), per channel       running averages instead
`LayerNorm`  the channels, per example (and position)         the same
`RMSNorm`    as `LayerNorm`, without the mean                 the same
===========  ===============================================  ==========================

Legend: N batch, C features or channels, always the last axis; M = N · positions, the values in a mean over the batch.
Derivations: docs/derivations/batch-normalization.md and layer-normalization.md.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.fused import affine
from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.checks import check_number
from anynet.initializers import Constant, Zeros, as_initializer
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape, init_param, last_axis
from anynet.layers.normalization_formulas import (
    batch_dx,
    centered_and_squares,
    layer_dx,
    moved,
    rms_dx,
    scale_and_unbiased,
    weighted,
)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalize each channel over the batch; at inference, by running averages.

    .. math::

        \\hat x = \\frac{x - μ}{\\sqrt{σ^2 + ε}}, \\qquad y = w ⊙ \\hat x + b, \\qquad
        \\frac{∂L}{∂w} = \\sum_m \\frac{∂L}{∂y_m} \\hat x_m, \\quad \\frac{∂L}{∂b} = \\sum_m \\frac{∂L}{∂y_m}

    In training, μ and σ² = (1/M) Σ (x − μ)² depend on x; at inference they do not:

    .. math::

        \\frac{∂L}{∂x} = \\frac{w}{\\sqrt{σ^2 + ε}} ⊙
        \\begin{cases}
        \\frac{∂L}{∂y} - \\frac1M \\frac{∂L}{∂b} - \\frac1M \\hat x \\frac{∂L}{∂w} & \\text{training} \\\\
        \\frac{∂L}{∂y} & \\text{inference}
        \\end{cases}

    Parameters
    ----------
    momentum : float, in [0, 1]
        Weight of a batch in the running averages: running ← running + momentum · (batch − running). This is PyTorch's
        convention; Keras' momentum is 1 minus this.
    epsilon : float, in (0, inf)
        ε.
    weight, bias : Initializer or array
        w and b, of shape (C,).

    Notes
    -----
    Input and output (N, C) or (N, ..., C). Buffers: `running_mean` and `running_var`, of shape (C,). As in PyTorch, the
    running variance averages the unbiased M/(M − 1) σ², while the batch is normalized by σ². A batch with M = 1, for which
    PyTorch raises, has variance 0 and output b.
    Cache: x̂, 1/√(σ² + ε), and in training the mean and unbiased variance of the batch.

    Raises
    ------
    ValueError
        If the input has no channel axis, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = BatchNorm()
    >>> params, _ = layer.init(np.random.default_rng(0), (1,))
    >>> x = np.array([[1.0], [3.0]])
    >>> y, cache = layer.forward(params, x, key=np.zeros(2, np.int32))  # a key means training
    >>> y.round(3).tolist(), layer.forward(params, x)[0].round(3).tolist()
    ([[-1.0], [1.0]], [[1.0], [3.0]])
    >>> print(layer.update_buffers(params, cache)["running_mean"])
    [0.2]

    References
    ----------
    Ioffe, Szegedy (2015), "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    algorithms 1 and 2.
    """

    uses_key: ClassVar[bool] = False
    buffers: ClassVar[tuple[str, ...]] = ("running_mean", "running_var")
    mixes_positions: ClassVar[bool] = True

    _: KW_ONLY
    momentum: float = 0.1
    epsilon: float = 1e-5
    weight: Any = Constant(1.0)
    bias: Any = Zeros()

    def __post_init__(self) -> None:
        check_number("BatchNorm", "momentum", self.momentum, "[0, 1]")
        check_number("BatchNorm", "epsilon", self.epsilon, "(0, inf)")
        object.__setattr__(self, "weight", as_initializer(self.weight, "BatchNorm: weight"))
        object.__setattr__(self, "bias", as_initializer(self.bias, "BatchNorm: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (last_axis("BatchNorm", input_shape),)
        params = {
            "weight": init_param("BatchNorm: weight", self.weight, rng, shape),
            "bias": init_param("BatchNorm: bias", self.bias, rng, shape),
            "running_mean": init_param("BatchNorm: running_mean", Zeros(), rng, shape),
            "running_var": init_param("BatchNorm: running_var", Constant(1.0), rng, shape),
        }
        return params, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        count = math.prod(x.shape[:-1])
        if key is None or count == 0:  # no examples have no statistics
            scale = (params["running_var"] + self.epsilon) ** -0.5
            x_hat = (x - params["running_mean"]) * scale
            return params["weight"] * x_hat + params["bias"], (x_hat, scale, None, None)
        axes, wide = tuple(range(x.ndim - 1)), widened(x)
        mean = xp.mean(wide, axis=axes)  # (C,)
        centered, squares = centered_and_squares(wide, mean)
        variance = xp.mean(squares, axis=axes)
        scale, unbiased = scale_and_unbiased(variance, self.epsilon, count / max(count - 1, 1))
        x_hat = narrowed(centered * scale, x.dtype)
        return affine(x_hat, params["weight"], params["bias"]), (x_hat, scale, mean, unbiased)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        (x_hat, scale, mean, _), xp = cache, namespace(dy)
        axes, wide = tuple(range(dy.ndim - 1)), widened(dy)
        weight, bias = xp.sum(wide * x_hat, axis=axes), xp.sum(wide, axis=axes)
        grads = {"weight": narrowed(weight, dy.dtype), "bias": narrowed(bias, dy.dtype)}
        if not need_dx:
            return None, grads
        if mean is None:
            return narrowed(wide * (params["weight"] * scale), dy.dtype), grads
        share = 1.0 / math.prod(dy.shape[:-1])  # in training the statistics depend on x
        return narrowed(batch_dx(wide, x_hat, weight, bias, params["weight"], scale, share), dy.dtype), grads

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        _, _, mean, variance = cache
        if mean is None:
            return params
        old_mean, old_var = params["running_mean"], params["running_var"]
        return {
            **params,
            "running_mean": narrowed(moved(old_mean, mean, self.momentum), old_mean.dtype),
            "running_var": narrowed(moved(old_var, variance, self.momentum), old_var.dtype),
        }


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalize each example, at each position, over its channels.

    .. math::

        \\hat x = \\frac{x - μ}{\\sqrt{σ^2 + ε}}, \\quad y = w ⊙ \\hat x + b, \\qquad
        \\frac{∂L}{∂x} = \\frac{1}{\\sqrt{σ^2 + ε}} ⊙ \\Big(g - \\overline{g} - \\hat x\\, \\overline{g ⊙ \\hat x}\\Big),
        \\quad g = w ⊙ \\frac{∂L}{∂y}

    with means (the bars, μ and σ²) over the C channels; ∂L/∂w = Σ ∂L/∂y ⊙ x̂ and ∂L/∂b = Σ ∂L/∂y over all other axes.

    Parameters
    ----------
    epsilon : float, in (0, inf)
        ε.
    weight, bias : Initializer or array
        w and b, of shape (C,).

    Notes
    -----
    Input and output (N, C) or (N, ..., C), as in PyTorch's `LayerNorm(C)`. Cache: x̂ (N, ..., C) and 1/√(σ² + ε) (N, ..., 1).

    Raises
    ------
    ValueError
        If the input has no channel axis, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = LayerNorm()
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[1.0, 3.0]]))[0].round(3)
    array([[-1.,  1.]])

    References
    ----------
    Ba, Kiros, Hinton (2016), "Layer normalization", eq. 3.
    """

    uses_key: ClassVar[bool] = False

    _: KW_ONLY
    epsilon: float = 1e-5
    weight: Any = Constant(1.0)
    bias: Any = Zeros()

    def __post_init__(self) -> None:
        check_number("LayerNorm", "epsilon", self.epsilon, "(0, inf)")
        object.__setattr__(self, "weight", as_initializer(self.weight, "LayerNorm: weight"))
        object.__setattr__(self, "bias", as_initializer(self.bias, "LayerNorm: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (last_axis("LayerNorm", input_shape),)
        weight = init_param("LayerNorm: weight", self.weight, rng, shape)
        return {"weight": weight, "bias": init_param("LayerNorm: bias", self.bias, rng, shape)}, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        wide = widened(x)
        centered, squares = centered_and_squares(wide, xp.mean(wide, axis=-1, keepdims=True))
        scale = (xp.mean(squares, axis=-1, keepdims=True) + self.epsilon) ** -0.5
        x_hat = narrowed(centered * scale, x.dtype)
        return affine(x_hat, params["weight"], params["bias"]), (x_hat, scale)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        (x_hat, scale), xp = cache, namespace(dy)
        axes, wide = tuple(range(dy.ndim - 1)), widened(dy)
        weight, bias = xp.sum(wide * x_hat, axis=axes), xp.sum(wide, axis=axes)
        grads = {"weight": narrowed(weight, dy.dtype), "bias": narrowed(bias, dy.dtype)}
        if not need_dx:
            return None, grads
        g, products = weighted(wide, params["weight"], x_hat)
        mean, along = xp.mean(g, axis=-1, keepdims=True), xp.mean(products, axis=-1, keepdims=True)
        return narrowed(layer_dx(g, mean, x_hat, along, scale), dy.dtype), grads


@dataclass(frozen=True)
class RMSNorm(Layer):
    """Scale each example, at each position, to root mean square 1 over its channels.

    .. math::

        \\hat x = \\frac{x}{\\sqrt{\\overline{x^2} + ε}}, \\quad y = w ⊙ \\hat x, \\qquad
        \\frac{∂L}{∂x} = \\frac{1}{\\sqrt{\\overline{x^2} + ε}} ⊙ \\Big(g - \\hat x\\, \\overline{g ⊙ \\hat x}\\Big),
        \\quad g = w ⊙ \\frac{∂L}{∂y}

    with means over the C channels; ∂L/∂w = Σ ∂L/∂y ⊙ x̂ over all other axes.

    Parameters
    ----------
    epsilon : float, in (0, inf)
        ε. PyTorch's default is the machine epsilon of the dtype.
    weight : Initializer or array
        w, of shape (C,).

    Notes
    -----
    Input and output (N, C) or (N, ..., C). Cache: x̂ (N, ..., C) and 1/√(mean x² + ε) (N, ..., 1).

    Raises
    ------
    ValueError
        If the input has no channel axis, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = RMSNorm()
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[1.0, 7.0]]))[0].round(3)
    array([[0.2, 1.4]])

    References
    ----------
    Zhang, Sennrich (2019), "Root mean square layer normalization", eq. 4.
    """

    uses_key: ClassVar[bool] = False

    _: KW_ONLY
    epsilon: float = 1e-5
    weight: Any = Constant(1.0)

    def __post_init__(self) -> None:
        check_number("RMSNorm", "epsilon", self.epsilon, "(0, inf)")
        object.__setattr__(self, "weight", as_initializer(self.weight, "RMSNorm: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (last_axis("RMSNorm", input_shape),)
        return {"weight": init_param("RMSNorm: weight", self.weight, rng, shape)}, input_shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        xp = namespace(x)
        wide = widened(x)
        scale = (xp.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon) ** -0.5
        x_hat = narrowed(wide * scale, x.dtype)
        return params["weight"] * x_hat, (x_hat, scale)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        (x_hat, scale), xp = cache, namespace(dy)
        wide = widened(dy)
        grads = {"weight": narrowed(xp.sum(wide * x_hat, axis=tuple(range(dy.ndim - 1))), dy.dtype)}
        if not need_dx:
            return None, grads
        g, products = weighted(wide, params["weight"], x_hat)
        along = xp.mean(products, axis=-1, keepdims=True)
        return narrowed(rms_dx(g, x_hat, along, scale), dy.dtype), grads

"""Elementwise formulas of normalization.

Legend: x̂ normalized input, w weight, g = w ⊙ ∂L/∂y.
"""

from __future__ import annotations

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array


@fused
def centered_and_squares(x: Array, mean: Array) -> tuple[Array, Array]:
    """Return x − μ and its square."""
    centered = x - mean
    return centered, centered * centered


@fused
def scale_and_unbiased(variance: Array, epsilon: float, correction: float) -> tuple[Array, Array]:
    """Return 1/√(σ² + ε) and the unbiased variance."""
    return (variance + epsilon) ** -0.5, variance * correction


@fused
def batch_dx(dy: Array, x_hat: Array, dw: Array, db: Array, weight: Array, scale: Array, share: float) -> Array:
    """Return ∂L/∂x of batch normalization in training."""
    return (dy - db * share - x_hat * (dw * share)) * (weight * scale)


@fused
def moved(running: Array, batch: Array, momentum: float) -> Array:
    """Return a running average after one more value."""
    return running + momentum * (batch - running)


@fused
def weighted(dy: Array, weight: Array, x_hat: Array) -> tuple[Array, Array]:
    """Return g = w ⊙ ∂L/∂y, and g ⊙ x̂."""
    g = dy * weight
    return g, g * x_hat


@fused
def layer_dx(g: Array, mean: Array, x_hat: Array, along: Array, scale: Array) -> Array:
    """Return ∂L/∂x of layer normalization from the means of g and of g ⊙ x̂."""
    return (g - mean - x_hat * along) * scale


@fused
def rms_dx(g: Array, x_hat: Array, along: Array, scale: Array) -> Array:
    """Return ∂L/∂x of RMS normalization from the mean of g ⊙ x̂."""
    return (g - x_hat * along) * scale

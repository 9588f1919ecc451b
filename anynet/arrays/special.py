"""The normal distribution, the sigmoid and other functions beyond the array API standard.

Normal distribution function: for z ≥ 0 the function f(z) = (1 + 2z) e^{z²} erfc(z) is smooth, and flat at infinity, so one
polynomial in t = (z − 3)/(z + 3) covers the whole half-line. This needs one exponential and no branches, and keeps its
relative accuracy far into the tail, where 1 + erf(x) would cancel. The coefficients are the Chebyshev expansion of f in
powers of t, truncated at the rounding error of each dtype; tests/reference/make_normal_cdf.py computes them and the exact
values for the tests.

References
----------
Shepherd, Laframboise (1981), "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞", Mathematics of
Computation 36, section 2. The paper uses k = 3.75 instead of 3, which needs one term more here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from anynet.arrays.fused import fused
from anynet.arrays.namespace import Array, namespace

SINGLE = (
    1.2530078756154763,
    -0.13562023891915578,
    -0.047553119313568,
    0.129627504721725,
    -0.11934757619385748,
    0.06840958165633677,
    -0.023561133886968576,
    0.0022865137034448328,
    0.001643716206599254,
    -0.0005138505128719338,
)
"""Coefficients of t⁰, t¹, ... for float32 and narrower types."""

DOUBLE = (
    1.2530080582697296,
    -0.13562110612457576,
    -0.04756229435342038,
    0.12964515870228346,
    -0.11927366341676002,
    0.06830802735638397,
    -0.023770514891530075,
    0.0025293916672051724,
    0.0018886900977441495,
    -0.0007798312797290158,
    -0.00010515831297813128,
    0.00012509531076254534,
    4.94412434222366e-06,
    -2.0089997833284275e-05,
    -7.187883834404266e-07,
    3.454294770277738e-06,
    3.3669790806407595e-07,
    -5.963983625522741e-07,
    -1.205414228648938e-07,
    8.765881411730558e-08,
    2.7843881265502222e-08,
    -7.641962892589975e-09,
    -3.1813541434969274e-09,
)
"""Coefficients for float64."""


@fused
def normal_cdf(x: Array) -> Array:
    """Return Φ(x) = ½ erfc(−x/√2), the probability that a standard normal variable is below x.

    PyTorch, JAX and CuPy compute erfc themselves. Elsewhere, the relative error is a few rounding errors for |x| < 5 and grows
    with x² beyond, like that of e^{−x²/2}.

    Examples
    --------
    >>> import numpy as np
    >>> normal_cdf(np.array([-10.0, 0.0, 1.0, 1e4]))
    array([7.61985302e-24, 5.00000000e-01, 8.41344746e-01, 1.00000000e+00])
    """
    return normal(x)[0]


@fused
def normal(x: Array) -> tuple[Array, Array]:
    """Return the standard normal distribution function Φ(x) and the density φ(x) = e^{−x²/2}/√(2π).

    Examples
    --------
    >>> import numpy as np
    >>> cdf, density = normal(np.array([-1.0, 0.0, 1e4]))
    >>> cdf.round(4), density.round(4)
    (array([0.1587, 0.5   , 1.    ]), array([0.242 , 0.3989, 0.    ]))
    """
    xp = namespace(x)
    z = xp.minimum(xp.abs(x) * math.sqrt(0.5), 40.0)  # its square must not overflow
    e = xp.exp(-z * z)
    density = e * (2.0 * math.pi) ** -0.5
    own = library_erfc(xp.__name__)
    if own is not None:
        return xp.astype(0.5 * own(-math.sqrt(0.5) * x), x.dtype), density  # CuPy's has 64 bits for 16
    tail = 0.5 * (_scaled_erfc(z) * e)
    return xp.where(x < 0, tail, 1.0 - tail), density


@cache
def library_erfc(library: str) -> Callable[[Any], Any] | None:
    """Return the erfc of an array library, or None if it has none.

    Their own Φ is less accurate: PyTorch's subtracts nearly equal numbers in the tail.
    """
    if library == "anynet.arrays.torch_namespace":
        import torch

        return torch.special.erfc
    if library == "anynet.arrays.cupy_namespace":
        import cupyx.scipy.special

        return cupyx.scipy.special.erfc
    if library == "jax.numpy":
        import jax.scipy.special

        return jax.scipy.special.erfc
    return None


@fused
def erfc(z: Array) -> Array:
    """Return 1 − erf(z) for z ≥ 0, with 0 for large z.

    Examples
    --------
    >>> import numpy as np
    >>> erfc(np.array([0.0, 1.0]))
    array([1.        , 0.15729921])
    """
    xp = namespace(z)
    z = xp.minimum(z, 40.0)
    return _scaled_erfc(z) * xp.exp(-z * z)


def _scaled_erfc(z: Array) -> Array:
    """Return e^{z²} erfc(z) for 0 ≤ z ≤ 40."""
    xp = namespace(z)
    t = (z - 3.0) / (z + 3.0)
    coefficients = DOUBLE if xp.finfo(z.dtype).eps < 1e-10 else SINGLE
    p = coefficients[-1] * t
    for c in coefficients[-2:0:-1]:
        p += c
        p *= t
    p += coefficients[0]
    return p / (1.0 + 2.0 * z)


@fused
def sigmoid(x: Array) -> Array:
    """Return 1/(1 + e⁻ˣ) as min(1, eˣ) / (1 + e^{−|x|}), whose exponents are never positive."""
    xp = namespace(x)
    e = xp.exp(-xp.abs(x))
    return xp.maximum(e, xp.astype(x >= 0, x.dtype)) / (1.0 + e)


@fused
def shifted_exp(x: Array, largest: Array) -> tuple[Array, Array]:
    """Return z = x − largest, and eᶻ, for softmax."""
    z = x - largest
    return z, namespace(x).exp(z)

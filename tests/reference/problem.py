"""A small problem whose gradient is a formula, so that optimisers can be followed step by step without any library."""

import numpy as np

STEPS = 50
KEPT = (1, 2, 3, 5, 10, 20, 50)

FIRST = {"weight": np.linspace(-1.5, 2.0, 12).reshape(3, 4), "bias": np.array([0.4, -0.7, 0.1, 1.0])}
"""A matrix as anynet has it, (in, out), and a vector."""


def gradient(name, value, step):
    """Return the gradient of a bounded bowl around 0.3, with a wobble that differs by place and step."""
    places = np.arange(value.size).reshape(value.shape)
    return np.tanh(value - 0.3) + 0.3 * np.sin(1.7 * step + places + (name == "bias"))

"""What the tests of the lecture notes share: a model of their loss in float64, and how close is equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anynet import HalfSquaredError, Model, backends


@pytest.fixture
def make(backend: Any) -> Callable[..., Model]:
    """Make a model, with the notes' loss unless another is given."""

    def make(layers: Any, **settings: Any) -> Model:
        return Model(layers, backend=backend, dtype="float64", **({"loss": HalfSquaredError()} | settings))

    return make


@pytest.fixture
def array(backend: Any) -> Callable[[Any], Any]:
    """Put numbers on the backend, for layers and losses used by themselves."""
    return lambda values: backend.asarray(values, backend.dtype("float64"))


@pytest.fixture
def close() -> Callable[[Any, Any], None]:
    """Assert equality to rounding between arrays of any library."""

    def close(actual: Any, expected: Any) -> None:
        expected = backends.to_numpy(expected)
        scale = float(np.max(np.abs(expected), initial=0.0))
        np.testing.assert_allclose(backends.to_numpy(actual), expected, rtol=1e-12, atol=1e-12 * scale)

    return close


@pytest.fixture
def digits() -> Callable[..., None]:
    """Assert that numbers, rounded as the note rounds, are what the note prints."""

    def digits(actual: Any, printed: Any, places: int = 3) -> None:
        np.testing.assert_array_equal(np.round(backends.to_numpy(actual).astype(np.float64), places) + 0.0, printed)

    return digits

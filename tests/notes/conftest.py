"""Fixtures of the lecture-note tests: models in float64 with the notes' loss, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anynet import HalfSquaredError, Model, backends


@pytest.fixture
def make(backend: Any) -> Callable[..., Model]:
    """Create a model, by default with the notes' loss."""

    def make(layers: Any, **settings: Any) -> Model:
        return Model(layers, backend=backend, dtype="float64", **({"loss": HalfSquaredError()} | settings))

    return make


@pytest.fixture
def array(backend: Any) -> Callable[[Any], Any]:
    """Convert numbers to an array of the backend, for layers and losses without a model."""
    return lambda values: backend.asarray(values, backend.dtype("float64"))


@pytest.fixture
def close() -> Callable[[Any, Any], None]:
    """Assert that arrays of any library are equal up to rounding."""

    def close(actual: Any, expected: Any) -> None:
        expected = backends.to_numpy(expected)
        scale = float(np.max(np.abs(expected), initial=0.0))
        np.testing.assert_allclose(backends.to_numpy(actual), expected, rtol=1e-12, atol=1e-12 * scale)

    return close


@pytest.fixture
def digits() -> Callable[..., None]:
    """Assert that numbers, rounded like the note's, equal the printed ones."""

    def digits(actual: Any, printed: Any, places: int = 3) -> None:
        np.testing.assert_array_equal(np.round(backends.to_numpy(actual).astype(np.float64), places) + 0.0, printed)

    return digits

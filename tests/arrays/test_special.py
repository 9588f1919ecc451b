"""Compare the normal distribution function with values of 17 digits; see tests/reference/make_normal_cdf.py."""

import json
from pathlib import Path

import numpy as np

from anynet.arrays.special import erfc, normal_cdf
from tests.tools import fetch, place

X, EXACT = np.array(json.loads((Path(__file__).parents[1] / "reference" / "normal_cdf.json").read_text())).T


def test_is_right_to_the_last_digits(backend):
    found = fetch(backend, backend.compile(normal_cdf)(place(backend, X)))
    np.testing.assert_allclose(found, EXACT, rtol=1e-13)
    middle = np.abs(X) < 5
    np.testing.assert_allclose(found[middle], EXACT[middle], rtol=1e-14)


def test_is_right_in_float32(backend):
    keep = EXACT > 1e-37  # smaller numbers are not normal in float32
    found = backend.compile(normal_cdf)(place(backend, X, "float32"))
    assert found.dtype == backend.dtype("float32")
    np.testing.assert_allclose(fetch(backend, found)[keep], EXACT[keep], rtol=2e-5)
    middle = np.abs(X) < 5
    np.testing.assert_allclose(fetch(backend, found)[middle], EXACT[middle], rtol=4e-6)


def test_far_away(backend):
    for dtype, far in (("float32", 3e38), ("float64", 1e300)):
        x = place(backend, np.array([-far, -1e4, 1e4, far]), dtype)
        np.testing.assert_array_equal(fetch(backend, normal_cdf(x)), [0, 0, 1, 1])
        np.testing.assert_array_equal(fetch(backend, erfc(place(backend, np.array([100.0, far]), dtype))), [0, 0])
    assert np.isnan(fetch(backend, normal_cdf(place(backend, np.array([np.nan]))))).all()

"""Compare losses with PyTorch's values and gradients in float64, made by tests/reference/make_losses.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import anynet

CASES = json.loads((Path(__file__).parents[1] / "reference" / "losses.json").read_text())


def name(case):
    fields = ",".join(f"{k}={v}" for k, v in case["fields"].items())
    return f"{case['loss']}({fields})-{np.ndim(case['y_true'])}d"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_value_and_gradient_equal_pytorch(case, backend):
    loss = getattr(anynet, case["loss"])(**case["fields"])
    y_pred, y_true = (backend.asarray(np.array(case[part])) for part in ("y_pred", "y_true"))
    value, cache = backend.compile(loss.forward)(y_true, y_pred)
    gradient = backend.compile(loss.backward)(cache)
    np.testing.assert_allclose(backend.to_numpy(value), case["value"], rtol=1e-10, atol=0)
    np.testing.assert_allclose(backend.to_numpy(gradient), case["gradient"], rtol=1e-10, atol=1e-10)

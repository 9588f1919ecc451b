"""Compare 50 steps in float64 with PyTorch, or the paper's formula; see tests/reference."""

import json
from pathlib import Path

import numpy as np
import pytest

import anynet
from anynet import tree
from tests.reference.problem import FIRST, KEPT, STEPS, gradient

CASES = json.loads((Path(__file__).parents[1] / "reference" / "optimizers.json").read_text())


def name(case):
    return f"{case['optimizer']}({','.join(f'{k}={v}' for k, v in case['fields'].items())})"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_fifty_steps_equal_the_reference(case, backend):
    optimizer = getattr(anynet, case["optimizer"])(**case["fields"])
    params = tree.map(lambda a: backend.asarray(a, copy=True), FIRST)
    state = optimizer.init(params)
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    for step in range(STEPS):
        now = tree.map(backend.to_numpy, params)
        grads = {key: backend.asarray(gradient(key, value, step)) for key, value in now.items()}
        params, state = update(params, grads, state)
        if step + 1 in KEPT:
            for key, expected in case["params"][str(step + 1)].items():
                np.testing.assert_allclose(backend.to_numpy(params[key]), expected, rtol=1e-9, atol=1e-9, err_msg=key)

"""Compare layers with PyTorch's outputs and gradients in float64, made by tests/reference/make_layer_passes.py."""

import numpy as np
import pytest

from tests.reference import reference
from tests.tools import PUBLIC, assert_close, fetch, key, place

CASES = reference("layer_passes")


def name(case):
    return f"{case['layer']}-{'training' if case['training'] else 'using'}-{np.ndim(case['x'])}d"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_equals_pytorch(case, backend):
    layer = eval(case["layer"], PUBLIC)
    host = {part: np.array(case[part]) for part in ("x", "dy")}
    host["params"] = {name: np.array(p) for name, p in case["params"].items()}
    at = place(backend, host)
    training = place(backend, key()) if case["training"] else None
    run = backend.compile(lambda params, x: layer.forward(params, x, key=training))
    y, cache = run(at["params"], at["x"])
    dx, grads = backend.compile(layer.backward)(at["params"], cache, at["dy"])
    assert_close(fetch(backend, y), np.array(case["y"]), rtol=1e-10)
    assert_close(fetch(backend, grads), {name: np.array(g) for name, g in case["grads"].items()}, rtol=1e-10)
    if "dx" not in case:
        assert dx is None
    else:
        assert_close(fetch(backend, dx), np.array(case["dx"]), rtol=1e-10)
    moved = fetch(backend, layer.update_buffers(at["params"], cache))
    assert_close(
        {name: moved[name] for name in case["buffers"]},
        {n: np.array(b) for n, b in case["buffers"].items()},
        rtol=1e-10,
    )


@pytest.mark.parametrize("case", [c for c in CASES if np.shape(c["x"]) == (1, 28)], ids=lambda case: case["layer"])
def test_each_value_of_an_activation_equals_pytorch(case, backend):
    """The tolerance is relative to each value, so tiny outputs count, such as GELU of large negative inputs."""
    layer = eval(case["layer"], PUBLIC)
    for dtype, rtol in (("float64", 1e-10), ("float32", 3e-5)):
        y, cache = layer.forward({}, place(backend, np.array(case["x"]), dtype))
        dx, _ = layer.backward({}, cache, place(backend, np.array(case["dy"]), dtype))
        for ours, theirs in ((y, case["y"]), (dx, case["dx"])):  # PyTorch's GELU has cancellation of 1e-15 there
            np.testing.assert_allclose(fetch(backend, ours), np.array(theirs), rtol=rtol, atol=4e-15)

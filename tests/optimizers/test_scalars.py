"""The scalars of an update from one kernel of CuPy, against one kernel per operation."""

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, HalfSquaredError, Model
from anynet.backends import info
from anynet.optimizers import scalars
from tests.conftest import KINDS
from tests.optimizers.cases import ELEMENTWISE
from tests.tools import fetch

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [row[0] for row in ELEMENTWISE], ids=lambda o: repr(o)[:60])
def test_one_kernel_gives_the_same_numbers(optimizer, dtype, backend):
    state = optimizer.init({"weight": backend.asarray(np.ones(3), backend.dtype(dtype))})
    for _ in range(4):
        fused = scalars.advance(optimizer, state, np.dtype(dtype))
        plain = scalars._advance(optimizer, state, np.dtype(dtype))
        for one, other in zip((*fused[0], *fused[1].values()), (*plain[0], *plain[1].values()), strict=True):
            assert isinstance(one, float) or (one.dtype == dtype and one.shape == ())
            np.testing.assert_allclose(float(one), float(other), rtol=4 * np.finfo(dtype).eps)
        assert fused[1].keys() == plain[1].keys() and int(fused[2]) == int(plain[2]) == int(state["step"]) + 1
        state = {**state, **fused[1], "step": fused[2]}


def test_learning_rates_share_a_kernel(backend):
    state = Adam().init({"weight": backend.asarray(np.ones(3))})
    scalars.advance(Adam(0.5), state, np.dtype("float64"))
    kernels = scalars._kernel.cache_info().misses
    rates = [float(scalars.advance(Adam(rate), state, np.dtype("float64"))[0][0]) for rate in (0.25, 0.5)]
    assert scalars._kernel.cache_info().misses == kernels
    np.testing.assert_allclose(rates[0] * 2, rates[1])


def test_a_schedule_that_cannot_be_fused_runs_as_written(backend):
    def schedule(step):
        return backend.asarray(np.asarray(0.5)) * 0.25  # an array that is no function of the step

    optimizer, params = SGD(schedule), {"weight": backend.asarray(np.ones(3))}
    new, state = optimizer.update(params, params, optimizer.init(params))
    np.testing.assert_array_equal(fetch(backend, new["weight"]), np.full(3, 0.875))
    assert int(state["step"]) == 1
    assert "scalars of SGD" in info().backends["cupy"]["slower in this process"]


def test_a_schedule_with_hidden_state_is_called_in_each_step(backend):
    rates = {"now": 0.5}
    optimizer, params = SGD(lambda step: rates["now"] + 0.0 * step), {"weight": backend.asarray(np.ones(3))}
    state = optimizer.init(params)
    for rate in (0.5, 0.25):
        rates["now"] = rate
        new, _ = optimizer.update({"weight": params["weight"] * 1.0}, params, state)
        np.testing.assert_array_equal(fetch(backend, new["weight"]), np.full(3, 1.0 - rate))


def test_a_factor_on_the_learning_rate_is_no_constant_of_a_kernel(backend):
    model = Model([Dense(1)], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(0.1), backend=backend)
    x, y = np.ones((3, 2), np.float32), np.zeros((3, 1), np.float32)
    for factor in (1.0, 0.0):
        model.learning_rate_factor = factor
        before = fetch(backend, model.params[0]["weight"]).copy()
        model.train_step(x, y)
        assert np.array_equal(before, fetch(backend, model.params[0]["weight"])) == (factor == 0.0)

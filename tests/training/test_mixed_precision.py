"""Mixed precision: what computes in 16 bits, what stays in 32, and that small gradients survive by scaling."""

import numpy as np
import pytest

from anynet import SGD, Adam, BatchNorm, Dense, LossScale, MeanSquaredError, Model, ReLU, load
from anynet.layers import Layer
from tests.tools import halves

X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2]).astype(np.float32)


def make(backend, half, optimizer=None, scale=1.0):
    layers = [Dense(16), ReLU(), Dense(1)]
    return Model(
        layers,
        input_shape=3,
        loss=MeanSquaredError(),
        optimizer=optimizer or LossScale(Adam(0.02)),
        backend=backend,
        compute_dtype=half,
    )


def test_trains_and_keeps_master_weights(backend, tmp_path):
    full = make(backend, None, Adam(0.02)).fit(X, Y, epochs=15)["loss"][-1]
    for half in halves(backend):
        model = make(backend, half)
        history = model.fit(X, Y, epochs=15)["loss"]
        np.testing.assert_allclose(history[-1], full, rtol=0.2)
        assert model.params[0]["weight"].dtype == backend.dtype("float32")
        assert backend.to_numpy(backend.asarray(model.predict(X))).dtype == np.float32
        model.save(tmp_path / half)
        again = load(tmp_path / half, backend=backend)
        assert again.compute_dtype == half and again.evaluate(X, Y) == model.evaluate(X, Y)


def test_layers_compute_in_half(backend):
    seen = []

    class Spy(Layer):
        def forward(self, params, x, *, key=None):
            seen.append(x.dtype)
            return x, None

        def backward(self, params, cache, dy, *, need_dx=True):
            seen.append(dy.dtype)
            return dy, {}

    for half in halves(backend):
        seen.clear()
        model = Model(
            [Dense(4), Spy(), Dense(1)],
            input_shape=3,
            loss=MeanSquaredError(),
            optimizer=SGD(),
            backend=backend,
            compute_dtype=half,
        )
        model.train_step(X, Y)
        assert {str(dtype).rpartition(".")[2] for dtype in seen} == {half}


def test_scaling_keeps_small_gradients(backend):
    """Derivatives near 1e-9 are zero in float16, and right again when the loss is scaled."""
    if "float16" not in halves(backend):
        pytest.skip(f"{backend.name} has no float16")
    moved = []
    for optimizer in (SGD(1.0), LossScale(SGD(1.0))):
        model = make(backend, "float16", optimizer)
        before = backend.to_numpy(model.params[2]["bias"]).copy()
        y = backend.to_numpy(backend.asarray(model.predict(X))) + np.float32(1e-7)
        model.train_step(X, y)
        moved.append(float((backend.to_numpy(model.params[2]["bias"]) - before)[0]))
    assert moved[0] == 0.0
    np.testing.assert_allclose(moved[1], 2e-7, rtol=0.2)


def test_normalises_too(backend):
    for half in halves(backend):
        model = Model(
            [Dense(8), BatchNorm(), ReLU(), Dense(1)],
            input_shape=3,
            loss=MeanSquaredError(),
            optimizer=LossScale(Adam(0.02)),
            backend=backend,
            compute_dtype=half,
        )
        history = model.fit(X, Y, epochs=10)["loss"]
        assert history[-1] < history[0]
        assert all(a.dtype == backend.dtype("float32") for a in model.params[1].values())


def test_a_type_that_is_not_there_is_refused(backend):
    for wrong in {"float16", "bfloat16", "float32", "half"} - set(halves(backend)):
        with pytest.raises(ValueError, match="compute_dtype: expected"):
            make(backend, wrong)

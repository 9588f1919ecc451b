"""Embeddings of numbers against rtdl_num_embeddings, by numbers that tests/reference/make_number_embeddings.py stored."""

import numpy as np
import pytest

import anynet
from anynet import (
    SELU,
    Adam,
    Blend,
    Dense,
    Flatten,
    Model,
    PeriodicEmbedding,
    PiecewiseLinear,
    ReLU,
    SoftmaxCrossEntropy,
)
from tests.reference import reference
from tests.tools import assert_close, fetch, place

PERIODIC, *PIECEWISE = reference("number_embeddings")


def compare(layer, params, grads, stored, backend):
    at = place(backend, {key: np.array(stored[key]) for key in ("x", "dy")})
    y, cache = layer.forward(params, at["x"])
    dx, ours = layer.backward(params, cache, at["dy"])
    assert_close(fetch(backend, y), np.array(stored["y"]), rtol=1e-13)
    assert_close(fetch(backend, dx), np.array(stored["dx"]), rtol=1e-13)
    assert_close(fetch(backend, ours), grads, rtol=1e-13)


def test_periodic_equals_pytorch(backend):
    params, grads = ({name: np.array(a) for name, a in PERIODIC[key].items()} for key in ("params", "grads"))
    compare(PeriodicEmbedding(4, 5), place(backend, params), grads, PERIODIC, backend)


def here(arrays, edges):
    """Return parameters by their names here, with the last bin of a column directly after the others instead of at the end."""
    arrays = {name: np.array(a) for name, a in arrays.items()}
    bins = arrays["linear.weight"]
    moved = np.zeros_like(bins)
    for column, row in enumerate(edges):
        last = len(row) - 2
        moved[column, :last], moved[column, last] = bins[column, :last], bins[column, -1]
    return {"weight": arrays["linear0.weight"], "bias": arrays["linear0.bias"], "bin_weight": moved}


@pytest.mark.parametrize("stored", PIECEWISE, ids=["different numbers of bins", "equal"])
def test_piecewise_linear_equals_rtdl(stored, backend):
    edges = stored["edges"]
    layer = PiecewiseLinear(edges, 4)
    buffers = {
        name: a for name, a in layer.init(np.random.default_rng(0), (len(edges),))[0].items() if name in layer.buffers
    }
    params = here(stored["params"], edges) | buffers
    compare(layer, place(backend, params), here(stored["grads"], edges), stored, backend)


def test_initial_values_are_those_of_rtdl():
    params, _ = PiecewiseLinear([[0.0, 1.0, 2.0]] * 50, 16).init(np.random.default_rng(0), (50,))
    assert not params["bin_weight"].any()
    for name in ("weight", "bias"):
        assert 0.24 < np.abs(params[name]).max() <= 0.25 and abs(params[name].std() - 0.25 / 3**0.5) < 0.01
    params, _ = PeriodicEmbedding().init(np.random.default_rng(0), (100,))
    assert params["frequency"].std() == pytest.approx(0.1, rel=0.1) and params["frequency"].shape == (100, 16)
    assert np.abs(params["phase"]).max() == pytest.approx(np.pi, rel=0.01)
    for name in ("weight", "bias"):
        assert 0.24 < np.abs(params[name]).max() <= 0.25 and params[name].shape[-1] == 3


def test_piecewise_linear_is_continuous_and_linear_outside():
    """The slope is constant between edges and beyond the first and the last."""
    layer = PiecewiseLinear([[-1.0, 0.0, 3.0]], 1, bin_weight=[[[2.0], [5.0]]], weight=[[0.0]], bias=[[0.0]])
    params, _ = layer.init(None, (1,))
    x = np.array([-4.0, -1.0, 0.0, 3.0, 6.0])[:, None]
    y, _ = layer.forward(params, x)
    np.testing.assert_allclose(y[:, 0, 0], [-6.0, 0.0, 2.0, 7.0, 12.0], rtol=1e-14, atol=1e-14)
    dx, _ = layer.backward(params, layer.forward(params, x + 0.5)[1], np.ones((5, 1, 1)))
    np.testing.assert_allclose(dx[:, 0], [2.0, 2.0, 5 / 3, 5 / 3, 5 / 3], rtol=1e-14)


@pytest.mark.parametrize("embedding", [PeriodicEmbedding(), PiecewiseLinear([[-1.0, 0.0, 1.0]] * 3, 4)], ids=repr)
def test_a_model_trains_and_is_saved(embedding, tmp_path, backend):
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = (np.abs(x[:, 0]) > 0.7).astype(int)
    model = Model(
        [embedding, Flatten(), Dense(16), Blend(ReLU()), Dense(2)],
        input_shape=3,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.02),
        backend=backend,
    )
    x, y = backend.asarray(x.astype("float32")), backend.asarray(y)
    edges = {name: fetch(backend, model.params[0][name]) for name in embedding.buffers}
    history = model.fit(x, y, epochs=20, batch_size=20)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    for name, array in edges.items():
        np.testing.assert_array_equal(backend.to_numpy(model.params[0][name]), array)
    model.save(tmp_path / "model.safetensors")
    again = anynet.load(tmp_path / "model.safetensors", backend=backend)
    assert again.layer == model.layer
    np.testing.assert_array_equal(backend.to_numpy(again.predict(x)), backend.to_numpy(model.predict(x)))


def test_blend_between_the_identity_and_the_activation(backend):
    x = np.random.default_rng(0).normal(size=(4, 3))
    for alpha, expected in (([0.0] * 3, x), ([1.0] * 3, SELU().forward({}, x)[0])):
        layer = Blend(SELU(), alpha=alpha)
        params = place(backend, layer.init(None, (3,))[0])
        assert_close(fetch(backend, layer.forward(params, place(backend, x))[0]), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: PeriodicEmbedding(1), ValueError, "PeriodicEmbedding: expected features >= 2, got 1"),
        (lambda: PeriodicEmbedding(frequencies=0), ValueError, "PeriodicEmbedding: expected frequencies >= 1, got 0"),
        (
            lambda: Model([PeriodicEmbedding()], input_shape=(2, 3)),
            ValueError,
            r"PeriodicEmbedding: expected input of shape \(columns,\), got \(2, 3\)",
        ),
        (
            lambda: PiecewiseLinear("edges"),
            TypeError,
            "PiecewiseLinear: expected edges with a sequence of numbers per column",
        ),
        (lambda: PiecewiseLinear(3), TypeError, "expected edges with a sequence of numbers per column, got 3"),
        (lambda: PiecewiseLinear([]), ValueError, "expected edges of one or more columns, got none"),
        (
            lambda: PiecewiseLinear([[0.0, 1.0], [0.0, 0.0]]),
            ValueError,
            r"expected two or more finite, increasing edges for column 1, got \[0.0, 0.0\]",
        ),
        (lambda: PiecewiseLinear([[0.0]]), ValueError, r"increasing edges for column 0, got \[0.0\]"),
        (lambda: PiecewiseLinear([[0.0, np.inf]]), ValueError, r"increasing edges for column 0, got \[0.0, inf\]"),
        (
            lambda: Model([PiecewiseLinear([[0.0, 1.0]])], input_shape=2),
            ValueError,
            "PiecewiseLinear: expected edges of 2 columns, got 1",
        ),
        (
            lambda: Model([Blend(Dense(2))], input_shape=3),
            ValueError,
            r"Blend: expected a layer that keeps the shape \(3,\)",
        ),
    ],
)
def test_invalid_use_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Compare layers with outputs and gradients from PyTorch, an independent source."""

import numpy as np
import pytest

import anynet
from tests.reference import reference
from tests.tools import PUBLIC, assert_close, fetch, place


@pytest.mark.parametrize("entry", reference("layers"), ids=lambda e: f"{e['layer']}-{np.shape(e['x'])}")
def test_pytorch_values(entry, backend):
    layer = eval(entry["layer"], PUBLIC)
    y, cache = layer.forward({}, place(backend, np.array(entry["x"])))
    assert_close(fetch(backend, y), np.array(entry["y"]), rtol=1e-14)
    v = np.cos(np.arange(np.size(entry["y"]), dtype=float)).reshape(np.shape(entry["y"]))
    dx, _ = layer.backward({}, cache, place(backend, v))
    assert_close(fetch(backend, dx), np.array(entry["dx"]), rtol=1e-14)


def test_dense_by_hand(backend):
    """Compare with values computed by hand: W = [[1, 2], [3, 4]], b = [10, 20]."""
    layer = anynet.Dense(2, weight=[[1, 2], [3, 4]], bias=[10, 20])
    params = place(backend, layer.init(None, (2,))[0])
    y, cache = layer.forward(params, place(backend, np.array([[1.0, 1.0], [0.0, 2.0]])))
    assert fetch(backend, y).tolist() == [[14.0, 26.0], [16.0, 28.0]]
    dx, grads = layer.backward(params, cache, place(backend, np.array([[1.0, 0.0], [0.0, 1.0]])))
    assert fetch(backend, dx).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert fetch(backend, grads["weight"]).tolist() == [[1.0, 0.0], [1.0, 2.0]]
    assert fetch(backend, grads["bias"]).tolist() == [1.0, 1.0]

"""Training does not depend on how the arrays of weights lie in memory."""

import copy
from functools import cache

import numpy as np
import pytest

from anynet import (
    EMA,
    SGD,
    Accumulate,
    Adam,
    AdamW,
    Dense,
    Groups,
    LossScale,
    MeanSquaredError,
    Model,
    Muon,
    Orthogonal,
)
from anynet.arrays import background, compiling
from anynet.backends.numpy import NumpyBackend
from anynet.initializers import Initializer
from tests.tools import assert_close, fetch

OPTIMIZERS = [
    SGD(0.01, momentum=0.9),
    Adam(0.01),
    Accumulate(Adam(0.01), steps=2),
    LossScale(Adam(0.01), initial=8.0),
    Groups(AdamW(0.01), {"0.weight": {"learning_rate": 0.02}}),
    EMA(Adam(0.01), decay=0.5),
    Muon(0.01, otherwise=Adam(0.01)),
]
SIZES = [(8, 20), (180, 184)]
"""Inputs and units, of weights below and above the size that is updated in tiles."""


class RowMajor(Initializer):
    """The numbers of `Orthogonal`, in the order of their axes."""

    def __call__(self, rng, shape):
        return np.array(Orthogonal()(rng, shape), order="C")


def train(backend, optimizer, inputs, units, source):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, inputs)), rng.normal(size=(64, units))
    layer = Dense(units, weight=RowMajor() if source == "row-major" else Orthogonal())
    settings = {"loss": MeanSquaredError(), "optimizer": optimizer, "backend": backend, "dtype": "float64"}
    model = Model([layer], input_shape=inputs, **settings)
    if source == "transposed":
        weight, bias = (backend.to_numpy(model.params[0][name]) for name in ("weight", "bias"))
        linear = backend.asarray(weight.T, copy=True)  # as PyTorch's layer holds it
        model.params = [{"weight": linear.T, "bias": bias}]
    before = fetch(backend, model.params)
    model.fit(x, y, epochs=4, batch_size=16)
    after = fetch(backend, model.params)
    assert np.abs(after[0]["weight"] - before[0]["weight"]).max() > 1e-4
    return {"params": after, "averaged": fetch(backend, model.averaged().params)}


@cache
def expected(*arguments):
    return train(NumpyBackend(compiled=False), *arguments, "row-major")


@pytest.mark.without("jax", "strict:device1")
@pytest.mark.parametrize("source", ["drawn", "transposed"])
@pytest.mark.parametrize("inputs, units", SIZES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_weights_in_column_order_train_as_in_row_order(optimizer, inputs, units, source, backend, monkeypatch):
    """`Orthogonal` draws such weights, and ``linear.weight.T`` is how PyTorch's come."""
    monkeypatch.setattr(background, "submit", lambda task: task())
    for seconds in (np.inf, 0.0) if backend.name in ("numpy", "torch") else (np.inf,):
        monkeypatch.setattr(compiling, "WORTHWHILE", seconds)  # compiled never, or from step 2 on
        found = train(copy.copy(backend), optimizer, inputs, units, source)
        assert_close(found, expected(optimizer, inputs, units), rtol=1e-9)

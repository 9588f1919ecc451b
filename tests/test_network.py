"""A pickled or copied model goes on as though nothing had happened."""

import copy
import pickle

import numpy as np

from anynet import Adam, BatchNorm, Dense, Dropout, Model, ReLU, SoftmaxCrossEntropy
from anynet.backends import get
from tests.tools import assert_same, fetch

X = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
Y = np.arange(40) % 3


def test_a_copy_trains_on_as_the_model_does(backend):
    model = Model(
        [Dense(8), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)],
        input_shape=5,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.01),
        metrics=["accuracy"],
        backend=backend,
        seed=3,
    )
    model.fit(X, Y, epochs=2, batch_size=16)
    copies = [copy.deepcopy(model)]
    if backend.name in ("numpy", "strict", "torch", "jax") and type(backend).__module__.startswith("anynet"):
        copies.append(pickle.loads(pickle.dumps(model)))
    for other in copies:
        assert dict(other.history) == dict(model.history)
        assert repr(other) == repr(model)
        assert other.epoch == 2
    histories = [dict(m.fit(X, Y, epochs=2, batch_size=16)) for m in (model, *copies)]
    for other, history in zip(copies, histories[1:], strict=True):
        assert history == histories[0]
        assert_same(fetch(backend, other.params), fetch(backend, model.params))


def test_backends_are_pickled_as_what_they_were_made_with(backend):
    if not type(backend).__module__.startswith("anynet"):
        return
    again = pickle.loads(pickle.dumps(backend))
    assert type(again) is type(backend)
    assert (again.name, again.options) == (backend.name, backend.options)
    assert pickle.loads(pickle.dumps(get("strict", "device1"))).name == "strict:device1"

"""The summary lists every plain layer, inside any container."""

import numpy as np

from anynet import Dense, Embedding, Flatten, Parallel, ReLU, Sequential, Shared, Tanh, Tied
from anynet.layers.summary import summary


def table(layer, input_shape):
    return summary(layer, input_shape, layer.init(np.random.default_rng(0), input_shape)[0])


def test_every_layer_is_listed():
    inside = Parallel([Dense(6), [Embedding(5, 4), Flatten()]])
    ends = Parallel([Dense(2), [Dense(4), Tanh(), Dense(1)]], combine=None)
    text = table(Sequential([inside, ReLU(), ends]), ((3,), (2,)))
    assert all(place in text for place in ("0.0    Dense", "0.1.0  Embedding", "2.1.2  Dense", "(N, 1)"))


def test_shared_parameters_count_once():
    text = table(Shared([Dense(2)]), ((3,), (3,)))
    assert "layer.0  Dense" in text and "8 parameters" in text


def test_parameters_of_a_container_are_listed():
    network = Tied(5, 4, Dense(4))
    params, _ = network.init(np.random.default_rng(0), (3,))
    lines = summary(network, (3,), params).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["Tied", "weight", "(5,", "4)", "20"],
        ["layer", "Dense", "(N,", "3,", "4)", "weight", "(4,", "4),", "bias", "(4,)", "20"],
    ]
    assert lines[-1].startswith("40 parameters, 40 trained")

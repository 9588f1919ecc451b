"""`with_hook` calls the hook for every plain layer and changes nothing about the network."""

import numpy as np

from anynet import (
    Dense,
    Embedding,
    Flatten,
    Identity,
    MeanSquaredError,
    Model,
    Parallel,
    ReLU,
    Repeat,
    Sequential,
    explain,
)
from anynet.layers.hooks import with_hook
from tests.tools import assert_same

INDICES = np.array([[[0, 1], [4, 2]], [[3, 3], [0, 2]]])


def test_every_call_of_a_plain_layer_is_passed_to_the_hook():
    calls = []
    layer = Sequential([Parallel([Dense(2), ReLU()]), Repeat(Dense(5), 2)])
    hooked = with_hook(layer, calls.append)
    params, shape = hooked.init(np.random.default_rng(0), (3,))
    x = np.ones((4, 3))
    y, cache = hooked.forward(params, x)
    dx, grads = hooked.backward(params, cache, y)
    forward = [(0, 0), (0, 1), (1, "layer"), (1, "layer")]
    assert [call.path for call in calls if call.method == "init"] == [(0, 0), (0, 1), (1, "layer")]
    assert [call.path for call in calls if call.method == "forward"] == forward
    assert [call.path for call in calls if call.method == "backward"] == [*forward[:1:-1], *forward[:2]]
    assert calls[3].input is x and calls[6].output is y and calls[7].input is y
    plain_y, plain_cache = layer.forward(params, x)
    assert shape == (5,)
    assert_same((plain_y, *layer.backward(params, plain_cache, y)), (y, dx, grads))


def test_a_hooked_network_takes_the_same_inputs():
    network = Sequential([Flatten(), Repeat(Identity(), 2), Embedding(5, 2)])
    assert with_hook(network, print).integer_input is True
    model = Model([network, Flatten(), Dense(1)], input_shape=(2, 2), loss=MeanSquaredError())
    assert "Embedding" in model.summary()
    explain(model, INDICES, np.ones((2, 1)))

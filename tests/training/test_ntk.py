"""RealMLP, whose layers have the NTK parametrization, is a network of `Dense` layers with other rates.

x W/√I + b with W ~ N(0, 1) is a `Dense` with W/√I. Adam divides gradients by their size, so a step of W/√I is that of W divided
by √I: its rate is divided by √I. Its gradient is √I times as large, and so is ε. The decay of W is a fraction of it, rate · λ,
so λ is multiplied by √I.
"""

from dataclasses import replace

import numpy as np
import pytest

from anynet import (
    SELU,
    AdamW,
    Blend,
    CosLog,
    Dense,
    FlatCosine,
    Flatten,
    Groups,
    Model,
    PeriodicEmbedding,
    Scale,
    SoftmaxCrossEntropy,
)
from tests.reference import reference
from tests.tools import assert_close, fetch

ETA, DECAY, EPSILON, STEPS = 0.04, 0.02, 1e-3, 8
STORED = {entry["name"]: entry for entry in reference("ntk")}
NETWORKS = {
    "TD-S": [Scale(), Dense(6), SELU(), Dense(6), SELU(), Dense(3)],
    "TD": [PeriodicEmbedding(4, 5), Flatten(), Scale(), Dense(6), Blend(SELU()), Dense(6), Blend(SELU()), Dense(3)],
}
RATES = {Scale: 6.0, Blend: 0.1, PeriodicEmbedding: 0.1}


def here(layers, arrays):
    """Return parameters of the network in PyTorch as those of these layers."""
    params = []
    for index, layer in enumerate(layers):
        part = {name.partition(".")[2]: np.array(a) for name, a in arrays.items() if name.startswith(f"{index}.")}
        if isinstance(layer, Dense):
            part["weight"] /= len(part["weight"]) ** 0.5
        params.append(part | {"layer": {}} if isinstance(layer, Blend) else part)
    return params


def optimizer(layers, params, decay):
    def rate(factor):
        return CosLog(factor * ETA, steps=STEPS)

    plain = AdamW(rate(1.0), beta2=0.95, epsilon=EPSILON, weight_decay=0.0)
    groups = {}
    for index, layer in enumerate(layers):
        if isinstance(layer, Dense):
            root = len(params[index]["weight"]) ** 0.5
            fall = FlatCosine(root * decay, steps=STEPS)
            groups[f"{index}.bias"] = {"learning_rate": rate(0.1)}
            groups[f"{index}.weight"] = replace(
                plain, learning_rate=rate(1 / root), epsilon=root * EPSILON, weight_decay=fall
            )
        elif type(layer) in RATES:
            groups[f"{index}.*"] = {"learning_rate": rate(RATES[type(layer)])}
    return Groups(plain, groups)


@pytest.mark.parametrize(("name", "decay"), [("TD-S", 0.0), ("TD", DECAY)])
def test_training_equals_that_of_ntk_layers(name, decay, backend):
    stored, layers = STORED[name], NETWORKS[name]
    params = here(layers, stored["params"])
    model = Model(
        layers,
        input_shape=4,
        loss=SoftmaxCrossEntropy(label_smoothing=0.1),
        optimizer=optimizer(layers, params, decay),
        backend=backend,
        dtype="float64",
    )
    model.params = params
    x, y = backend.asarray(np.array(stored["x"])), backend.asarray(np.array(stored["y"]))
    losses = [float(model.train_step(x, y)) for _ in stored["losses"]]
    np.testing.assert_allclose(losses, stored["losses"], rtol=1e-12)
    assert_close(fetch(backend, model.params), here(layers, stored["trained"]), rtol=1e-11)

"""The network, the loss and the first weights that an estimator's parameters ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from anynet.layers import BatchNorm, Dense, Dropout, Identity, Layer, ReLU, Sigmoid, Tanh

ACTIVATIONS = {"identity": Identity, "logistic": Sigmoid, "tanh": Tanh, "relu": ReLU}


def hidden_sizes(estimator: Any) -> list[int]:
    """Return the numbers of units of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes: expected sizes > 0, got {sizes}")
    return [int(size) for size in sizes]


def for_each(name: str, value: Any, count: int) -> list[Any]:
    """Return one value for each hidden layer of a parameter that may be one for all or a sequence."""
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} must have one entry for each of the {count} hidden layers, got {len(value)}.")
    return list(value)


def activation_layer(activation: Any) -> Layer:
    """Return the layer of an activation, given as scikit-learn names it or as the layer itself."""
    if isinstance(activation, Layer):
        return activation
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {', '.join(map(repr, ACTIVATIONS))} or a layer such as GELU(), got {activation!r}."
        )
    return ACTIVATIONS[activation]()


def make_layers(estimator: Any, sizes: Sequence[int], outputs: int) -> list[Layer]:
    """Return Dense, BatchNorm, activation and Dropout for each hidden layer, and a Dense for the outputs."""
    activations = for_each("activation", estimator.activation, len(sizes))
    rates = for_each("dropout", estimator.dropout, len(sizes))
    layers: list[Layer] = []
    for size, activation, rate in zip(sizes, activations, rates, strict=True):
        layers.append(Dense(size))
        if estimator.batch_norm:
            layers.append(BatchNorm())
        layers.append(activation_layer(activation))
        if rate:
            layers.append(Dropout(float(rate)))
    return [*layers, Dense(outputs)]


def draw_weights(
    estimator: Any, units: Sequence[int], random: np.random.RandomState
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights and biases that scikit-learn draws from the same random state.

    All are uniform on ±√(f / (fan in + fan out)), f being 2 for the logistic function and else 6 (Glorot and Bengio, 2010).
    """
    factor = 2.0 if isinstance(estimator.activation, str) and estimator.activation == "logistic" else 6.0
    weights, biases = [], []
    for fan_in, fan_out in pairwise(units):
        bound = math.sqrt(factor / (fan_in + fan_out))
        weights.append(random.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(random.uniform(-bound, bound, fan_out))
    return weights, biases


def dense_places(model: Any) -> list[int]:
    """Return where in a model's layers those with weights between units are."""
    return [i for i, layer in enumerate(model.layer.layers) if isinstance(layer, Dense)]


def set_dense(model: Any, name: str, arrays: Sequence[Any]) -> None:
    """Put arrays in the place of the weights or the biases of a model."""
    params, places = list(model.params), dense_places(model)
    if len(arrays) != len(places):
        raise ValueError(f"expected {len(places)} arrays, one for each layer, got {len(arrays)}")
    for place, array in zip(places, arrays, strict=True):
        params[place] = {**params[place], name: array}
    model.params = params

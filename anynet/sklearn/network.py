"""Layers and initial weights of the network that an estimator's parameters describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import tree
from anynet.layers import BatchNorm, Dense, Dropout, Identity, Layer, ReLU, Sigmoid, Tanh

if TYPE_CHECKING:
    from anynet.model import Model
    from anynet.sklearn.base import BaseMLP

ACTIVATIONS = {"identity": Identity, "logistic": Sigmoid, "tanh": Tanh, "relu": ReLU}


def hidden_sizes(name: str, value: Any) -> list[int]:
    """Return the numbers of units of the hidden layers, given as one number or several."""
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(f"{name}: expected integers >= 1, got {value!r}")
    return [int(size) for size in sizes]


def one_per_layer(name: str, value: Any, count: int) -> list[Any]:
    """Return a list of one value per hidden layer; a single value applies to all."""
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} must have one entry for each of the {count} hidden layers, got {len(value)}.")
    return list(value)


def activation_layer(activation: Any) -> Layer:
    """Return the layer of an activation, given by scikit-learn's name or as a layer."""
    if isinstance(activation, Layer):
        return activation
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {', '.join(map(repr, ACTIVATIONS))} or a layer such as GELU(), got {activation!r}."
        )
    return ACTIVATIONS[activation]()


def make_layers(estimator: BaseMLP, sizes: Sequence[int], outputs: int) -> list[Layer]:
    """Return Dense, BatchNorm, activation and Dropout per hidden layer, and a Dense output layer."""
    activations = one_per_layer("activation", estimator.activation, len(sizes))
    rates = one_per_layer("dropout", estimator.dropout, len(sizes))
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
    estimator: BaseMLP, units: Sequence[int], random: np.random.RandomState
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the initial weights and biases that scikit-learn draws from the same random state.

    All are uniform on ±√(f / (fan in + fan out)), with f = 2 for the logistic function, else 6 (Glorot and Bengio, 2010).
    """
    factor = 2.0 if isinstance(estimator.activation, str) and estimator.activation == "logistic" else 6.0
    weights, biases = [], []
    for fan_in, fan_out in pairwise(units):
        bound = math.sqrt(factor / (fan_in + fan_out))
        weights.append(random.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(random.uniform(-bound, bound, fan_out))
    return weights, biases


def dense_indices(model: Model) -> list[int]:
    """Return the indices of the Dense layers of a model."""
    return [i for i, (_, layer) in enumerate(model.layer.children()) if isinstance(layer, Dense)]


def set_dense(model: Model, name: str, arrays: Sequence[Any]) -> None:
    """Set the weights or the biases of all Dense layers of a model."""
    params, indices = list(model.params), dense_indices(model)
    if len(arrays) != len(indices):
        raise ValueError(f"expected {len(indices)} arrays, one per layer, got {len(arrays)}")
    for index, array in zip(indices, arrays, strict=True):
        params[index] = {**params[index], name: array}
    model.params = params


def inherited(name: str, new: tree.Tree, old: tree.Tree) -> tree.Tree:
    """Return a tree like `new` with the arrays of `old`, in the same order.

    Layers without arrays, such as Dropout, may have been added or removed.
    """
    places, given = (sorted(tree.leaves_with_paths(one), key=itemgetter(0)) for one in (new, old))
    shapes, expected = ([tuple(array.shape) for _, array in leaves] for leaves in (places, given))
    if shapes != expected:
        raise ValueError(
            f"{name}: expected parameters of shapes {expected}, as in the previous fit, got {shapes}; restore "
            "hidden_layer_sizes, activation and batch_norm, or call fit with warm_start=False"
        )
    arrays = {path: array for (path, _), (_, array) in zip(places, given, strict=True)}
    return tree.set_leaves(new, (arrays[path] for path, _ in tree.leaves_with_paths(new)), like=new)

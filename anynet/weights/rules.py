"""The arrays of each class of layers in the layouts of PyTorch and Keras.

A `Rule` converts the parameters of one layer to another layout and back. Most classes need none; `torch_layout` and
`keras_layout` find the rule of a class, and ``torch_layout.register`` adds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from anynet.layers import GRU, LSTM, BatchEnsemble, Conv1D, Conv2D, Dense, Dropout, PReLU
from anynet.layers.base import Layer, Shape
from anynet.weights.orders import Order, find_orders

Arrays = dict[str, np.ndarray]


class Rule(NamedTuple):
    """The parameters of one layer in another layout.

    Attributes
    ----------
    note : str
        The difference, for messages: "axes of weight in the order (1, 0)".
    there : function
        Returns the arrays in the other layout, by name, for those of `Layer.init`. It may rename, split and merge arrays.
    here : function
        The inverse of `there`.

    Examples
    --------
    >>> rule = transposed("weight", (1, 0))
    >>> rule.there({"weight": np.zeros((3, 2))})["weight"].shape
    (2, 3)
    """

    note: str
    there: Callable[[Arrays], Arrays]
    here: Callable[[Arrays], Arrays]


UNCHANGED = Rule("unchanged", dict, dict)
"""The rule of a class whose arrays are the same in both layouts."""


def transposed(name: str, order: tuple[int, ...]) -> Rule:
    """Return the rule of a class with the axes of one array in another order."""
    back = tuple(int(axis) for axis in np.argsort(order))
    return Rule(
        f"axes of {name} in the order {order}",
        lambda arrays: {**arrays, name: arrays[name].transpose(order)},
        lambda arrays: {**arrays, name: arrays[name].transpose(back)},
    )


@singledispatch
def torch_layout(layer: Layer, input_shape: Shape) -> Rule:
    """Return the rule from a layer here to the same layer of PyTorch.

    Examples
    --------
    >>> torch_layout(Dense(3), (2,)).note
    'axes of weight in the order (1, 0)'
    """
    return UNCHANGED


@torch_layout.register(BatchEnsemble)
@torch_layout.register(Dense)
def _(layer: Dense | BatchEnsemble, input_shape: Shape) -> Rule:
    return transposed("weight", (1, 0))


@torch_layout.register(Conv1D)
def _(layer: Conv1D, input_shape: Shape) -> Rule:
    return transposed("weight", (2, 1, 0))


@torch_layout.register(Conv2D)
def _(layer: Conv2D, input_shape: Shape) -> Rule:
    return transposed("weight", (3, 2, 0, 1))


@torch_layout.register(LSTM)
@torch_layout.register(GRU)
def _(layer: LSTM | GRU, input_shape: Shape) -> Rule:
    gates, units = layer.gates * layer.units, layer.units

    def there(arrays: Arrays) -> Arrays:
        second = np.zeros_like(arrays["bias"])
        if "recurrent_bias" in arrays:
            second[2 * units :] = arrays["recurrent_bias"]
        return {
            "weight_ih_l0": arrays["weight"].T,
            "weight_hh_l0": arrays["recurrent_weight"].T,
            "bias_ih_l0": arrays["bias"],
            "bias_hh_l0": second,
        }

    def here(arrays: Arrays) -> Arrays:
        first, second = arrays["bias_ih_l0"], arrays["bias_hh_l0"]
        added = gates if layer.gates == 4 else 2 * units  # the part of a GRU that the reset gate multiplies is apart
        bias = np.concatenate([first[:added] + second[:added], first[added:]])
        own = {"weight": arrays["weight_ih_l0"].T, "recurrent_weight": arrays["weight_hh_l0"].T, "bias": bias}
        return own if layer.gates == 4 else {**own, "recurrent_bias": second[added:]}

    return Rule("transposed weights, and the sum of two biases", there, here)


@singledispatch
def keras_layout(layer: Layer, input_shape: Shape) -> Rule:
    """Return the rule from a layer here to the same layer of Keras.

    Examples
    --------
    >>> keras_layout(Dense(3), (2,)).note
    'unchanged'
    """
    return UNCHANGED


@torch_layout.register(Dropout)
@keras_layout.register(Dropout)
def _(layer: Dropout, input_shape: Shape) -> Rule:
    params, _ = layer.init(np.random.default_rng(0), input_shape)
    return Rule("no count of passes", lambda arrays: {}, lambda arrays: dict(params))


@keras_layout.register(PReLU)
def _(layer: PReLU, input_shape: Shape) -> Rule:
    shape = (1,) * (len(input_shape) - 1) + (-1,)
    return Rule(
        f"weight has the shape {shape}, with shared_axes",
        lambda arrays: {"weight": arrays["weight"].reshape(shape)},
        lambda arrays: {"weight": arrays["weight"].reshape(-1)},
    )


@keras_layout.register(GRU)
def _(layer: GRU, input_shape: Shape) -> Rule:
    units = layer.units

    def swapped(array: np.ndarray) -> np.ndarray:
        """Exchange the first two gates; Keras has the order u, r, n."""
        return np.concatenate([array[..., units : 2 * units], array[..., :units], array[..., 2 * units :]], axis=-1)

    def there(arrays: Arrays) -> Arrays:
        second = np.concatenate([np.zeros_like(arrays["bias"][: 2 * units]), arrays["recurrent_bias"]])
        return {
            "weight": swapped(arrays["weight"]),
            "recurrent_weight": swapped(arrays["recurrent_weight"]),
            "bias": np.stack([swapped(arrays["bias"]), second]),
        }

    def here(arrays: Arrays) -> Arrays:
        first, second = swapped(arrays["bias"][0]), swapped(arrays["bias"][1])
        bias = np.concatenate([first[: 2 * units] + second[: 2 * units], first[2 * units :]])
        weights = {name: swapped(arrays[name]) for name in ("weight", "recurrent_weight")}
        return {**weights, "bias": bias, "recurrent_bias": second[2 * units :]}

    return Rule("gates in the order u, r, n, and the sum of two biases", there, here)


class Layout(NamedTuple):
    """The layout of a library.

    Attributes
    ----------
    rule : function
        Returns the `Rule` of a layer and its input shape.
    orders : function
        Returns the orders of features, by path of the parameter, see `anynet.weights.orders`.
    returned : function
        Returns the result of `Model.weights` for arrays by name.
    """

    rule: Callable[[Layer, Shape], Rule]
    orders: Callable[..., Mapping[Any, tuple[Order, ...]]]
    returned: Callable[[Arrays], Any]


LAYOUTS = {
    "torch": Layout(torch_layout, find_orders, dict),
    "keras": Layout(keras_layout, lambda layer, input_shape, calls: {}, lambda arrays: list(arrays.values())),
}

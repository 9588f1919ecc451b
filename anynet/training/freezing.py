"""Freeze layers of a model that is there already, and thaw them, without losing what the optimiser knows of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from anynet import tree
from anynet.checks import check_int
from anynet.layers import Frozen, Sequential
from anynet.layers.base import Layer


def parameters(layer: Layer, params: Any, path: tree.Path = ()) -> Iterator[tuple[tree.Path, Any]]:
    """Yield each parameter of a network that is trained or frozen, with its name.

    One inside `Frozen` comes twice, also under the name that it has when the layer is not frozen.
    """
    children = dict(layer.children())
    if not children:
        yield from tree.leaves_with_paths(layer.trainable(params), path)
    elif isinstance(params, dict):  # a container may have parameters of its own
        yield from tree.leaves_with_paths({key: value for key, value in params.items() if key not in children}, path)
    for key, child in children.items():
        yield from parameters(child, params[key], (*path, key))
        if isinstance(layer, Frozen):
            yield from parameters(child, params[key], path)


def set_frozen(model: Any, numbers: Sequence[int], frozen: bool) -> None:
    """Freeze or thaw some layers of a model; those that are as they should be stay."""
    where = "freeze" if frozen else "unfreeze"
    network = model.layer
    if not isinstance(network, Sequential):
        raise TypeError(
            f"{where}: expected a model of a list of layers, got one of {type(network).__name__}; "
            "write Frozen(...) around what shall stay"
        )
    layers: list[Any] = list(network.layers)
    params = list(model._carry[0])
    for number in numbers:
        if not -len(layers) <= check_int(where, "the number of a layer", number, at_least=-len(layers)) < len(layers):
            raise ValueError(f"{where}: expected the number of a layer < {len(layers)}, got {number}")
        if frozen and not isinstance(layers[number], Frozen):
            layers[number], params[number] = Frozen(layers[number]), {"layer": params[number]}
        elif not frozen and isinstance(layers[number], Frozen):
            layers[number], params[number] = layers[number].layer, params[number]["layer"]
    changed, old = Sequential(layers), model._carry[1]
    state = model.optimizer.init(changed.trainable(params)) if model.optimizer else {}
    known = dict(tree.leaves_with_paths(old))
    places = [(path, known.get(path, fresh)) for path, fresh in tree.leaves_with_paths(state)]
    state = tree.set_leaves(state, iter([array for _, array in places]), like=state)
    if "factor" in old:
        state["factor"] = old["factor"]
    model.layer = changed
    model._carry = (params, tree.map(lambda a: model.backend.asarray(a, copy=True), state), model._carry[2])
    model._compile()

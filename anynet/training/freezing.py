"""Freezing and unfreezing the layers of a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from anynet import tree
from anynet.checks import check_int
from anynet.config import ModelConfig
from anynet.layers import Frozen, Sequential
from anynet.layers.base import Layer
from anynet.optimizers import lr_factor
from anynet.training.state import TrainState


def parameters(layer: Layer, params: Any, path: tree.Path = ()) -> Iterator[tuple[tree.Path, Any]]:
    """Yield the path and the array of each trained or frozen parameter of a network.

    A parameter inside `Frozen` is yielded twice, also under its path when the layer is not frozen.
    """
    children = dict(layer.children())
    if not children:
        yield from tree.leaves_with_paths(layer.trainable(params), path)
    elif isinstance(params, dict):  # a container may have its own parameters
        yield from tree.leaves_with_paths({key: value for key, value in params.items() if key not in children}, path)
    for key, child in children.items():
        yield from parameters(child, params[key], (*path, key))
        if isinstance(layer, Frozen):
            yield from parameters(child, params[key], path)


def set_frozen(
    config: ModelConfig, state: TrainState, numbers: Sequence[int], frozen: bool
) -> tuple[ModelConfig, TrainState]:
    """Return the configuration and the state with some layers frozen or unfrozen.

    The optimizer state of the other layers is kept; layers already in the requested condition are not changed. That of an
    unfrozen layer starts as in `Optimizer.init`, while the step count, on which schedules depend, continues. Adam therefore
    does not correct the bias of the layer's new moments: with its defaults, a step is up to 6.6 times the learning rate in the
    first dozens of steps, instead of at most 1 for a gradient that stays the same.
    """
    where = "freeze" if frozen else "unfreeze"
    network = config.layer
    if not isinstance(network, Sequential):
        raise TypeError(
            f"{where}: expected a model of a list of layers, got one of {type(network).__name__}; "
            "write Frozen(...) around the layers to freeze"
        )
    layers: list[Any] = list(network.layers)
    params = list(state.params)
    for number in numbers:
        if not -len(layers) <= check_int(where, "the index of a layer", number, at_least=-len(layers)) < len(layers):
            raise ValueError(f"{where}: expected the index of a layer below {len(layers)}, got {number}")
        if frozen and not isinstance(layers[number], Frozen):
            layers[number], params[number] = Frozen(layers[number]), {"layer": params[number]}
        elif not frozen and isinstance(layers[number], Frozen):
            layers[number], params[number] = layers[number].layer, params[number]["layer"]
    config = replace(config, layer=Sequential(layers))
    return config, TrainState(params, _opt_state(config, params, state.opt_state), state.key)


def _opt_state(config: ModelConfig, params: Any, old: dict[str, Any]) -> dict[str, Any]:
    """Return the optimizer state for changed layers, with the learning-rate factor of `old`."""
    kept = {name: value for name, value in old.items() if name != lr_factor.KEY}
    new = config.optimizer.carried(config.layer.trainable(params), kept) if config.optimizer else {}
    return {**new, lr_factor.KEY: old[lr_factor.KEY]} if lr_factor.KEY in old else new

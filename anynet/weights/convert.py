"""The parameters of a network in the layout of another library, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.arrays.placeholder import PlaceholderGenerator
from anynet.checks import plural
from anynet.layers import Frozen
from anynet.layers.base import Layer, Params, Shape
from anynet.layers.hooks import LayerCall, with_hook
from anynet.tree import Path
from anynet.weights.orders import Order
from anynet.weights.rules import LAYOUTS, UNCHANGED, Arrays, Rule
from anynet.weights.sources import Source, keras_group, read

Names = Mapping[str, str | None] | Callable[[str], str | None] | None
"""For names there, names here, or None for an array to ignore."""

COUNTERS = "num_batches_tracked"
"""Ending of the names of PyTorch's counters of batches, which have no equivalent here."""


class Entry(NamedTuple):
    """A layer with parameters.

    Attributes
    ----------
    path : tuple
        Its path in `Model.params`, without the steps into `Frozen`: freezing a layer does not rename its parameters.
    layer : Layer
        The layer, or the container that has the parameters.
    paths, shapes : dict
        Paths in `Model.params` and shapes of its parameters, by their names in the layer.
    rule : Rule
        The other layout.
    orders : dict
        The order along each axis of parameters whose features may have another order there, by path.
    """

    path: Path
    layer: Layer
    paths: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]
    rule: Rule
    orders: Mapping[Path, tuple[Order, ...]]

    @property
    def expected(self) -> dict[str, tuple[int, ...]]:
        """The shapes in the other layout, by name in the layer."""
        arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in self.shapes.items()}
        return {name: array.shape for name, array in self.rule.there(arrays).items()}

    def full_name(self, name: str) -> str:
        """Return the name of an array of the layer in the network."""
        return tree.name((*self.path, name))

    def there(self, arrays: Arrays) -> Arrays:
        """Return the arrays in the other layout."""
        return self.rule.there({name: self._reordered(name, array, np.argsort) for name, array in arrays.items()})

    def here(self, arrays: Arrays) -> Arrays:
        """Return the inverse of `there`."""
        return {name: self._reordered(name, array, np.asarray) for name, array in self.rule.here(arrays).items()}

    def _reordered(self, name: str, array: np.ndarray, index: Callable[[Any], np.ndarray]) -> np.ndarray:
        for axis, order in enumerate(self.orders.get(self.paths[name], ())):
            if order.is_changed:
                array = np.take(array, index(order.positions), axis)
        return array


def to_layout(layer: Layer, input_shape: Shape, params: Params, layout: str) -> Any:
    """Return parameters in another layout; see `Model.weights`."""
    found: Arrays = {}
    for entry in _entries("weights", layer, input_shape, layout):
        arrays = {name: np.asarray(tree.get(params, path)) for name, path in entry.paths.items()}
        found |= {entry.full_name(name): np.array(array, order="C") for name, array in entry.there(arrays).items()}
    return LAYOUTS[layout].returned(found)


def from_layout(layer: Layer, input_shape: Shape, source: Any, layout: str, names: Names) -> Params:
    """Return the parameters in a source as NumPy arrays; see `Model.load_weights`."""
    entries = _entries("load_weights", layer, input_shape, layout)
    found_there = read(source, layout, [keras_group(type(entry.layer)) for entry in entries])
    arrays = _matched(found_there, [entry.full_name(name) for entry in entries for name in entry.expected], names)
    found: dict[Path, np.ndarray] = {}
    for entry in entries:
        there = {name: arrays[entry.full_name(name)] for name in entry.expected}
        for name, shape in entry.expected.items():
            if there[name].array.shape != shape:
                raise _wrong_shape(entry, name, there[name], layout)
        here = entry.here({name: one.array for name, one in there.items()})
        found |= {entry.paths[name]: array for name, array in here.items()}
    params, _ = layer.init(PlaceholderGenerator(), input_shape)
    return tree.set_leaves(params, iter([found[path] for path, _ in tree.leaves_with_paths(params)]), like=params)


def _entries(where: str, layer: Layer, input_shape: Shape, layout: str) -> list[Entry]:
    """Return the layers with parameters in the order of `Model.params`."""
    if layout not in LAYOUTS:
        raise ValueError(f"{where}: expected layout {' or '.join(map(repr, LAYOUTS))}, got {layout!r}")
    calls: dict[Path, LayerCall] = {}
    params, _ = with_hook(layer, lambda call: calls.update({call.path: call})).init(PlaceholderGenerator(), input_shape)
    orders = LAYOUTS[layout].orders(layer, input_shape, calls)
    entries: dict[Path, Entry] = {}
    for path, array in tree.leaves_with_paths(params):
        owner = next((path[:length] for length in range(len(path)) if path[:length] in calls), path[:-1])
        if owner not in entries:
            call = calls.get(owner)  # None for the parameters of a container itself
            rule = UNCHANGED if call is None else LAYOUTS[layout].rule(call.layer, call.input)
            entries[owner] = Entry(_named(layer, owner), layer if call is None else call.layer, {}, {}, rule, orders)
        name = tree.name(path[len(owner) :])
        entries[owner].paths[name], entries[owner].shapes[name] = path, tuple(array.shape)
    return list(entries.values())


def _named(layer: Layer, path: Path) -> Path:
    """Return a path without the steps into `Frozen`."""
    named = []
    for key in path:
        if not isinstance(layer, Frozen):
            named.append(key)
        layer = dict(layer.children()).get(key, layer)
    return tuple(named)


class Given(NamedTuple):
    """An array of a source, with its name there."""

    name: str
    array: np.ndarray


def _matched(source: Source, expected: list[str], names: Names) -> dict[str, Given]:
    """Return the array for each expected name: by `names`, by equal names, or in order."""
    rename = _renaming(names, source.arrays)
    given = {name: array for name, array in source.arrays.items() if name.rpartition(".")[2] != COUNTERS}
    renamed = {name: rename(name) for name in given}
    targets = [target for target in renamed.values() if target is not None]
    if names is None and sorted(targets) != sorted(expected) and len(targets) == len(expected):
        if not source.in_order or not all(map(_agree, renamed, expected)):
            raise ValueError(
                f"load_weights: expected the names {_listed(expected)}, got {_listed(list(given))}, which are not in the order "
                "of the layers either; pass names={name there: name here}"
            )
        renamed = dict(zip(renamed, expected, strict=True))
    elif sorted(targets) != sorted(expected):
        missing = [name for name in expected if name not in targets]
        odd = [
            f"{name} for {target}" if name != target else name
            for name, target in renamed.items()
            if target is not None and (target not in expected or targets.count(target) > 1)
        ]
        parts = [
            f"{len(found)} {what}: {_listed(found)}"
            for found, what in ((missing, "missing"), (odd, "unexpected"))
            if found
        ]
        raise ValueError(
            f"load_weights: expected {plural(len(expected), 'array')}, got {len(targets)}; {'; '.join(parts)}; pass "
            "names={name there: name here}, with None for an array to ignore"
        )
    return {target: Given(name, given[name]) for name, target in renamed.items() if target is not None}


def _agree(there: str, here: str) -> bool:
    """Return whether names of arrays that were matched in order can mean the same, as weight and bias cannot."""
    last, expected = there.rpartition(".")[2], here.rpartition(".")[2]
    return last == expected or last not in ("weight", "bias", "running_mean", "running_var")


def _renaming(names: Names, given: Arrays) -> Callable[[str], str | None]:
    if names is None:
        return lambda name: name
    if callable(names):
        return names
    if not isinstance(names, Mapping):
        raise TypeError(f"load_weights: expected names to be a dict or a function, got {names!r}")
    unknown = [name for name in names if name not in given]
    if unknown:
        raise ValueError(
            f"load_weights: expected names of arrays in the source as keys of names, got {_listed(unknown)}; the source has "
            f"{_listed(list(given))}"
        )
    return lambda name: names.get(name, name)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _wrong_shape(entry: Entry, name: str, there: Given, layout: str) -> ValueError:
    """Return the error of an array that does not fit, which names both shapes, the rule and the likely cause."""
    expected, here = entry.expected[name], entry.shapes.get(name)
    target = entry.full_name(name)
    of = f"{there.name} for {target}" if there.name != target else target
    hint = ""
    if there.array.shape == here:
        hint = "; it has the shape of anynet's and Keras's layout: pass layout='keras'"
    elif there.array.shape == expected[::-1]:
        hint = "; it is transposed"
    elif there.name != target:
        hint = "; arrays were matched in order, pass names={name there: name here} for another order"
    return ValueError(
        f"load_weights: expected {of} of shape {expected} in layout {layout!r}, {here} in {type(entry.layer).__name__} here "
        f"({entry.rule.note}), got {there.array.shape}{hint}"
    )

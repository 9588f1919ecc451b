"""The state that training changes, and its owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from anynet import random, tree
from anynet.arrays.namespace import Array
from anynet.arrays.placeholder import Placeholder
from anynet.backends.base import Backend
from anynet.backends.carry import opened
from anynet.checks import plural
from anynet.config import ModelConfig
from anynet.initializers import transposed_hint
from anynet.optimizers import lr_factor


class TrainState(NamedTuple):
    """Everything that a training step changes.

    Attributes
    ----------
    params : tree of arrays
        Parameters and buffers of the network.
    opt_state : dict
        State of the optimizer; empty without one.
    key : array of shape (2,)
        Random key of the next step.
    """

    params: tree.Tree
    opt_state: dict[str, Any]
    key: Array


def initial_state(config: ModelConfig, backend: Backend, params: tree.Tree) -> TrainState:
    """Return the state before the first step, given initial parameters on the host."""
    dtype = backend.dtype(config.dtype)
    params = tree.map(lambda a: backend.asarray(a, dtype, copy=True), params)
    optimizer = config.optimizer
    opt_state = backend.compile(optimizer.init)(config.layer.trainable(params)) if optimizer else {}
    return place_state(TrainState(params, opt_state, random.make_key(config.seed)), backend)


def restarted(old: TrainState, config: ModelConfig, backend: Backend, params: tree.Tree) -> TrainState:
    """Return the initial state for new parameters, with the old key and learning-rate factor."""
    new = initial_state(config, backend, params)
    kept = {name: value for name, value in old.opt_state.items() if name == lr_factor.KEY}
    return TrainState(new.params, {**new.opt_state, **kept}, old.key)


def place_state(state: TrainState, backend: Backend, dtype: Any = None) -> TrainState:
    """Return a copy of a state on a backend, with parameters of the given dtype.

    All of its arrays are copies, because JAX would recompile the step for arrays whose memory it may not reuse.
    """
    params = tree.map(lambda a: backend.asarray(a, dtype, copy=True), state.params)
    opt_state, key = tree.map(lambda a: backend.asarray(a, copy=True), (state.opt_state, state.key))
    return TrainState(params, opt_state, key)


def place_like(where: str, old: tree.Tree, new: tree.Tree, place: Callable[[Any], Array]) -> tree.Tree:
    """Return `new` placed in the structure of `old`; raise ValueError unless names and shapes agree."""
    expected, given = dict(tree.leaves_with_paths(old)), dict(tree.leaves_with_paths(new))
    if expected.keys() != given.keys():
        sides = {"without": expected.keys() - given.keys(), "with an additional": given.keys() - expected.keys()}
        odd = " and ".join(f"{word} {_names(paths)}" for word, paths in sides.items() if paths)
        count = plural(len(expected), "array")
        inside = any(path[:length] in expected for path in given for length in range(1, len(path)))
        advice = "; convert lists of numbers by np.array" if inside else ""
        raise ValueError(
            f"{where}: expected {count} as in Model.{where}, got {len(given)}, {odd}; assign {_outline(old)}{advice}"
        )
    placed = []
    for path, array in expected.items():
        placed.append(place(given[path]))
        if tuple(placed[-1].shape) != tuple(array.shape):
            shapes = tuple(array.shape), tuple(placed[-1].shape)
            raise ValueError(
                f"{where}: expected {tree.name(path)} of shape {shapes[0]}, got {shapes[1]}{transposed_hint(*shapes)}"
            )
    return tree.set_leaves(old, iter(placed), like=old)


def _names(paths: Iterable[tree.Path]) -> str:
    """Return the first names of paths, with repr for keys of a flat dict that look like paths."""
    names = sorted(repr(path[0]) if len(path) == 1 and isinstance(path[0], str) else tree.name(path) for path in paths)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _outline(old: tree.Tree) -> str:
    """Return the structure of a tree in short, such as ``[{'weight': ..., 'bias': ...}, {}]``."""
    if isinstance(old, dict):
        return "{" + ", ".join(f"{key!r}: {_outline(value)}" for key, value in list(old.items())[:3]) + "}"
    if isinstance(old, (list, tuple)):
        return "[" + ", ".join(map(_outline, old[:3])) + (", ...]" if len(old) > 3 else "]")
    return "..."


def placeholder_state(config: ModelConfig, params: tree.Tree) -> TrainState:
    """Return the initial state as placeholders, given parameters drawn by a `PlaceholderGenerator`."""
    params = tree.map(lambda a: Placeholder(np.shape(a), config.dtype), params)
    opt_state = config.optimizer.init(config.layer.trainable(params)) if config.optimizer else {}
    return TrainState(params, opt_state, random.make_key(config.seed))


def fit_state(old: TrainState, new: TrainState, backend: Backend, dtype: Any) -> TrainState:
    """Return copies of the arrays of `new` in the structure of `old`.

    Raise ValueError if names or shapes differ. Either state may lack the learning-rate factor, which exists only once it has
    been set.
    """
    opt_state = {name: value for name, value in old.opt_state.items() if name != lr_factor.KEY}
    if lr_factor.KEY in new.opt_state:
        opt_state[lr_factor.KEY] = new.opt_state[lr_factor.KEY]
    params = place_like("state.params", old.params, new.params, lambda a: backend.asarray(a, dtype, copy=True))
    rest = {"opt_state": opt_state, "key": old.key}
    rest = place_like(
        "state", rest, {name: getattr(new, name) for name in rest}, lambda a: backend.asarray(a, copy=True)
    )
    return TrainState(params, **rest)


class StateOwner:
    """Owner of a training state, which a step may overwrite while other threads read it.

    A step does not wait for readers to finish: if its arrays have readers, it copies the arrays first. A new reader waits for
    the current step to end.

    Parameters
    ----------
    state : TrainState
        The initial state. The owner takes over its arrays, so the caller must no longer use them.
    backend : Backend
        The backend of the arrays.
    """

    def __init__(self, state: TrainState, backend: Backend) -> None:
        self._state, self._backend = state, backend
        self._readers: set[object] = set()
        self._lock, self._turn, self._is_awaited = RLock(), RLock(), False

    @property
    def shared(self) -> TrainState:
        """The state, safe to keep: later steps never change its arrays."""
        return self.lend(object())

    def read(self) -> Reading:
        """Return a context with the state, whose arrays no step changes until the context ends."""
        return Reading(self)

    def update(self, step: Callable[..., tuple[TrainState, Any]], *args: Any) -> Any:
        """Call ``step(state, *args) -> state, output`` of the backend, keep the new state, and return the output.

        The step may overwrite or donate the arrays of the old state. Those of the new state then belong to the owner.
        """
        if self._is_awaited:  # this thread would take the lock again before a waiting reader wakes up
            with self._turn:
                pass
        with self._lock:
            state = self._state
            if self._readers:
                state = place_state(opened(state), self._backend)
            self._state, output = step(state, *args)
            if self._readers:
                self._readers = set()
            return output

    def change(self, function: Callable[[TrainState], tuple[TrainState, Any]]) -> Any:
        """Call ``function(state) -> state, output`` like a step; it takes the state as a tree of arrays."""
        return self.update(lambda state: function(opened(state)))

    def replace(self, state: TrainState) -> None:
        """Replace the state, and take ownership of the arrays of the new one."""
        with self._lock:
            self._state, self._readers = state, set()

    def lend(self, reader: object) -> TrainState:
        """Return the state, and protect its arrays from changes until `take_back`, or forever."""
        with self._turn:
            self._is_awaited = True
            with self._lock:
                self._is_awaited = False
                self._readers.add(reader)
                return opened(self._state)

    def take_back(self, reader: object) -> None:
        """End the loan to a reader; no effect if the state has been replaced since."""
        self._readers.discard(reader)


class Reading:
    """Context in which no step changes the arrays of a state."""

    def __init__(self, owner: StateOwner) -> None:
        self._owner = owner

    def __enter__(self) -> TrainState:
        return self._owner.lend(self)

    def __exit__(self, *exception: Any) -> None:
        self._owner.take_back(self)

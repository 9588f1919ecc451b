"""Nested dicts, lists and tuples of arrays: the shape that parameters, gradients and optimiser state share.

Dictionaries are paired by key, never by order: a dict that has been through ``jax.jit`` comes back sorted.
Where two trees differ, `like` (gradients, say) names the places that count, and `tree` (parameters) may have more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

Tree = Any
"""An array, or a dict, list or tuple of trees."""

Path = tuple[str | int, ...]


def places(tree: Tree, prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf of `tree` with the path of keys and indices that leads to it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, (*prefix, key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from places(value, (*prefix, index))
    elif tree is not None:
        yield prefix, tree


def leaves(tree: Tree, like: Tree = None) -> list[Any]:
    """Return the leaves of `tree` at the places that `like` has, in the order of `like`.

    Examples
    --------
    >>> leaves({"weight": 1, "bias": 2, "mean": 3}, like={"bias": 0, "weight": 0})
    [2, 1]
    """
    found: list[Any] = []
    _collect(tree, tree if like is None else like, found)
    return found


def _collect(tree: Tree, like: Tree, found: list[Any]) -> None:
    if isinstance(like, dict):
        for key, value in like.items():
            _collect(tree[key], value, found)
    elif isinstance(like, (list, tuple)):
        for part, value in zip(tree, like, strict=True):
            _collect(part, value, found)
    elif like is not None:
        found.append(tree)


def rows(like: Tree, *trees: Tree) -> list[tuple[Any, ...]]:
    """Return, for each leaf of `like`, the leaves of `trees` at the same place.

    Examples
    --------
    >>> rows({"weight": 0}, {"weight": 1, "mean": 3}, {"weight": 2})
    [(1, 2)]
    """
    found: list[tuple[Any, ...]] = []
    _collect_rows(like, trees, found)
    return found


def _collect_rows(like: Tree, trees: tuple[Tree, ...], found: list[tuple[Any, ...]]) -> None:
    """Walk once, and call itself for containers only: this runs in every training step."""
    for key, value in like.items() if isinstance(like, dict) else enumerate(like):
        parts = tuple([tree[key] for tree in trees])
        if isinstance(value, (dict, list, tuple)):
            if value:
                _collect_rows(value, parts, found)
        elif value is not None:
            found.append(parts)


def replace(tree: Tree, new: Iterator[Any], like: Tree) -> Tree:
    """Return `tree` with its leaves at the places of `like` taken, in that order, from `new`.

    Examples
    --------
    >>> replace({"weight": 1, "mean": 3}, iter([10]), like={"weight": 0})
    {'weight': 10, 'mean': 3}
    """
    if isinstance(like, dict):
        return {**tree, **{key: replace(tree[key], new, value) for key, value in like.items()}}
    if isinstance(like, (list, tuple)):
        return type(like)(replace(part, new, value) for part, value in zip(tree, like, strict=True))
    return tree if like is None else next(new)


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply `f` to each leaf of `tree` and to the leaves of `rest` at the same place.

    Examples
    --------
    >>> map(lambda a, b: a + b, {"weight": 1}, {"weight": 2, "mean": 3})
    {'weight': 3}
    """
    columns = [leaves(other, like=tree) for other in (tree, *rest)]
    return replace(tree, iter([f(*row) for row in zip(*columns, strict=True)]), like=tree)


def select(tree: Tree, wanted: Callable[[Path, Any], bool], prefix: Path = ()) -> Tree:
    """Return `tree` with None in place of each leaf that is not wanted.

    Examples
    --------
    >>> select([{"weight": 1, "bias": 2}, {}], lambda path, leaf: path[-1] == "bias")
    [{'weight': None, 'bias': 2}, {}]
    """
    if isinstance(tree, dict):
        return {key: select(value, wanted, (*prefix, key)) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(select(value, wanted, (*prefix, index)) for index, value in enumerate(tree))
    return tree if tree is not None and wanted(prefix, tree) else None


def matches(pattern: str | int | None, path: Path, leaf: Any) -> bool:
    """Return whether a parameter is meant: by its name, by its number of axes, or, with None, by having two or more.

    Weights have two axes or more, biases and the scales of normalisation have one.

    Examples
    --------
    >>> import numpy as np
    >>> [matches(pattern, (0, "bias"), np.zeros(3)) for pattern in ("0.*", "*bias", "1.*", 1, 2, None)]
    [True, True, False, True, False, False]
    """
    if isinstance(pattern, str):
        return fnmatchcase(name(path), pattern)
    return leaf.ndim >= 2 if pattern is None else leaf.ndim == pattern


def each(f: Callable[[Any], Any], data: Any) -> Any:
    """Apply `f` to an array, or to each of a tuple of arrays, nested or not; None stays None.

    What `map` does too, without the search for structure that a small batch would notice.

    Examples
    --------
    >>> each(abs, (-1, (-2, None)))
    (1, (2, None))
    """
    if isinstance(data, tuple):
        return tuple([each(f, part) for part in data])
    return None if data is None else f(data)


def get(tree: Tree, path: Path) -> Any:
    """Return what stands in `tree` at `path`."""
    for key in path:
        tree = tree[key]
    return tree


def name(path: Path) -> str:
    """Write a path as text: ``("0", "weight")`` becomes ``"0.weight"``."""
    return ".".join(str(key) for key in path)

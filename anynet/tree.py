"""Trees: nested dicts, lists and tuples of arrays, such as parameters, gradients and optimizer state.

Dictionaries are matched by key, never by order, because ``jax.jit`` returns them sorted. Where two trees differ, `like`
(for example gradients) selects the leaves, and `tree` (for example parameters) may have others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

Tree = Any
"""An array, or a dict, list or tuple of trees."""

Path = tuple[str | int, ...]


def leaves_with_paths(tree: Tree, prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf of `tree` with its path of keys and indices."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves_with_paths(value, (*prefix, key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from leaves_with_paths(value, (*prefix, index))
    elif tree is not None:
        yield prefix, tree


def leaves(tree: Tree, like: Tree = None) -> list[Any]:
    """Return the leaves of `tree` at the paths of `like`, in the order of `like`.

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


def zip_leaves(like: Tree, *trees: Tree) -> list[tuple[Any, ...]]:
    """Return the leaves of `trees` at the path of each leaf of `like`, as tuples.

    Examples
    --------
    >>> zip_leaves({"weight": 0}, {"weight": 1, "mean": 3}, {"weight": 2})
    [(1, 2)]
    """
    if not isinstance(like, (dict, list, tuple)):
        return [] if like is None else [trees]
    found: list[tuple[Any, ...]] = []
    _zip_into(like, trees, found)
    return found


def _zip_into(like: Tree, trees: tuple[Tree, ...], found: list[tuple[Any, ...]]) -> None:
    # One pass that recurses into containers only, because it runs in every training step.
    for key, value in like.items() if isinstance(like, dict) else enumerate(like):
        parts = tuple([tree[key] for tree in trees])
        if isinstance(value, (dict, list, tuple)):
            if value:
                _zip_into(value, parts, found)
        elif value is not None:
            found.append(parts)


def set_leaves(tree: Tree, new: Iterator[Any], like: Tree) -> Tree:
    """Return `tree` with the leaves at the paths of `like` replaced, in order, by `new`.

    Examples
    --------
    >>> set_leaves({"weight": 1, "mean": 3}, iter([10]), like={"weight": 0})
    {'weight': 10, 'mean': 3}
    """
    if isinstance(like, dict):
        return {**tree, **{key: set_leaves(tree[key], new, value) for key, value in like.items()}}
    if isinstance(like, (list, tuple)):
        return sequence_like(like, [set_leaves(part, new, value) for part, value in zip(tree, like, strict=True)])
    return tree if like is None else next(new)


def sequence_like(sequence: Any, parts: list[Any]) -> Any:
    """Return `parts` as a list, tuple or named tuple, whichever `sequence` is."""
    kind = type(sequence)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply `f` to each leaf of `tree` and the matching leaves of `rest`.

    Examples
    --------
    >>> map(lambda a, b: a + b, {"weight": 1}, {"weight": 2, "mean": 3})
    {'weight': 3}
    """
    columns = [leaves(other, like=tree) for other in (tree, *rest)]
    return set_leaves(tree, iter([f(*row) for row in zip(*columns, strict=True)]), like=tree)


def select(tree: Tree, keep: Callable[[Path, Any], bool], prefix: Path = ()) -> Tree:
    """Return `tree` with None in place of each leaf for which ``keep(path, leaf)`` is false.

    Examples
    --------
    >>> select([{"weight": 1, "bias": 2}, {}], lambda path, leaf: path[-1] == "bias")
    [{'weight': None, 'bias': 2}, {}]
    """
    if isinstance(tree, dict):
        return {key: select(value, keep, (*prefix, key)) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return sequence_like(tree, [select(value, keep, (*prefix, index)) for index, value in enumerate(tree)])
    return tree if tree is not None and keep(prefix, tree) else None


def matches(pattern: str | int | None, path: Path, leaf: Any) -> bool:
    """Return whether a parameter matches a pattern of names or a number of axes.

    None matches at least two axes, as of weights; biases and normalization scales have one.

    Examples
    --------
    >>> import numpy as np
    >>> [matches(pattern, (0, "bias"), np.zeros(3)) for pattern in ("0.*", "*bias", "1.*", 1, 2, None)]
    [True, True, False, True, False, False]
    """
    if isinstance(pattern, str):
        return fnmatchcase(name(path), pattern)
    return leaf.ndim >= 2 if pattern is None else leaf.ndim == pattern


def map_arrays(f: Callable[[Any], Any], data: Any) -> Any:
    """Apply `f` to an array, or to all arrays of nested tuples; None stays None.

    Faster than `map`, whose general walk takes noticeable time on small batches.

    Examples
    --------
    >>> map_arrays(abs, (-1, (-2, None)))
    (1, (2, None))
    """
    if isinstance(data, tuple):
        return tuple([map_arrays(f, part) for part in data])
    return None if data is None else f(data)


def get(tree: Tree, path: Path) -> Any:
    """Return the subtree of `tree` at `path`."""
    for key in path:
        tree = tree[key]
    return tree


def name(path: Path) -> str:
    """Return a path as text, for example ``"0.weight"`` for ``(0, "weight")``."""
    return ".".join(str(key) for key in path)

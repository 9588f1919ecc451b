"""The carry of compiled steps on JAX, for a small network one array.

JAX takes about a microsecond to pass an array to a compiled function and back, longer than a small network computes with it.
The arrays of such a network are therefore joined from one step to the next, and the step cuts them apart. An update rule runs on
joined arrays, too, so that XLA finds most cuts undone and compiles nothing for them. Large arrays would take longer to join.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, ClassVar

import jax
import jax.numpy as xp

from anynet import tree
from anynet.backends.carry import Carry

MAX_NUMBERS = 2**15
"""Arrays with more numbers in total are not joined."""


class Layout:
    """The structure of a tree of arrays, with the shape and dtype of each. Equal layouts are one object.

    JAX compares the layouts of a call with those that it has compiled, which is fast for the same object. Equal dicts may differ
    in the order of their keys; joined arrays have the order in which the keys first occur, so that each slot of an optimizer has
    the order of the parameters.
    """

    _known: ClassVar[dict[Any, Layout]] = {}

    def __init__(self, like: tree.Tree) -> None:
        shapes = tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
        self.like = _ordered(shapes, {})
        self.kinds = tree.leaves(self.like)
        self.is_joined = sum(a.size for a in self.kinds) <= MAX_NUMBERS

    @classmethod
    def of(cls, arrays: tree.Tree) -> Layout:
        """Return the layout of a tree of arrays."""
        leaves, structure = jax.tree.flatten(arrays)
        key = structure, tuple([(a.shape, a.dtype) for a in leaves])
        return cls._known.get(key) or cls._known.setdefault(key, cls(arrays))

    def leaves(self, arrays: tree.Tree) -> list[Any]:
        """Return the leaves of a tree of this layout."""
        return tree.leaves(arrays, like=self.like)

    def restore(self, leaves: Iterator[Any]) -> tree.Tree:
        """Return the tree of these leaves."""
        return tree.set_leaves(self.like, leaves, like=self.like)


def _ordered(part: tree.Tree, ranks: dict[Any, int]) -> tree.Tree:
    """Return a tree whose dicts have their keys in the order in which these first occur in the whole tree."""
    if isinstance(part, dict):
        keys = sorted(part, key=lambda key: ranks.setdefault(key, len(ranks)))
        return {key: _ordered(part[key], ranks) for key in keys}
    if isinstance(part, (list, tuple)):
        return tree.sequence_like(part, [_ordered(each, ranks) for each in part])
    return part


@partial(jax.tree_util.register_dataclass, data_fields=("arrays",), meta_fields=("layout",))
class JaxCarry(Carry):
    """A tree of arrays as a list: its leaves, or joined arrays."""

    def __init__(self, arrays: list[Any], layout: Layout) -> None:
        self.arrays, self.layout = arrays, layout
        self._tree: tree.Tree = None

    @property
    def tree(self) -> tree.Tree:
        """The tree, the same one each time."""
        if self._tree is None:
            self._tree = (_unpack_compiled if self.layout.is_joined else unpack)(self)
        return self._tree


def _joined(leaves: list[Any]) -> list[Any]:
    """Return arrays of words with the numbers of all arrays."""
    words: dict[Any, list[Any]] = {}
    for dtype in _dtypes(leaves):
        numbers = xp.concatenate([xp.ravel(a) for a in leaves if a.dtype == dtype])
        words.setdefault(_word(dtype), []).append(_viewed(numbers, _word(dtype)))
    return [xp.concatenate(parts) for parts in words.values()]


def _dtypes(arrays: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(a.dtype for a in arrays))


def _word(dtype: Any) -> Any:
    """Return the dtype that numbers of a dtype are joined as: one for all of 4 bytes."""
    return xp.dtype("int32") if dtype.itemsize == 4 else dtype


def _viewed(array: Any, dtype: Any) -> Any:
    return array if array.dtype == dtype else jax.lax.bitcast_convert_type(array, dtype)


def pack(arrays: tree.Tree, join: Callable[[list[Any]], list[Any]] = _joined) -> JaxCarry:
    """Return a tree of arrays as a carry, in a compiled function."""
    layout = Layout.of(arrays)
    leaves = layout.leaves(arrays)
    return JaxCarry(join(leaves) if layout.is_joined else leaves, layout)


def unpack(carry: JaxCarry) -> tree.Tree:
    """Return the tree of arrays of a carry, in a compiled function."""
    layout = carry.layout
    if not layout.is_joined:
        return layout.restore(iter(carry.arrays))
    numbers = _by_dtype(carry)
    ends, leaves = dict.fromkeys(numbers, 0), []
    for kind in layout.kinds:
        leaves.append(_cut(numbers[kind.dtype], ends[kind.dtype], kind.shape))
        ends[kind.dtype] += kind.size
    return layout.restore(iter(leaves))


def _by_dtype(carry: JaxCarry) -> dict[Any, Any]:
    """Return the numbers of each dtype."""
    kinds = carry.layout.kinds
    ends = dict.fromkeys(map(_word, _dtypes(kinds)), 0)
    words, numbers = dict(zip(ends, carry.arrays, strict=True)), {}
    for dtype in _dtypes(kinds):
        word, size = _word(dtype), sum(kind.size for kind in kinds if kind.dtype == dtype)
        numbers[dtype] = _viewed(_cut(words[word], ends[word], (size,)), dtype)
        ends[word] += size
    return numbers


def _cut(numbers: Any, start: int, shape: tuple[int, ...]) -> Any:
    """Return the array of a shape whose numbers begin at a position."""
    return xp.reshape(numbers[start : start + math.prod(shape)], shape)


_joined_compiled, _unpack_compiled = jax.jit(_joined), jax.jit(unpack)


def as_carry(state: Any) -> JaxCarry:
    """Return a carry or a tree of arrays as a carry."""
    return state if type(state) is JaxCarry else pack(state, _joined_compiled)


def run_joined(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Backend.elementwise` of a rule, which runs on small arrays joined as in a carry."""

    def run(leaf_groups: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        columns = list(zip(*leaf_groups, strict=True))
        if not _can_join(columns):
            return [rule(*group, *coefficients) for group in leaf_groups]
        new = rule(*[xp.concatenate([xp.ravel(a) for a in column]) for column in columns], *coefficients)
        ends = list(accumulate(p.size for p in columns[0]))
        parts = [[_cut(a, end - p.size, p.shape) for end, p in zip(ends, columns[0], strict=True)] for a in new]
        return list(zip(*parts, strict=True))

    return run


def _can_join(columns: Sequence[Sequence[Any]]) -> bool:
    is_small = sum(a.size for column in columns for a in column) <= MAX_NUMBERS
    return is_small and all(len(_dtypes(column)) == 1 for column in columns)

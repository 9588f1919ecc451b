"""Run an update rule over all small parameters at once, laid end to end.

Each operation on a GPU is a launch, which takes longer than its work on a small array. Parameters and slots become views of one
array each, and later steps find that array again. Only the gradients are concatenated in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

MAX_NUMBERS = 2**20
"""Parameters with more numbers are updated one by one, because their launches take less time than a copy of their gradients."""

base_of = attrgetter("_base")  # the array of a view; a public attribute of PyTorch, in spite of its name

Groups = Sequence[tuple[Any, ...]]


def run_flat(torch: Any, rule: Callable[..., Any]) -> Callable[[Groups, tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return `Backend.elementwise` of a rule on PyTorch, with the same numbers as `run_whole`."""

    def run(leaf_groups: Groups, coefficients: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        small = [i for i, group in enumerate(leaf_groups) if group[0].numel() <= MAX_NUMBERS]
        if len(small) < 2 or len({array.dtype for i in small for array in leaf_groups[i]}) > 1:
            small = []
        new = {i: rule(*group, *coefficients) for i, group in enumerate(leaf_groups) if i not in set(small)}
        if small:
            columns = list(zip(*[leaf_groups[i] for i in small], strict=True))
            flat = [_flat(torch, column) for column in columns]
            results = rule(*flat, *coefficients)
            parts = [
                column if result is array is base_of(column[0]) else _parts(result, column)
                for result, array, column in zip(results, (flat[0], *flat[2:]), (columns[0], *columns[2:]), strict=True)
            ]
            new |= dict(zip(small, zip(*parts, strict=True), strict=True))
        return [new[i] for i in range(len(leaf_groups))]

    return run


def _flat(torch: Any, arrays: Sequence[Any]) -> Any:
    """Return the array whose parts are the given ones, or else a concatenated copy."""
    base, offset = base_of(arrays[0]), 0
    for array in arrays:
        if base_of(array) is not base or array.storage_offset() != offset or not array.is_contiguous():
            base = None
        offset += array.numel()
    if base is not None and base.ndim == 1 and base.numel() == offset:
        return base
    return torch.cat([array.reshape(-1) for array in arrays])


def _parts(flat: Any, like: Sequence[Any]) -> list[Any]:
    """Return views of consecutive parts in the given shapes."""
    return [part.view(each.shape) for part, each in zip(flat.split([a.numel() for a in like]), like, strict=True)]

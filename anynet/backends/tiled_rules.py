"""Run update rules in place over tiles that fit in the cache.

A rule of ten operations on a large array streams ten temporaries through memory. Tiles keep them in the cache, and are
large enough that a NumPy call takes much less time than its arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from anynet.arrays.namespace import Array, namespace

TILE_ELEMENTS = 32768  # elements: 128 KiB of float32


def run_tiled(rule: Callable[..., Any], tile: int = TILE_ELEMENTS) -> Callable[..., None]:
    """Return ``run(rows, coefficients)``, which updates rows ``(p, g, *slots)`` in place."""

    def update(parts: Sequence[Any], coefficients: tuple[Any, ...]) -> None:
        new = rule(*parts, *coefficients)
        for old, part in zip((parts[0], *parts[2:]), new, strict=True):
            if part is not old:
                old[...] = part

    def run(rows: Sequence[tuple[Array, ...]], coefficients: tuple[Any, ...]) -> None:
        for row in rows:
            size = math.prod(row[0].shape)
            if size <= tile:
                update(row, coefficients)
                continue
            reshape = namespace(row[0]).reshape
            flat = [reshape(array, (-1,)) for array in row]
            for i in range(0, size, tile):
                update([array[i : i + tile] for array in flat], coefficients)
            write_back(row, flat)

    return run


def write_back(row: Sequence[Any], flat: Sequence[Any]) -> None:
    """Copy flattened results back into arrays that are not contiguous, except gradients."""
    for array, new in zip((row[0], *row[2:]), (flat[0], *flat[2:]), strict=True):
        if not array.flags.c_contiguous:
            array[...] = namespace(array).reshape(new, array.shape)

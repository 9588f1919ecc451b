"""Geometry of sliding windows, and their gathering and scattering by shifted slices.

A window of k taps slides over an axis of L inputs, padded to L + a + b. With stride s and dilation d, output o depends on
the padded inputs o·s + i·d for i < k, so the inputs of one tap for all outputs are a single strided slice, which the
array API supports.

Legend: N batch, H W height and width, C channels; k taps, s stride, d dilation of one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_api_compat import device

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.checks import ANY_SIZE, check_int

Pair = tuple[int, int]
Axis = tuple[int, Pair, int, int]
"""Length, padding, taps and stride of an axis."""
Padding = Any
""""valid", "same" or ((above, below), (left, right))."""


def pair(where: str, name: str, value: Any, *, at_least: int = 1) -> Pair:
    """Return an int or a pair of ints as a pair, for height and width."""
    if not isinstance(value, (list, tuple)):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"{where}: expected {name} to be an int or two, for height and width, got {value!r}")
    first, second = (check_int(where, name, v, at_least=at_least) for v in value)
    return first, second


def check_padding(where: str, value: Any) -> Padding:
    """Return padding as "valid", "same" or ((above, below), (left, right))."""
    if isinstance(value, str):
        if value not in ("valid", "same"):
            raise ValueError(f"{where}: expected padding to be 'valid', 'same' or numbers, got {value!r}")
        return value
    if not isinstance(value, (list, tuple)):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"{where}: expected padding for two axes, height and width, got {value!r}")
    above, left = (pair(where, "padding", v, at_least=0) for v in value)
    return above, left


def pads(padding: Padding, axis: int, length: int, k: int, s: int, d: int) -> Pair:
    """Return the numbers of zeros before and after an axis; axis 0 is the height.

    "same" pads for ⌈L/s⌉ outputs, with an odd zero at the end, as TensorFlow does (PyTorch: only for s = 1).
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = d * (k - 1) if s == 1 else max((-(-length // s) - 1) * s + d * (k - 1) + 1 - length, 0)
        return total // 2, total - total // 2
    return padding[axis]


def outputs(length: int, pad: Pair, k: int, s: int, d: int) -> int:
    """Return the number of positions of the window, ⌊(L + a + b − d(k − 1) − 1)/s⌋ + 1; below 1 if it does not fit."""
    return (length + sum(pad) - d * (k - 1) - 1) // s + 1


def output_size(padding: Padding, axis: int, length: int, k: int, s: int, d: int) -> int:
    """Return the number of positions along an axis, `ANY_SIZE` if its length is that."""
    return length if length == ANY_SIZE else outputs(length, pads(padding, axis, length, k, s, d), k, s, d)


def fits(sizes: Sequence[int]) -> bool:
    """Return whether the window has a position along each axis; any size fits."""
    return all(size == ANY_SIZE or size >= 1 for size in sizes)


def pad(x: Array, axis: int, before: int, after: int, value: float = 0.0) -> Array:
    """Pad an axis with `value` before and after its elements; negative numbers crop."""
    xp = namespace(x)
    length = x.shape[axis]
    if before < 0 or after < 0:
        keep = slice(max(-before, 0), length - max(-after, 0))
        x = x[(slice(None),) * axis + (keep,) + (slice(None),) * (x.ndim - axis - 1)]
    sides = [
        xp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, dtype=x.dtype, device=device(x)) if n > 0 else None
        for n in (before, after)
    ]
    parts = [part for part in (sides[0], x, sides[1]) if part is not None]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def taps(x: Array, axis: int, k: int, s: int, d: int, count: int) -> list[Array]:
    """Return, for each tap, the padded inputs of `count` outputs: k slices of `x` along `axis`."""
    lead, rest = (slice(None),) * axis, (slice(None),) * (x.ndim - axis - 1)
    return [x[(*lead, slice(i * d, i * d + (count - 1) * s + 1, s), *rest)] for i in range(k)]


def overlap_add(parts: Sequence[Array], axis: int, s: int, d: int, before: int, length: int) -> Array:
    """Apply the transpose of `taps`: add part i of output o to input o·s + i·d − before.

    Arrays of some libraries cannot be written to in place, so inputs are sorted into s lanes by their index modulo s. Within a
    lane, parts are shifted by whole outputs and added; the lanes are interleaved at the end.
    """
    xp = namespace(parts[0])
    most = (len(parts) - 1) * d // s
    lanes: list[Any] = [None] * s
    for i, part in enumerate(parts):
        shift, lane = divmod(i * d, s)
        part = pad(part, axis, shift, most - shift)
        lanes[lane] = part if lanes[lane] is None else widened(lanes[lane]) + part
    shape = next(lane for lane in lanes if lane is not None).shape
    lanes = [xp.zeros_like(lanes[0]) if lane is None else lane for lane in lanes]
    lanes = [narrowed(lane, parts[0].dtype) for lane in lanes]
    total = shape[axis] * s
    mixed = xp.stack(lanes, axis=axis + 1) if s > 1 else lanes[0]
    return pad(xp.reshape(mixed, (*shape[:axis], total, *shape[axis + 1 :])), axis, -before, before + length - total)


def overlap_add_2d(parts: Sequence[Array], down: Axis, across: Axis) -> Array:
    """Add parts (N, Ho, Wo, C), one per window position, to their inputs (N, H, W, C)."""
    lines = [
        overlap_add(parts[i : i + across[2]], 2, across[3], 1, across[1][0], across[0])
        for i in range(0, len(parts), across[2])
    ]
    return overlap_add(lines, 1, down[3], 1, down[1][0], down[0])


def spread(x: Array, axis: int, s: int) -> Array:
    """Insert s − 1 zeros between the elements along an axis."""
    return x if s == 1 else overlap_add([x], axis, s, 1, 0, (x.shape[axis] - 1) * s + 1)

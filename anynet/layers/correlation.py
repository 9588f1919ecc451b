"""The arithmetic of convolution, in shifted slices and matrix products.

The slices under the taps of the window are stacked into a matrix of patches, one column for each place, so that the whole
layer becomes a product with the weight. Patches take kh·kw times the memory of the input; so they are made for a few
examples, or a few rows of one, at a time, used and forgotten. What is remembered for the way back is the input alone.

Legend: N batch, H W height and width, C channels, F filters, G groups; K = kh·kw·C/G taps of a group, M places.
Derivation: docs/derivations/convolution.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.layers.windows import Pair, outputs, pad, spread, taps


def budget(x: Array) -> int:
    """Return how many elements of patches may exist at a time: as many as the input has, or a megabyte of float32."""
    return max(2**18, math.prod(x.shape))


class Geometry(NamedTuple):
    """How a window slides over an image: the zeros around it, and stride, dilation and groups."""

    around: tuple[Pair, Pair]
    stride: Pair
    dilation: Pair
    groups: int

    def outputs(self, axis: int, length: int, k: int) -> int:
        """Return the number of places of k taps along an axis: 0 is the height."""
        return outputs(length, self.around[axis], k, self.stride[axis], self.dilation[axis])


def correlate(x: Array, weight: Array, geometry: Geometry) -> Array:
    """Return the windows of x (N, H, W, C) times weight (kh, kw, C/G, F), of shape (N, Ho, Wo, F)."""
    xp, filters = namespace(x), weight.shape[3]
    w = xp.reshape(weight, (-1, geometry.groups, filters // geometry.groups))  # (K, G, F/G)
    w = xp.permute_dims(w, (1, 0, 2))  # (G, K, F/G)
    examples = []
    for _, bands in patches(x, weight.shape, geometry):
        rows = []
        for _, columns, shape in bands:
            y = xp.matrix_transpose(columns) @ w  # (G, M, K) @ (G, K, F/G)
            rows.append(xp.reshape(xp.permute_dims(y, (1, 0, 2)), (*shape, filters)))
        examples.append(xp.concat(rows, axis=1) if len(rows) > 1 else rows[0])
    return xp.concat(examples, axis=0) if len(examples) > 1 else examples[0]


def weight_gradient(x: Array, dy: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Return the patches of x (N, H, W, C) times dy (N, Ho, Wo, F), summed over all places: ∂L/∂W of the given shape."""
    xp, groups = namespace(x), geometry.groups
    total: Any = None
    for part, bands in patches(x, shape, geometry):
        for rows, columns, _ in bands:
            d = xp.reshape(dy[part, rows, :, :], (columns.shape[2], groups, shape[3] // groups))  # (M, G, F/G)
            product = widened(columns @ xp.permute_dims(d, (1, 0, 2)))  # (G, K, M) @ (G, M, F/G)
            total = product if total is None else total + product
    return xp.reshape(xp.permute_dims(narrowed(total, dy.dtype), (1, 0, 2)), shape)


def input_gradient(dy: Array, weight: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Return ∂L/∂x of shape (N, H, W, C): dy with zeros between its elements, correlated with the weight turned around.

    The zeros around dy are those for which output p of that correlation belongs to input p.
    """
    wide = spread(spread(dy, 1, geometry.stride[0]), 2, geometry.stride[1])
    around = []
    for axis in (0, 1):
        reach = geometry.dilation[axis] * (weight.shape[axis] - 1)
        before = reach - geometry.around[axis][0]
        around.append((before, shape[1 + axis] + reach - before - wide.shape[1 + axis]))
    back = geometry._replace(around=(around[0], around[1]), stride=(1, 1))
    return correlate(wide, turn(weight, geometry.groups), back)


def turn(weight: Array, groups: int) -> Array:
    """Return weight (kh, kw, C/G, F) turned by 180°, with inputs and outputs of each group swapped: (kh, kw, F/G, C)."""
    xp = namespace(weight)
    kh, kw, inputs, filters = weight.shape
    parts = xp.reshape(xp.flip(weight, axis=(0, 1)), (kh, kw, inputs, groups, filters // groups))
    return xp.reshape(xp.permute_dims(parts, (0, 1, 4, 3, 2)), (kh, kw, filters // groups, groups * inputs))


Band = tuple[slice, Array, tuple[int, int, int]]
"""Output rows, their patches (G, K, M), and the numbers of examples, rows and columns, whose product is M."""


def patches(x: Array, window: tuple[int, ...], geometry: Geometry) -> Iterator[tuple[slice, Iterator[Band]]]:
    """Yield the patches of a few examples at a time, and of these those of a few output rows at a time."""
    high, wide = (geometry.outputs(axis, x.shape[1 + axis], window[axis]) for axis in (0, 1))
    most = budget(x)
    row = window[0] * window[1] * wide * x.shape[3]
    examples, rows = max(1, most // (row * high)), max(1, min(high, most // row))
    for start in range(0, max(x.shape[0], 1), examples):  # no examples have patches too, without columns
        part = slice(start, min(start + examples, x.shape[0]))
        yield part, _bands(x[part, ...], window, geometry, (high, wide), rows)


def _bands(x: Array, window: tuple[int, ...], geometry: Geometry, sizes: Pair, rows: int) -> Iterator[Band]:
    xp = namespace(x)
    count, channels = x.shape[0], x.shape[3]
    (high, wide), (stride, dilation, groups) = sizes, geometry[1:]
    # Channels come first, so that the rows of the patches are made of long runs of memory.
    x = xp.permute_dims(pad(pad(x, 1, *geometry.around[0]), 2, *geometry.around[1]), (3, 0, 1, 2))
    x = xp.reshape(x, (groups, channels // groups, count, *x.shape[2:]))  # (G, C/G, n, H, W)
    for top in range(0, high, rows):
        bottom = min(top + rows, high)
        slices = [
            columns
            for lines in taps(x[:, :, :, top * stride[0] :, :], 3, window[0], stride[0], dilation[0], bottom - top)
            for columns in taps(lines, 4, window[1], stride[1], dilation[1], wide)
        ]
        stacked = xp.stack(slices, axis=1)  # (G, kh·kw, C/G, n, rows, Wo)
        shape = (count, bottom - top, wide)
        yield slice(top, bottom), xp.reshape(stacked, (groups, math.prod(stacked.shape[1:3]), math.prod(shape))), shape

"""The arithmetic of convolution, by shifted slices and matrix products.

The slices under the taps of the window are stacked into a matrix of patches, one column per position, so that the layer
becomes a product with the weight. All patches would take kh·kw times the memory of the input, so they are built for a few
examples, or a few rows of one, at a time. The backward pass builds them again from the input.

Legend: N batch, H W height and width, C channels, F filters, G groups; K = kh·kw·C/G taps of a group, M positions.
Derivation: docs/derivations/convolution.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import narrowed, widened
from anynet.layers.windows import Pair, outputs, pad, spread, taps


def budget(x: Array) -> int:
    """Return the number of patch elements to hold at a time.

    The namespace of an array on a GPU, where many small products are slow, may have another minimum, `PATCH_ELEMENTS`.
    """
    return max(getattr(namespace(x), "PATCH_ELEMENTS", 2**18), math.prod(x.shape))


class Geometry(NamedTuple):
    """Padding, stride, dilation and groups of a window that slides over an image."""

    around: tuple[Pair, Pair]
    stride: Pair
    dilation: Pair
    groups: int

    def outputs(self, axis: int, length: int, k: int) -> int:
        """Return the number of positions of k taps along an axis; axis 0 is the height."""
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
            y = xp.matmul(xp.matrix_transpose(columns), w)  # (G, M, K) @ (G, K, F/G)
            rows.append(xp.reshape(xp.permute_dims(y, (1, 0, 2)), (*shape, filters)))
        examples.append(xp.concat(rows, axis=1) if len(rows) > 1 else rows[0])
    return xp.concat(examples, axis=0) if len(examples) > 1 else examples[0]


def weight_gradient(x: Array, dy: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Return ∂L/∂W: patches of x (N, H, W, C) times dy (N, Ho, Wo, F), summed over positions."""
    xp, groups = namespace(x), geometry.groups
    total: Any = None
    for part, bands in patches(x, shape, geometry):
        for rows, columns, _ in bands:
            d = xp.reshape(dy[part, rows, :, :], (columns.shape[2], groups, shape[3] // groups))  # (M, G, F/G)
            product = widened(xp.matmul(columns, xp.permute_dims(d, (1, 0, 2))))  # (G, K, M) @ (G, M, F/G)
            total = product if total is None else total + product
    return xp.reshape(xp.permute_dims(narrowed(total, dy.dtype), (1, 0, 2)), shape)


def input_gradient(dy: Array, weight: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Return ∂L/∂x of shape (N, H, W, C): dy with zeros between its elements, correlated with the rotated weight.

    The padding of dy aligns output p of that correlation with input p.
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
    """Rotate weight (kh, kw, C/G, F) by 180° and swap inputs and outputs: (kh, kw, F/G, C)."""
    xp = namespace(weight)
    kh, kw, inputs, filters = weight.shape
    parts = xp.reshape(xp.flip(weight, axis=(0, 1)), (kh, kw, inputs, groups, filters // groups))
    return xp.reshape(xp.permute_dims(parts, (0, 1, 4, 3, 2)), (kh, kw, filters // groups, groups * inputs))


Band = tuple[slice, Array, tuple[int, int, int]]
"""Output rows, their patches (G, K, M), and the numbers of examples, rows and columns, whose product is M."""


def patches(x: Array, window: tuple[int, ...], geometry: Geometry) -> Iterator[tuple[slice, Iterator[Band]]]:
    """Yield patches of a few examples, each an iterator over output rows."""
    high, wide = (geometry.outputs(axis, x.shape[1 + axis], window[axis]) for axis in (0, 1))
    most = budget(x)
    row = window[0] * window[1] * wide * x.shape[3]
    examples, rows = max(1, most // (row * high)), max(1, min(high, most // row))
    for start in range(0, max(x.shape[0], 1), examples):  # no examples have patches too, without columns
        part = slice(start, min(start + examples, x.shape[0]))
        yield part, _bands(x[part, ...], window, geometry, (high, wide), rows)


def _bands(x: Array, window: tuple[int, ...], geometry: Geometry, sizes: Pair, rows: int) -> Iterator[Band]:
    count, (high, wide) = x.shape[0], sizes
    gather = getattr(namespace(x), "patch_gatherer", stacked_slices)(x, window, geometry, wide)
    for top in range(0, high, rows):
        bottom = min(top + rows, high)
        yield slice(top, bottom), gather(top, bottom), (count, bottom - top, wide)


def stacked_slices(x: Array, window: tuple[int, ...], geometry: Geometry, wide: int) -> Callable[[int, int], Array]:
    """Return ``gather(top, bottom)``, the patches (G, K, M) of some output rows, from slices of x."""
    xp = namespace(x)
    count, channels = x.shape[0], x.shape[3]
    stride, dilation, groups = geometry[1:]
    # With channels first, the rows of the patches are long contiguous runs of memory.
    x = xp.permute_dims(pad(pad(x, 1, *geometry.around[0]), 2, *geometry.around[1]), (3, 0, 1, 2))
    x = xp.reshape(x, (groups, channels // groups, count, *x.shape[2:]))  # (G, C/G, n, H, W)

    def gather(top: int, bottom: int) -> Array:
        slices = [
            columns
            for lines in taps(x[:, :, :, top * stride[0] :, :], 3, window[0], stride[0], dilation[0], bottom - top)
            for columns in taps(lines, 4, window[1], stride[1], dilation[1], wide)
        ]
        stacked = xp.stack(slices, axis=1)  # (G, kh·kw, C/G, n, rows, Wo)
        return xp.reshape(stacked, (groups, math.prod(stacked.shape[1:3]), count * (bottom - top) * wide))

    return gather

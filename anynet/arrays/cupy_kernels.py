"""CuPy kernels for functions that would otherwise launch several or upload sizes.

Legend: N batch, H W height and width, C channels, G groups, K taps of a group, M positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np

from anynet.arrays import cupy_products

C_NAMES = {"int32": "int", "int64": "long long"}

_take = cupy.ElementwiseKernel(
    "raw T x, S index, int64 length, int64 inner, int64 taken",
    "T y",
    """
    const long long at = (index % length + length) % length;  // always inside x, as in cupy.take
    y = x[(i / (taken * inner) * length + at) * inner + i % inner]
    """,
    "anynet_take_along_axis",
)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """Return the elements of `x` at indices along an axis, in one kernel.

    ``cupy.take_along_axis`` launches five."""
    axis %= x.ndim
    lead, rest = x.shape[:axis], x.shape[axis + 1 :]
    if indices.shape[:axis] != lead or indices.shape[axis + 1 :] != rest:
        return cupy.take_along_axis(x, indices, axis)
    return _take(x, indices, x.shape[axis], math.prod(rest), indices.shape[axis])


def matmul(a: Any, b: Any, /) -> Any:
    """Return a product of matrices or stacks, by one plain product where possible.

    CuPy's product of stacks copies transposed operands, and computes float16 in float32.
    """
    if a.ndim == 2 and b.ndim == 3 and a.shape[1] == b.shape[1]:
        count, rows, columns = b.shape
        y = cupy_products.matmul(a, b.swapaxes(0, 1).reshape(rows, count * columns))
        return y.reshape(a.shape[0], count, columns).swapaxes(0, 1)
    if a.ndim == b.ndim > 3 and a.shape[:-2] == b.shape[:-2]:  # cuBLAS has stacks along one axis
        lead = a.shape[:-2]
        y = matmul(a.reshape(math.prod(lead), *a.shape[-2:]), b.reshape(math.prod(lead), *b.shape[-2:]))
        return y.reshape(*lead, *y.shape[-2:])
    if a.ndim == b.ndim == 3 and a.shape[0] == b.shape[0] == 1:
        return cupy_products.matmul(a[0], b[0])[None, ...]
    return cupy_products.matmul(a, b)


MAX_CONSTANT_BYTES = 2048
"""Upper bound of the bytes of an array that a kernel writes from its arguments, which may have 4 KiB."""
_CONSTANT = np.dtype([("byte", np.uint8, (MAX_CONSTANT_BYTES,))])
_write_constant = cupy.RawKernel(
    f"""
    struct Bytes {{ unsigned char byte[{MAX_CONSTANT_BYTES}]; }};
    extern "C" __global__ void anynet_constant(unsigned char *y, const int count, const Bytes bytes) {{
        for (int i = threadIdx.x; i < count; i += blockDim.x) y[i] = bytes.byte[i];
    }}
    """,
    "anynet_constant",
)


def constant(host: np.ndarray) -> Any:
    """Return a copy of a small host array, written by a kernel.

    An upload would use the copy engine, and a CUDA graph could not repeat it.
    """
    y, values = cupy.empty(host.shape, host.dtype), np.zeros((), _CONSTANT)
    values["byte"][: host.nbytes] = np.frombuffer(host.tobytes(), np.uint8)
    _write_constant((1,), (128,), (y, np.int32(host.nbytes), values[()]))
    return y


PATCH_ELEMENTS = 2**26
"""Elements of the patches of a convolution to hold at a time: 256 MiB of float32."""


@cache
def _gather_kernel(integer: str) -> Any:
    """Return the kernel that gathers patches, with indices of type int32 or int64."""
    sizes = [
        "rows",
        "wide",
        "height",
        "width",
        "channels",
        "groups",
        "kh",
        "kw",
        "top",
        "above",
        "left",
        "sh",
        "sw",
        "dh",
        "dw",
    ]
    return cupy.ElementwiseKernel(
        "raw T x, " + ", ".join(f"{integer} {name}" for name in sizes),
        "T y",
        f"typedef {C_NAMES[integer]} I;"
        """
        const I part = channels / groups, taps = kh * kw * part, at = i;
        const I k = at % taps, position = at / taps;
        const I c = k % part, tap = k / part;
        const I column = position % wide, row = position / wide % rows;
        const I examples = _ind.size() / (groups * taps * wide * rows);
        const I n = position / (wide * rows) % examples, group = position / (wide * rows) / examples;
        const I h = (top + row) * sh + tap / kw * dh - above, w = column * sw + tap % kw * dw - left;
        const bool inside = h >= 0 && h < height && w >= 0 && w < width;
        y = inside ? x[((n * height + h) * width + w) * channels + group * part + c] : T(0)
        """,
        "anynet_gather_patches",
    )


def patch_gatherer(x: Any, window: tuple[int, ...], geometry: Any, wide: int) -> Callable[[int, int], Any]:
    """Return ``gather(top, bottom)``, the patches (G, K, M) of some output rows of x (N, H, W, C), from one kernel.

    They are a view of an array (G, M, K), of which a product with the weight needs no copy.
    """
    x, (kh, kw) = cupy.ascontiguousarray(x), window[:2]
    (count, height, width, channels), (around, stride, dilation, groups) = x.shape, geometry

    def gather(top: int, bottom: int) -> Any:
        rows = bottom - top
        shape = (groups, count * rows * wide, kh * kw * (channels // groups))
        integer = "int32" if max(math.prod(shape), x.size) < 2**31 else "int64"
        sizes = (rows, wide, height, width, channels, groups, kh, kw, top, around[0][0], around[1][0])
        y = cupy.empty(shape, x.dtype)
        _gather_kernel(integer)(x, *sizes, *stride, *dilation, y)
        return y.transpose(0, 2, 1)

    return gather


@cache
def _overlap_kernel(taps: int, sums: str, integer: str) -> Any:
    """Return the kernel that adds the parts of `taps` positions in the window, in numbers of type `sums`."""
    sizes = ["first", "high", "wide", "height", "width", "channels", "kw", "above", "left", "sh", "sw"]
    parts = "".join(
        f"""
        {{
            const I a = row - (first + {i}) / kw, b = column - (first + {i}) % kw;
            if (a >= 0 && a % sh == 0 && a / sh < high && b >= 0 && b % sw == 0 && b / sw < wide)
                total += ({sums})p{i}[((n * high + a / sh) * wide + b / sw) * channels + c];
        }}"""
        for i in range(taps)
    )
    return cupy.ElementwiseKernel(
        ", ".join([*(f"raw T p{i}" for i in range(taps)), *(f"{integer} {name}" for name in sizes)]),
        "T y",
        f"""
        typedef {C_NAMES[integer]} I;
        const I at = i, c = at % channels, column = at / channels % width + left;
        const I row = at / (channels * width) % height + above, n = at / (channels * width * height);
        {sums} total = 0;
        {parts}
        y = first ? T(y + total) : T(total)
        """,
        f"anynet_overlap_add_{taps}",
    )


def overlap_add_2d(parts: Sequence[Any], down: tuple[Any, ...], across: tuple[Any, ...]) -> Any:
    """Add parts (N, Ho, Wo, C), one per window position, to their inputs.

    `down` and `across` are length, padding, taps and stride of each axis. Each kernel takes up to 32 parts.
    """
    (height, around_h, _, sh), (width, around_w, kw, sw) = down, across
    count, high, wide, channels = parts[0].shape
    y = cupy.empty((count, height, width, channels), parts[0].dtype)
    integer = "int32" if max(y.size, parts[0].size) < 2**31 else "int64"
    for first in range(0, len(parts), 32):
        some = parts[first : first + 32]
        sizes = (first, high, wide, height, width, channels, kw, around_h[0], around_w[0], sh, sw)
        _overlap_kernel(len(some), "float" if y.dtype == "float16" else "T", integer)(*some, *sizes, y)
    return y

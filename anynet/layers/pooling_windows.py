"""Windows of pooling layers: their geometry, and gathering and scattering over one or two axes."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int
from anynet.layers.base import Layer, Params, Shape, axis_sizes
from anynet.layers.windows import Axis, Padding, check_padding, fits, output_size, overlap_add_2d, pad, pads, pair, taps

HEIGHT_ONE: Axis = (1, (0, 0), 1, 1)
"""The height of a sequence as an image, with a window of height 1."""


@dataclass(frozen=True)
class Pool(Layer):
    """Base class of pooling layers: gather the inputs of windows, and scatter gradients back."""

    uses_key: ClassVar[bool] = False
    mixes_positions: ClassVar[bool] = True

    pool_size: Any
    _: KW_ONLY
    stride: Any = None
    padding: Any = "valid"

    axes: ClassVar[tuple[str, ...]] = ()
    """Names of the axes that a window covers."""

    @property
    def each_axis(self) -> list[tuple[int, int]]:
        """Taps and stride of each axis."""
        raise NotImplementedError

    @property
    def around(self) -> Padding:
        """The padding as "valid", "same" or a pair for each axis."""
        return self.padding

    def geometry(self, lengths: tuple[int, ...]) -> list[Axis]:
        """Return length, padding, taps and stride of each axis."""
        axes = enumerate(zip(lengths, self.each_axis, strict=True))
        return [(n, pads(self.around, axis, n, k, s, 1), k, s) for axis, (n, (k, s)) in axes]

    def sizes(self, shape: tuple[int, ...]) -> list[int]:
        """Return the lengths of the output's axes; raise ValueError if the window does not fit."""
        axes = enumerate(zip(shape[:-1], self.each_axis, strict=True))
        sizes = [output_size(self.around, axis, n, k, s, 1) for axis, (n, (k, s)) in axes]
        if not fits(sizes):
            raise ValueError(
                f"{type(self).__name__}: expected an input of at least the window {self.pool_size}, got {tuple(shape)}; "
                f"shapes are ({', '.join(self.axes)}, channels)"
            )
        return sizes

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = axis_sizes(type(self).__name__, input_shape, *self.axes, "channels")
        return {}, (*self.sizes(shape), shape[-1])

    def windows(self, x: Array, outside: float) -> list[Array]:
        """Return the inputs at each position in the window: slices shaped like the output."""
        parts, shape = [x], x.shape[1:]
        axes = enumerate(zip(self.geometry(shape[:-1]), self.sizes(shape), strict=True), start=1)
        for axis, ((_, around, k, s), count) in axes:
            parts = [tap for part in parts for tap in taps(pad(part, axis, *around, outside), axis, k, s, 1, count)]
        return parts

    def scatter(self, parts: list[Array], shape: tuple[int, ...]) -> Array:
        """Add slices, one per position, to the inputs (N, *shape) that `windows` took them from."""
        xp, geometry = namespace(parts[0]), self.geometry(shape[:-1])
        missing = 2 - len(geometry)
        images = [xp.reshape(part, (part.shape[0], *[1] * missing, *part.shape[1:])) for part in parts]
        down, across = [HEIGHT_ONE] * missing + geometry
        dx = getattr(xp, "overlap_add_2d", overlap_add_2d)(images, down, across)
        return xp.reshape(dx, (-1, *shape))


@dataclass(frozen=True)
class Pool1D(Pool):
    """Pooling of sequences."""

    axes = ("length",)

    def __post_init__(self) -> None:
        where = type(self).__name__
        size = check_int(where, "pool_size", self.pool_size, at_least=1)
        stride = size if self.stride is None else check_int(where, "stride", self.stride, at_least=1)
        object.__setattr__(self, "stride", stride)
        if not isinstance(self.padding, str):
            object.__setattr__(self, "padding", pair(where, "padding", self.padding, at_least=0))
            check_less_than_window(where, size, self.padding)
        check_padding(where, self.padding)

    @property
    def each_axis(self) -> list[tuple[int, int]]:
        return [(self.pool_size, self.stride)]

    @property
    def around(self) -> Padding:
        return self.padding if isinstance(self.padding, str) else (self.padding,)


@dataclass(frozen=True)
class Pool2D(Pool):
    """Pooling of images."""

    axes = ("height", "width")

    def __post_init__(self) -> None:
        where = type(self).__name__
        object.__setattr__(self, "pool_size", pair(where, "pool_size", self.pool_size))
        stride = self.pool_size if self.stride is None else pair(where, "stride", self.stride)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "padding", check_padding(where, self.padding))
        if not isinstance(self.padding, str):
            for size, given in zip(self.pool_size, self.padding, strict=True):
                check_less_than_window(where, size, given)

    @property
    def each_axis(self) -> list[tuple[int, int]]:
        return list(zip(self.pool_size, self.stride, strict=True))


def check_less_than_window(where: str, size: int, padding: tuple[int, int]) -> None:
    """Raise ValueError if a window could cover padding only."""
    if max(padding) >= size:
        raise ValueError(f"{where}: expected padding less than the window's {size}, got {padding}")

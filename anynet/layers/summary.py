"""The table of `Model.summary`, and the shapes in a network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from anynet import tree
from anynet.arrays.namespace import namespace
from anynet.arrays.placeholder import PlaceholderGenerator
from anynet.checks import is_multi
from anynet.display import html_table
from anynet.layers.base import Layer, Params, Shape
from anynet.layers.hooks import LayerCall, own_params, with_hook


class Summary(str):
    """A table as text, which a notebook shows as HTML."""

    html: str

    def __new__(cls, text: str, html: str) -> Self:
        new = super().__new__(cls, text)
        new.html = html
        return new

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def summary(layer: Layer, input_shape: Shape, params: Params, place: str = "") -> Summary:
    """Return a table of layers, output shapes, parameters and their sizes.

    `place` ends its last line.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import Dense
    >>> layer = Dense(2)
    >>> params, _ = layer.init(np.random.default_rng(0), (3,))
    >>> print(summary(layer, (3,), params))
    layer  output shape  parameters                numbers
    ------------------------------------------------------
    Dense  (N, 2)        weight (3, 2), bias (2,)        8
    ------------------------------------------------------
    8 parameters, 8 trained; 0.00 MiB
    """
    names: list[tuple[str, str]] = []
    cells = [("output shape", "parameters", "numbers")]

    def add(path: tree.Path, layer: Layer, params: Params, output: str) -> None:
        shapes = ", ".join(f"{tree.name(name)} {tuple(array.shape)}" for name, array in tree.leaves_with_paths(params))
        names.append((tree.name(path), type(layer).__name__))
        cells.append((output, shapes, f"{_count(params):,}"))

    def add_row(call: LayerCall) -> None:
        add(call.path, call.layer, call.params, _with_batch(call.output))

    for own in own_params(layer, params):
        add(*own, "")
    with_hook(layer, add_row).init(PlaceholderGenerator(), input_shape)
    width = max((len(path) for path, _ in names), default=0)
    labels = ["layer", *(f"{path:{width}}  {kind}" if width else kind for path, kind in names)]
    rows = [(label, *row) for label, row in zip(labels, cells, strict=True)]
    mebibytes = sum(math.prod(a.shape) * namespace(a).finfo(a.dtype).bits for a in tree.leaves(params)) / 2**23
    totals = f"{_count(params):,} parameters, {_count(layer.trainable(params)):,} trained; {mebibytes:.2f} MiB{place}"
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    header, *lines = [
        "  ".join((*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3])))
        for row in rows
    ]
    rule = "-" * len(header)
    text = "\n".join([header, rule, *lines, rule, totals])
    return Summary(text, html_table(rows[0], rows[1:], totals, texts=(0, 1, 2)))


def array_shapes(layer: Layer, input_shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of an example's inputs and of all outputs of plain layers.

    A layer outside this package may not accept placeholders of its parameters; outputs from that layer on are left out.

    Examples
    --------
    >>> from anynet import Dense, ReLU, Sequential
    >>> array_shapes(Sequential([Dense(5), ReLU(), Dense(2)]), (3,))
    ((3,), (5,), (5,), (2,))
    """
    found = [*_single(input_shape)]
    with suppress(Exception):
        with_hook(layer, lambda call: found.extend(_single(call.output))).init(PlaceholderGenerator(), input_shape)
    return tuple(found)


def _single(shape: Any) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of single arrays."""
    if is_multi(shape):
        for part in shape:
            yield from _single(part)
    else:
        yield shape


def _with_batch(shape: Any) -> str:
    if is_multi(shape):
        return " and ".join(map(_with_batch, shape))
    return f"({', '.join(map(str, ('N', *shape)))})"


def _count(params: Params) -> int:
    return sum(math.prod(array.shape) for array in tree.leaves(params))

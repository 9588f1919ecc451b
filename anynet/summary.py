"""The table that `Model.summary` returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anynet import tree
from anynet.checks import several
from anynet.trace import Event, observed


def summary(model: Any) -> str:
    """Return a text table: each layer's place and kind, its output shape, its parameters and how many numbers they hold."""
    rows = [("layer", "output shape", "parameters", "numbers")]

    def see(event: Event) -> None:
        label = f"{tree.name(event.path)}  {type(event.layer).__name__}".strip()
        shapes = ", ".join(
            f"{tree.name(path)} {tuple(array.shape)}" for path, array in tree.leaves_with_paths(event.params)
        )
        rows.append((label, _batch_of(event.output), shapes, f"{_count(event.params):,}"))

    observed(model.layer, see).init(np.random.default_rng(0), model.input_shape)
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join((*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3])))
        for row in rows
    ]
    params = model._carry[0]
    total, trained = _count(params), _count(model.layer.trainable(params))
    rule = "-" * len(lines[0])
    size = total * np.dtype(model.dtype).itemsize / 2**20
    return "\n".join(
        [
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"{total:,} parameters, {trained:,} trained; {size:.2f} MiB as {model.dtype} on {model.backend.name}",
        ]
    )


def _batch_of(shape: Any) -> str:
    if several(shape):
        return " and ".join(map(_batch_of, shape))
    return f"({', '.join(map(str, ('N', *shape)))})"


def _count(params: Any) -> int:
    return sum(math.prod(array.shape) for array in tree.leaves(params))

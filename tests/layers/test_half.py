"""Layers in 16 bits at batches so large that sums in 16 bits would stop growing, against the same layers in float64."""

import numpy as np
import pytest

from anynet import AvgPool2D, backends, transformer_block, tree
from tests.layers.cases import LAYERS
from tests.layers.test_contract import Case
from tests.tools import cast, fetch, halves, key, place

ROWS, IMAGES, SIZE = 8192, 64, 28
BLOCK = transformer_block(4, 2, dropout=0.3, hidden=6)  # in bfloat16, PyTorch's derivatives are 10 % off, as ours
LARGE = [
    *[row for row in LAYERS if row[0] != BLOCK],
    (AvgPool2D(SIZE), (SIZE, SIZE, 2)),
    (AvgPool2D(9, stride=1), (SIZE, SIZE, 2)),
]


def enlarged(row):
    """Return a row of the table with images of 28 x 28, where it takes images."""
    layer, shape, *rest = row
    return layer, ((SIZE, SIZE, shape[2]) if len(shape) == 3 else shape), *rest


def gradients(layer, at, seed):
    """Return the gradients of a layer for ``{"params", "x", "dy"}``."""
    _, cache = layer.forward(at["params"], at["x"], key=seed)
    dx, grads = layer.backward(at["params"], cache, at["dy"])
    return {"dx": dx, "grads": grads}


@pytest.mark.without("numpy-readonly", "strict", "strict:device1", "jax")
@pytest.mark.parametrize(
    "row", [enlarged(row) for row in LARGE], ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60]
)
def test_gradients_of_large_batches(row, backend):
    """Derivatives have one sign and grow with the output, so that no sum of them is small beside what is added."""
    layer, shape = row[:2]
    count = IMAGES if len(shape) == 3 else ROWS
    case = Case(*row, count=count)
    places = int(np.prod(case.dy.shape[:-1]))
    y, _ = layer.forward(case.params, case.x, key=key())
    z = (y - y.mean(axis=0)) / (y.std(axis=0) + 1e-6)
    case.dy = np.random.default_rng(1).uniform(0.5, 1.5, y.shape) * (1.0 + z / (1.0 + np.abs(z))) * (64.0 / places)
    for name in halves(backend):
        values = {"params": case.params, "x": case.x, "dy": case.dy}
        at = cast(backend, place(backend, values, "float32"), getattr(backend.xp, name))
        rounded = fetch(backend, cast(backend, at, backend.xp.float32))
        numpy = backends.get("numpy")
        expected = gradients(layer, place(numpy, rounded), key())
        run = backend.compile(lambda at, seed: gradients(layer, at, seed))
        actual = fetch(backend, cast(backend, run(at, place(backend, key())), backend.xp.float32))
        for path, array in tree.leaves_with_paths(expected):
            error = np.linalg.norm(tree.get(actual, path) - array) / max(np.linalg.norm(array), 1e-3)
            assert error <= 0.02, (name, tree.name(path), error)

"""Kernels that a step on CuPy launches.

The module `fakegpu` of an emulated GPU counts them; CuPy itself keeps no count.
"""

import numpy as np
import pytest

from anynet import (
    GELU,
    Adam,
    BatchNorm,
    Callback,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    Model,
    ReLU,
    SoftmaxCrossEntropy,
    random,
)
from anynet.arrays.special import normal_cdf
from anynet.optimizers import scalars
from tests.conftest import KINDS

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 64)


def count(step):
    """Return the numbers of kernels, products and uploads of a step."""
    fakegpu = pytest.importorskip("fakegpu", reason="only an emulated GPU counts launches")
    for _ in range(2):  # the first calls compile
        step()
    before = fakegpu.counters()
    step()
    after = fakegpu.counters()
    return [after[name] - before[name] for name in ("launches", "gemm", "h2d")]


def steps_of(backend, layers, x):
    model = Model(
        [*layers, Dense(10)], input_shape=x.shape[1:], loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend
    )
    data = backend.asarray(x.astype(np.float32)), backend.asarray(LABELS)
    return lambda: model.train_step(*data)


def test_elementwise_functions(backend):
    x, key = backend.asarray(np.linspace(-3, 3, 64, dtype=np.float32)), backend.asarray(random.make_key(0))
    with backend.activate():
        assert count(lambda: normal_cdf(x)) == [1, 0, 0]
        assert count(lambda: random.next_key(key)) == [1, 0, 0]
        assert count(lambda: random.threefry2x32((key[:1], key[1:]), (key, key))) == [1, 0, 0]
        assert count(lambda: GELU().forward({}, x)) == [1, 0, 0]
        assert count(lambda: GELU().backward({}, x, x)) == [1, 0, 0]


def test_the_scalars_of_an_update(backend):
    params, optimizer = {"weight": backend.asarray(np.ones(3, np.float32))}, Adam()
    with backend.activate():
        state = optimizer.init(params)
        assert count(lambda: scalars.advance(optimizer, state, np.dtype("float32"))) == [1, 0, 0]


def test_an_update_of_many_parameters(backend):
    groups = [tuple(backend.asarray(np.ones(n, np.float32)) for _ in range(4)) for n in (3, 1000, 2)]
    with backend.activate():
        assert count(lambda: backend.elementwise(Adam().rule)(groups, (0.1, 0.1, 0.1, 0.1))) == [1, 0, 0]


def test_a_step_of_a_small_network(backend):
    step = steps_of(backend, [Dense(128), ReLU()], RNG.normal(size=(64, 784)))
    launches, products, uploads = count(step)
    assert launches <= 20 and products == 5 and uploads == 0, (launches, products, uploads)


def test_the_steps_of_a_chunk_in_a_graph(backend):
    """The fourth epoch writes the table of its graph and launches it, no more."""
    fakegpu = pytest.importorskip("fakegpu", reason="only an emulated GPU counts launches")
    model = Model(
        [Dense(16), ReLU(), Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend
    )
    x, y = backend.asarray(RNG.normal(size=(32, 784)).astype(np.float32)), backend.asarray(LABELS[:32])
    counts = []

    class Counter(Callback):
        def on_epoch_begin(self, run):
            self.before = fakegpu.counters()

        def on_batch_end(self, run):
            counts.append({name: value - self.before[name] for name, value in fakegpu.counters().items()})

    model.fit(x, y, batch_size=1, epochs=4, shuffle=False, callbacks=[Counter()])
    inside = ("graph_nodes", "gemm")  # of the graph
    calls = {name: value for name, value in counts[-1].items() if value and name not in inside}
    assert calls == {"launches": 1, "graphs": 1}
    assert backend.launches_per_step == 2 / 32


def test_dropout(backend):
    """Launched operation by operation, a mask and its key would take 150 kernels."""
    plain = count(steps_of(backend, [Dense(128), ReLU()], RNG.normal(size=(64, 784))))
    more = count(steps_of(backend, [Dense(128), ReLU(), Dropout(0.5)], RNG.normal(size=(64, 784))))
    assert more[0] - plain[0] <= 15 and more[1:] == plain[1:]


def test_gelu(backend):
    """GELU adds a product with the gate to what ReLU takes."""
    relu = count(steps_of(backend, [Dense(128), ReLU()], RNG.normal(size=(64, 784))))
    gelu = count(steps_of(backend, [Dense(128), GELU()], RNG.normal(size=(64, 784))))
    assert gelu[0] - relu[0] <= 1


def test_a_small_convolutional_network(backend):
    """The blocks of `examples/mnist.py --model conv` and a dense layer."""

    def block(filters):
        return [Conv2D(filters, 3, padding="same"), MaxPool2D(2), BatchNorm(), ReLU()]

    step = steps_of(backend, [*block(16), *block(32), Flatten()], RNG.normal(size=(64, 28, 28, 1)))
    launches, products, uploads = count(step)
    assert launches <= 60 and products == 8 and uploads == 0, (launches, products, uploads)

"""No step on CuPy waits for the device: a number that comes to the host there stops the queue of kernels.

CuPy itself reports each place where it waits (`cupyx.allow_synchronize`), on any GPU. A GPU emulated by a module named
`fakegpu` counts copies to the host and synchronizations too, and its counts must be zero as well.
"""

import importlib.util
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import anynet
from anynet import (
    F1,
    L1,
    L2,
    MAE,
    R2,
    RMSE,
    ROCAUC,
    Accuracy,
    Adam,
    BatchNorm,
    Callback,
    ConfusionMatrix,
    Dense,
    Dropout,
    EachPosition,
    Flatten,
    LossScale,
    MeanAbsoluteError,
    Model,
    Perplexity,
    Precision,
    Recall,
    ReLU,
    SoftmaxCrossEntropy,
    TopK,
    random,
)
from anynet.metrics import Custom, LossMetric, Mean, Metric, OutputMetric, PartsMetric
from tests.conftest import KINDS
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS
from tests.tools import away_from_zero, place

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))

RNG = np.random.default_rng(0)
CLASSES = RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6)
BINARY = RNG.normal(size=(6, 1)), np.arange(6.0)[:, None] % 2
NUMBERS = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
POSITIONS = RNG.normal(size=(6, 2, 4)), RNG.integers(0, 4, (6, 2))

METRICS = [
    (Accuracy(), CLASSES),
    (Accuracy(0.0), BINARY),
    (TopK(2), CLASSES),
    (Precision(), CLASSES),
    (Precision(threshold=0.0), BINARY),
    (Recall(), CLASSES),
    (F1(), CLASSES),
    (F1("macro", threshold=0.0), BINARY),
    (ConfusionMatrix(), CLASSES),
    (ROCAUC(), BINARY),
    (MAE(), NUMBERS),
    (RMSE(), NUMBERS),
    (R2(), NUMBERS),
    (Custom(lambda y_true, y_pred: 0.0), NUMBERS),
    (LossMetric(MeanAbsoluteError()), NUMBERS),
    (Perplexity(), CLASSES),
    (PartsMetric(Accuracy(), EachPosition(SoftmaxCrossEntropy(), ignore=0)), POSITIONS),
]


@contextmanager
def nothing_waits():
    """Raise where CuPy waits for the device within the block."""
    import cupyx

    fakegpu = importlib.import_module("fakegpu") if importlib.util.find_spec("fakegpu") else None
    before = fakegpu.counters() if fakegpu else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cupyx.allow_synchronize")
        guard = cupyx.allow_synchronize(False)
        guard.__enter__()
    try:
        yield
    finally:
        guard.__exit__(None, None, None)
    if fakegpu:
        after = fakegpu.counters()
        assert {name: after[name] - before[name] for name in ("sync", "d2h")} == {"sync": 0, "d2h": 0}


def check(step):
    """Run a step twice, the second time under watch: the first may compile its kernels."""
    step()
    with nothing_waits():
        step()


def test_the_watch_sees_a_number_on_its_way_to_the_host(backend):
    import cupyx

    x = backend.asarray(np.arange(4.0))
    with backend.activate():
        for look in (float, bool, lambda a: a.item()):
            with pytest.raises(cupyx.DeviceSynchronized), nothing_waits():
                look(x[1])
        for look in (lambda: x.get(), lambda: x[x > 1], lambda: backend.xp.nonzero(x)):
            with pytest.raises(cupyx.DeviceSynchronized), nothing_waits():
                look()
        check(lambda: x + x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def test_layers(row, training, backend):
    layer, shape, *inputs = row
    rng = np.random.default_rng(0)
    host, output_shape = layer.init(rng, shape)
    params = place(backend, host, "float32")
    x = place(backend, (inputs[0] if inputs else away_from_zero)(rng, (3, *shape)), "float32")
    dy = place(backend, np.ones((3, *output_shape)), "float32")
    key = place(backend, random.make_key(0)) if training else None

    def passes():
        y, cache = layer.forward(params, x, key=key)
        return y, layer.backward(params, cache, dy), layer.update_buffers(params, cache)

    check(backend.compile(passes))


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: f"{row[0]}-{row[2].shape}".replace(" ", ""))
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(row, weighted, backend):
    loss, y_pred, y_true = row
    at = place(backend, {"y_pred": y_pred, "y_true": y_true, "weight": np.ones(len(y_pred))}, "float32")
    weight = at["weight"] if weighted else None

    def passes():
        targets = loss.targets(at["y_true"], y_pred.shape[1:], backend.dtype("float32"))
        value, cache = loss.forward(targets, at["y_pred"], weight)
        return value, loss.backward(cache), loss.effective_weights(value, targets, weight)

    check(backend.compile(passes))


def test_the_table_has_every_metric():
    kinds = {value for value in vars(anynet.metrics).values() if isinstance(value, type) and issubclass(value, Metric)}
    assert {type(metric) for metric, _ in METRICS} == kinds - {Metric, Mean, OutputMetric}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("metric", "data"), METRICS, ids=[metric.name for metric, _ in METRICS])
def test_metrics(metric, data, weighted, backend):
    y_pred, y_true = place(backend, data, "float32")
    weight = place(backend, np.ones(6), "float32") if weighted else None
    check(backend.compile(lambda: metric.sums(y_true, y_pred, weight)))


def model(backend, **settings):
    layers = [Flatten(), Dense(8), BatchNorm(), ReLU(), Dropout(0.5), Dense(3)]
    return Model(layers, input_shape=(2, 3), backend=backend, **{"loss": SoftmaxCrossEntropy(), **settings})


def batch(backend, x):
    return backend.asarray(x), backend.asarray(np.arange(len(x)) % 3)


@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: repr(o)[:60])
def test_a_training_step(optimizer, backend):
    one, data = model(backend, optimizer=optimizer), batch(backend, np.ones((4, 2, 3), np.float32))
    check(lambda: one.train_step(*data))


@pytest.mark.parametrize(
    "settings",
    [
        {"regularizer": L1(0.1)},
        {"regularizer": L2(0.1) + L1(0.1, per_example=True)},
        {"compute_dtype": "float16", "optimizer": LossScale(Adam())},
    ],
    ids=repr,
)
def test_a_training_step_with_more(settings, backend):
    one = model(backend, **{"optimizer": Adam(), **settings})
    data = batch(backend, np.ones((4, 2, 3), np.uint8))
    check(lambda: one.train_step(*data))


class Guard(Callback):
    """Watch from the first batch of an epoch to the last."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, run):
        self.watch = nothing_waits()
        if run.epoch == self.epoch:
            self.watch.__enter__()

    def on_batch_end(self, run):
        if run.epoch == self.epoch and run.batch == run.batches:
            self.watch.__exit__(None, None, None)


@pytest.mark.parametrize("learning_rate", [1e-3, lambda step: 1e-3 + 0.0 * step])
def test_the_batches_of_an_epoch(learning_rate, backend):
    """The fourth epoch runs as a CUDA graph, or plainly with a schedule of the user."""
    one = model(backend, optimizer=Adam(learning_rate), metrics=["accuracy"])
    data = batch(backend, RNG.normal(size=(21, 2, 3)).astype(np.float32))
    epochs = 2 if callable(learning_rate) else 4
    history = one.fit(*data, epochs=epochs, batch_size=4, callbacks=[Guard(epochs)])
    assert history.epochs == epochs
    assert backend.graph.startswith("yes") != callable(learning_rate)

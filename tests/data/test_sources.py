"""Data as people have it: mapped files, iterables, bytes; and what is said when it does not fit."""

import signal
import sqlite3
import sys
import threading
import time

import numpy as np
import pytest

from anynet import (
    SGD,
    Dense,
    Dropout,
    Model,
    Rescale,
    SoftmaxCrossEntropy,
    Tanh,
)
from anynet.callbacks import LambdaCallback
from anynet.data import sources
from anynet.data.convert import fits
from anynet.data.sources import StreamedSource, in_file, mapped_file

rng = np.random.default_rng(0)
x = rng.integers(0, 256, (90, 6), dtype=np.uint8)
y = rng.integers(0, 3, 90)
weight = rng.random(90)


def make(**changes):
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.1, momentum=0.9), "metrics": ["accuracy"], "seed": 2}
    layers = [Rescale(1 / 255), Dense(5), Tanh(), Dropout(0.2), Dense(3)]
    return Model(layers, input_shape=6, **(arguments | changes))


def weights(model):
    return [model.backend.to_numpy(part["weight"]) for part in model.params if "weight" in part]


def assert_equal(one, other, backend=None):
    exact = backend is None or not backend.name.startswith("jax")
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=0 if exact else 1e-6)


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


class Batches:
    """What a data loader is: goes through the data again each time."""

    def __init__(self, *arrays, size=20):
        self.arrays, self.size = arrays, size

    def __iter__(self):
        for start in range(0, len(self.arrays[0]), self.size):
            yield tuple(array[start : start + self.size] for array in self.arrays)


SETTINGS = [
    {},
    {"sample_weight": weight},
    {"class_weight": "balanced", "validation_split": 0.2},
    {"batch_size": None},
    {"shuffle": False, "validation_data": (x, y)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ", ".join(settings) or "plain")
def test_mapped_file_trains_as_the_array_in_memory(settings, mapped, backend):
    one, other = make(backend=backend), make(backend=backend)
    settings = {"epochs": 2, "batch_size": 16} | settings
    expected, history = one.fit(x, y, **settings), other.fit(mapped, y, **settings)
    assert_equal(one, other, backend)
    assert list(history) == list(expected)
    for name in history:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-6)
    assert other.evaluate(mapped, y) == pytest.approx(one.evaluate(x, y), rel=1e-6)
    np.testing.assert_allclose(other.predict(mapped), one.predict(x), rtol=1e-6, atol=1e-6)


def test_array_too_large_for_the_device_trains_as_one_that_fits(backend, monkeypatch):
    one, other = make(backend=backend), make(backend=backend)
    settings = {"epochs": 2, "batch_size": 16, "validation_split": 0.2}
    one.fit(x, y, **settings)
    monkeypatch.setattr(backend, "free_memory", lambda: 2 * x.nbytes - 1)
    sizes = []
    see = LambdaCallback(on_batch_end=lambda run: sizes.append(len(run.chunk.data)))
    other.fit(x, y, **settings, callbacks=[see])
    assert max(sizes) <= 16 * backend.steps_per_call and len(sizes) > 1
    assert_equal(one, other, backend)
    np.testing.assert_allclose(other.predict(x), one.predict(x), rtol=1e-6, atol=1e-6)
    monkeypatch.setattr(backend, "free_memory", lambda: 2 * x.nbytes)
    assert fits(backend, x) and fits(backend, backend.asarray(x)) and not fits(backend, np.concatenate([x, x]))


@pytest.mark.parametrize(("numbers", "batches"), [(0, 1), (3 * 16 * (x[0].size + 1), 3)])
def test_a_chunk_of_large_batches_is_short(numbers, batches, mapped, backend, monkeypatch):
    monkeypatch.setattr(sources, "MAX_CHUNK_NUMBERS", numbers)
    one, other, sizes = make(backend=backend), make(backend=backend), []
    see = LambdaCallback(on_batch_end=lambda run: sizes.append(len(run.chunk.data)))
    one.fit(x, y, batch_size=16, epochs=2)
    other.fit(mapped, y, batch_size=16, epochs=2, callbacks=[see])
    assert max(sizes) == 16 * min(batches, backend.steps_per_call)
    assert_equal(one, other, backend)


def test_views_of_mapped_files_are_known(mapped):
    assert in_file(mapped) and in_file(mapped[3:]) and in_file(np.asarray(mapped)[::2]) and not in_file(x)
    if sys.platform == "linux":
        assert mapped_file(mapped) is mapped_file(np.asarray(mapped)[2:]) is not None


def test_private_changes_of_a_mapped_file_are_kept(tmp_path):
    np.save(tmp_path / "x.npy", x)
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[:] = 7
    assert mapped_file(private) is None
    make().fit(private, y)
    assert (private == 7).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_iterable_trains_as_arrays_in_its_order(weighted, backend):
    arrays = (x, y, weight) if weighted else (x, y)
    one, other = make(backend=backend), make(backend=backend)
    settings = {"epochs": 3, "batch_size": 20, "shuffle": False}
    expected = one.fit(x, y, sample_weight=weight if weighted else None, validation_data=arrays, **settings)
    history = other.fit(Batches(*arrays), epochs=3, validation_data=Batches(*arrays))
    assert_equal(one, other, backend)
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-6)
    assert other.evaluate(Batches(x, y)) == pytest.approx(one.evaluate(x, y), rel=1e-6)


def test_list_of_batches_and_torch_loader():
    expected = make()
    expected.fit(Batches(x, y), epochs=2)
    model = make()
    model.fit(list(Batches(x, y)), epochs=2, class_weight={0: 1.0})
    assert_equal(expected, model)
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.asarray(x), torch.asarray(y))
    model = make()
    model.fit(torch.utils.data.DataLoader(data, batch_size=20), epochs=2)
    assert_equal(expected, model)


def test_class_weight_of_an_iterable():
    one, other = make(), make()
    one.fit(x, y, batch_size=20, shuffle=False, class_weight={1: 3.0})
    other.fit(Batches(x, y), class_weight={1: 3.0})
    assert_equal(one, other)


class Refilled(Batches):
    """Yields the same arrays, made by `make`, each time with other numbers in them."""

    def __init__(self, *arrays, make):
        super().__init__(*arrays)
        self.make = make

    def __iter__(self):
        buffers = [self.make(array[: self.size]) for array in self.arrays]
        for batch in super().__iter__():
            for buffer, part in zip(buffers, batch, strict=True):
                buffer[...] = self.make(part)
            yield tuple(buffers)
            for buffer in buffers:
                buffer[...] = 0


def label_sum(y_true, y_pred):
    return float(y_true.sum())


FLOAT32 = {"u": "float32", "f": "float32", "i": "int64"}
MADE = [
    lambda part: np.array(part),
    lambda part: np.array(part, FLOAT32[part.dtype.kind]),
    lambda part: np.array(part, "int32" if part.dtype.kind == "i" else "float64"),
    lambda part: pytest.importorskip("torch").asarray(np.array(part, FLOAT32[part.dtype.kind])),
]


@pytest.mark.parametrize("make_buffer", MADE, ids=["bytes", "float32", "float64", "torch"])
def test_buffers_that_are_refilled_train_as_copies(make_buffer, backend):
    """The loss, the gradients, metrics that keep rows, callbacks that keep batches, validation and `evaluate`."""
    arrays = x[:80], y[:80], weight[:80]
    copies, buffers = Batches(*arrays), Refilled(*arrays, make=make_buffer)
    one, other = (make(backend=backend, metrics=["accuracy", label_sum]) for _ in range(2))
    expected = one.fit(copies, epochs=5, validation_data=copies)
    kept = []
    keep = LambdaCallback(on_batch_end=lambda run: kept.append(run.chunk.data))
    history = other.fit(buffers, epochs=5, validation_data=buffers, callbacks=[keep])
    assert_equal(one, other, backend)
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-6, err_msg=name)
    assert other.evaluate(buffers) == pytest.approx(one.evaluate(copies), rel=1e-6)
    for data, (batch, labels, shares) in zip(kept, list(copies) * 5, strict=True):
        np.testing.assert_allclose(backend.to_numpy(data.x), batch, rtol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(data.y), labels, rtol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(data.weight), shares, rtol=1e-6)


def test_an_iterable_is_walked_in_the_thread_that_fits():
    """A connection of sqlite3 belongs to the thread that opened it."""

    class Rows:
        def __init__(self):
            self.connection = sqlite3.connect(":memory:")
            self.connection.execute("create table rows (x blob, y blob)")
            for part in Batches(x, y):
                self.connection.execute("insert into rows values (?, ?)", [a.tobytes() for a in part])

        def __iter__(self):
            for row in self.connection.execute("select x, y from rows"):
                yield np.frombuffer(row[0], x.dtype).reshape(-1, 6), np.frombuffer(row[1], y.dtype)

    one, other, rows = make(), make(), Rows()
    one.fit(Batches(x, y), epochs=2, validation_data=Batches(x, y))
    other.fit(rows, epochs=2, validation_data=rows)
    assert_equal(one, other)
    assert other.evaluate(rows) == one.evaluate(Batches(x, y))
    rows.connection.close()


def test_an_iterable_is_closed_when_training_ends_early():
    closed = []

    class Endless:
        def __iter__(self):
            try:
                while True:
                    yield x[:20], y[:20]
            finally:
                closed.append(threading.current_thread())

    def stop(run):
        run.stop = True

    def fail(run):
        raise KeyError("enough")

    make().fit(Endless(), callbacks=[LambdaCallback(on_batch_end=stop)])
    assert closed == [threading.current_thread()]
    with pytest.raises(KeyError, match="enough") as caught:
        make().fit(Endless(), callbacks=[LambdaCallback(on_batch_end=fail)])
    assert len(closed) == 2 and caught.tb


def test_iterator_is_enough_for_one_epoch():
    make().fit(iter(Batches(x, y)), epochs=1)


def test_bytes_stay_bytes_until_their_batch(backend):
    seen = []
    see = LambdaCallback(on_batch_end=lambda run: seen.append(run.chunk.data.x.dtype))
    make(backend=backend).fit(x, y, callbacks=[see])
    assert seen and all(dtype == backend.xp.uint8 for dtype in seen)


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="SIGINT is ignored in this process"
)
@pytest.mark.parametrize("streamed", [False, True])
def test_second_interrupt_does_not_wait_for_the_next_batch(streamed, slow, mapped, monkeypatch):
    """Both signals come while the second batch is made, which takes a minute."""
    pressed = []

    def press():
        for _ in range(2):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            pressed.append(time.monotonic())
            time.sleep(0.2)  # or both may be delivered as one

    def wait():
        threading.Timer(0.2, press).start()
        slow.wait(60)

    def batches():
        yield x[:20], y[:20]
        wait()
        yield x[20:40], y[20:40]

    read, count = StreamedSource._read, []

    def read_slowly(self, array, rows):
        count.append(rows)
        if len(count) == 4:  # x and y of the first batch, and x of the second, were read
            wait()
        return read(self, array, rows)

    monkeypatch.setattr(StreamedSource, "_read", read_slowly)
    with pytest.raises(KeyboardInterrupt):
        make().fit(*((mapped, y) if streamed else (batches(),)), batch_size=20)
    assert len(pressed) == 2 and time.monotonic() - pressed[1] < 20
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Short(Batches):
    """Says that it has five batches, and has fewer in the second epoch."""

    def __init__(self, *arrays):
        super().__init__(*arrays)
        self.epoch = 0

    def __len__(self):
        return 5

    def __iter__(self):
        self.epoch += 1
        yield from list(super().__iter__())[: 5 if self.epoch == 1 else 3]


def bad(batch, at=3):
    """Return batches of which one is something else."""
    batches = list(Batches(x, y))
    batches[at] = batch
    return batches


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: m.fit(Short(x, y), epochs=3), ValueError, "fit: x: expected 5 batches or more, got 3"),
        (
            lambda m: m.fit(iter(Batches(x, y)), epochs=2),
            ValueError,
            "fit: x: expected 5 batches or more, got 0; an iterator can be used only once: pass an object that",
        ),
        (
            lambda m: m.fit([(x[:4, :5], y[:4])]),
            ValueError,
            r"fit: x: batch 1: expected x of shape \(N, 6\), got \(4, 5",
        ),
        (lambda m: m.fit(bad((x[:4, :5], y[:4]))), ValueError, r"fit: x: batch 4: expected x of shape \(N, 6\)"),
        (lambda m: m.fit(bad((x[:4], y[:3]))), ValueError, "fit: x: batch 4: expected y with 4 rows, as x, got 3"),
        (lambda m: m.fit(bad((x[:4], y[:4], -weight[:4]))), ValueError, "batch 4: expected sample_weight >= 0"),
        (lambda m: m.fit(bad((x[:4], y[:4] + 5))), ValueError, "expected labels in y from 0 to 2"),
        (lambda m: m.fit(bad(x[:4])), TypeError, r"batch 4: expected \(x, y\) or \(x, y, sample_weight\), got ndarray"),
        (lambda m: m.fit(bad((x[:4],))), TypeError, r"batch 4: expected \(x, y\) or .*, got tuple of 1"),
        (lambda m: m.fit(iter(())), ValueError, "fit: x: expected 1 batch or more, got 0"),
        (lambda m: m.fit(x), ValueError, "fit: expected y, the targets, got None; only an iterable of batches"),
        (
            lambda m: m.fit(Batches(x, y), sample_weight=weight),
            ValueError,
            "expected no sample_weight with an iterable",
        ),
        (
            lambda m: m.fit(Batches(x, y), class_weight="balanced"),
            ValueError,
            "expected class_weight to be a dict with",
        ),
        (lambda m: m.fit(Batches(x, y), class_weight={3: 1}), ValueError, "got one for 3; classes are"),
        (lambda m: m.fit(Batches(x, y), validation_split=0.1), ValueError, "expected no validation_split with an iter"),
    ],
)
def test_what_does_not_fit_is_said_and_the_model_stays_usable(fit, error, message):
    model = make()
    with pytest.raises(error, match=message):
        fit(model)
    assert all(np.isfinite(w).all() for w in weights(model))
    model.fit(x, y)


def test_mapped_file_that_does_not_fit(mapped):
    model = make()
    for call, message in [
        (lambda: model.fit(mapped, y[:5]), "fit: expected y with 90 rows, as x, got 5"),
        (lambda: model.fit(mapped[:, :5], y), r"fit: expected x of shape \(N, 6\), got \(1, 5\)"),
        (lambda: model.fit(mapped, y + 1), "expected labels in y from 0 to 2, got 3"),
        (lambda: model.fit(mapped, y, class_weight={7: 1.0}), "expected class_weight for classes in y, got one for 7"),
        (lambda: model.fit(mapped[:0], y[:0]), "expected at least one example in x"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()

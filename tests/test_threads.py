"""A model that another thread reads while it is trained."""

import sys
import threading

import numpy as np
import pytest

from anynet import Adam, Dense, MeanAbsoluteError, MeanSquaredError, Model, Parallel, backends, load
from anynet.callbacks import LambdaCallback
from anynet.initializers import Given
from anynet.training.state import StateOwner, TrainState
from tests.tools import assert_same, fetch

pytestmark = pytest.mark.without("jax", "numpy-readonly", "strict:device1")

WEIGHT = np.random.default_rng(0).normal(size=(20, 30))
X = np.random.default_rng(1).normal(size=(100, 20)).astype("float32")
Y = np.random.default_rng(2).normal(size=(100, 30)).astype("float32")
Y = np.concatenate([Y, Y], axis=1)


def make(backend):
    """Return a model of two layers that differ only in the middle of an update."""
    layers = [Parallel([Dense(30, weight=Given(WEIGHT)), Dense(30, weight=Given(WEIGHT))])]
    loss, metrics = MeanSquaredError(), [MeanAbsoluteError()]
    return Model(layers, input_shape=20, loss=loss, optimizer=Adam(0.01), backend=backend, metrics=metrics)


def check(model):
    y = model.predict(X[:50])
    np.testing.assert_array_equal(y[:, :30], y[:, 30:])


@pytest.fixture
def eager_switches():
    """Let threads take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def train_beside(model, read, epochs=4):
    """Train while another thread calls `read`, and return history and number of calls."""
    calls, errors, start, done = 0, [], threading.Event(), threading.Event()

    def run():
        nonlocal calls
        start.wait()
        try:
            while not done.is_set():
                read()
                calls += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begin = LambdaCallback(on_epoch_begin=lambda run: start.set())
    try:
        history = model.fit(X, Y, epochs=epochs, batch_size=4, callbacks=[begin])
    finally:
        start.set()
        done.set()
        thread.join()
    assert errors == []
    return history, calls


@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize("what", ["params", "state"])
def test_arrays_that_another_thread_reads_never_change(what, backend):
    model, alone = make(backend), make(backend)
    kept = []

    def read():
        values = getattr(model, what)
        if len(kept) < 500:
            kept.append((values, fetch(backend, values)))

    history, calls = train_beside(model, read)
    assert calls > 0
    for values, copy in kept:
        assert_same(fetch(backend, values), copy)
        first, second = (copy if what == "params" else copy.params)[0]
        assert_same(first, second)
    assert dict(history) == dict(alone.fit(X, Y, epochs=4, batch_size=4))
    assert_same(fetch(backend, model.params), fetch(backend, alone.params))


@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize("method", ["predict", "evaluate", "gradients", "to", "learning_rate_factor"])
def test_another_thread_may_use_a_model_that_is_trained(method, backend):
    model, alone = make(backend), make(backend)
    read = {
        "predict": lambda: check(model),
        "evaluate": lambda: model.evaluate(X[:50], Y[:50]),
        "gradients": lambda: model.gradients(X[:50], Y[:50]),
        "to": lambda: check(model.to("numpy")),
        "learning_rate_factor": lambda: model.learning_rate_factor,
    }[method]
    history, calls = train_beside(model, read)
    assert calls > 0
    assert dict(history) == dict(alone.fit(X, Y, epochs=4, batch_size=4))
    assert_same(fetch(backend, model.params), fetch(backend, alone.params))


@pytest.mark.usefixtures("eager_switches")
def test_another_thread_may_save_a_model_that_is_trained(backend, tmp_path):
    model, alone, path = make(backend), make(backend), tmp_path / "model.safetensors"

    def save():
        model.save(path)
        saved = load(path)
        check(saved)
        assert len({len(column) for column in saved.history.values()}) <= 1

    history, calls = train_beside(model, save)
    assert calls > 0
    assert dict(history) == dict(alone.fit(X, Y, epochs=4, batch_size=4))
    model.save(path)
    assert_same(fetch(backend, model.params), load(path).params)


def test_reader_waits_for_the_present_step_alone():
    owner = StateOwner(TrainState([np.zeros(3)], {}, np.zeros(2, np.int32)), backends.get("numpy"))
    inside, go_on, read = threading.Event(), threading.Event(), []

    def step(state):
        inside.set()
        state.params[0][0] += 1.0
        go_on.wait()
        state.params[0][1:] += 1.0
        return state, None

    stepping = threading.Thread(target=owner.update, args=(step,))
    stepping.start()
    inside.wait()
    reading = threading.Thread(target=lambda: read.append(owner.shared))
    reading.start()
    reading.join(0.05)
    assert read == []
    go_on.set()
    stepping.join()
    reading.join()
    owner.update(step)
    assert read[0].params[0].tolist() == [1.0, 1.0, 1.0] and owner.shared.params[0].tolist() == [2.0, 2.0, 2.0]


def test_step_copies_only_for_readers_that_are_not_done():
    owner = StateOwner(TrainState([np.zeros(3)], {}, np.zeros(2, np.int32)), backends.get("numpy"))

    def array():
        return owner.update(lambda state: (state, state.params[0]))

    first = array()
    with owner.read():
        pass
    assert array() is first
    with owner.read() as state:
        second = array()
        assert second is not first and state.params[0] is first
        assert array() is second
    assert array() is second

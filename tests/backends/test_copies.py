"""Test that copies to a GPU neither overtake the steps that read their memory nor are read before they end."""

import weakref

import numpy as np
import pytest

from anynet import Adam, Dense, HalfSquaredError, Model
from tests.conftest import KINDS

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))


class Batch:
    """An object whose life can be followed."""


@pytest.fixture
def recorded(backend, monkeypatch):
    """Return the copies of a backend whose stream only records its calls, and the list of calls."""
    import cupy

    calls = []

    class Stream:
        def __init__(self, non_blocking):
            assert non_blocking

        def wait_event(self, event):
            calls.append(("wait", event))

        def synchronize(self):
            calls.append(("finish", None))

    monkeypatch.setattr(cupy.cuda, "Stream", Stream)
    return backend.copies(backend), calls


def test_copies_wait_for_the_steps_with_each_batch_while_it_is_alive(recorded):
    copies, calls = recorded
    alive, at_wait = weakref.WeakSet(), []

    def items():
        for _ in range(4):
            at_wait.append(sum(name == "wait" for name, _ in calls))
            batch = Batch()
            alive.add(batch)
            yield batch
            assert batch in alive
            del batch

    for _ in copies.used(copies.prepared(items())):
        assert calls[-1][0] == "finish"  # its copies are complete
    assert at_wait == [1, 2, 3, 4]  # the first event, and then that of each batch before the next one is made
    assert len({event.ptr for name, event in calls if name == "wait"}) == 5


def test_a_batch_is_kept_when_training_ends_early(recorded):
    copies, calls = recorded
    batch = Batch()
    seen = weakref.ref(batch)
    used = copies.used(copies.prepared(each for each in [batch, Batch()]))
    assert next(used) is batch
    del batch
    used.close()
    del used
    assert seen() is not None  # its steps may still run
    assert calls[-1][0] == "finish"


def test_streamed_training_equals_training_on_the_device(backend, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 6)).astype("float32"), rng.normal(size=(500, 2)).astype("float32")
    np.save(tmp_path / "x.npy", x)

    def trained(x):
        model = Model(
            [Dense(8), Dense(2)], input_shape=6, loss=HalfSquaredError(), optimizer=Adam(), backend=backend, seed=0
        )
        history = model.fit(x, y, epochs=3, batch_size=16)
        return history, model.predict(x)

    streamed, whole = trained(np.load(tmp_path / "x.npy", mmap_mode="r")), trained(x)
    assert streamed[0]["loss"] == whole[0]["loss"]
    np.testing.assert_array_equal(*(np.asarray(backend.to_numpy(p)) for p in (streamed[1], whole[1])))

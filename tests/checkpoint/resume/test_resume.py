"""A run that was broken off and resumed is the run that never was."""

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, HalfSquaredError, Model, load
from anynet.callbacks import Callback, Checkpoint

from . import kill
from .run import result, train


class Broken(Exception):
    pass


class BreakOff(Callback):
    """Raise after so many calls of `on_batch_end`, when the checkpoint of it has been written."""

    last = True

    def __init__(self, calls):
        self.calls = calls

    def on_batch_end(self, run):
        self.calls -= 1
        if self.calls < 0:
            raise Broken


class Frequent(Checkpoint):
    """Write at each call."""

    def on_batch_end(self, run):
        self._write(run)


def broken_run(folder, backend, epochs, calls):
    """Train until the end, broken off every so many calls."""
    while True:
        try:
            return train(backend, folder, epochs, [Frequent(folder / "run.safetensors"), BreakOff(calls)], seconds=1e9)
        except Broken:
            continue


@pytest.mark.parametrize("calls", [1, 40])
def test_resumed_run_is_the_run_that_was_not_broken_off(backend, calls, tmp_path):
    epochs = 2 if calls == 40 else 1
    (tmp_path / "whole").mkdir()
    expected = result(*train(backend, tmp_path / "whole", epochs, seconds=1e9))
    name = "jax" if backend.name.startswith("jax") else "numpy"
    if calls == 1 and backend.name.startswith(("jax", "strict")):
        calls = 20  # a new model, and a new compilation, after each break
    kill.compare(name, expected, result(*broken_run(tmp_path, backend, epochs, calls)))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_killed_run(library):
    if library == "torch":
        pytest.importorskip("torch")
    assert kill.check(library, kills=2) == 2


def make(**changes):
    arguments = {"loss": HalfSquaredError(), "optimizer": SGD(0.1, momentum=0.9), "seed": 1}
    return Model([Dense(1)], input_shape=2, **(arguments | changes))


x = np.random.default_rng(0).normal(size=(20, 2))
y = x.sum(axis=1)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "run.safetensors"
    make().fit(x, y, epochs=2, batch_size=4, callbacks=[Checkpoint(path)])
    return path


def test_resume_takes_over_where_the_file_was_written_on_any_backend(written, backend):
    expected = make().fit(x, y, epochs=5, batch_size=4)
    model = make(backend=backend)
    history = model.fit(x, y, epochs=5, batch_size=4, resume=written)
    assert history["loss"][:2] == expected["loss"][:2]
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    assert model.epoch == 5 and model.history is history


def test_run_that_is_complete_returns_its_history(written):
    model = make()
    history = model.fit(x, y, epochs=2, batch_size=4, resume=written)
    assert history.epochs == 2
    assert np.array_equal(model.params[0]["weight"], load(written).params[0]["weight"])


def test_model_that_was_saved_after_training_goes_on(tmp_path):
    whole = make()
    expected = whole.fit(x, y, epochs=5, batch_size=4)
    model = make()
    model.fit(x, y, epochs=3, batch_size=4)
    model.save(tmp_path / "model.safetensors")
    again = make()
    history = again.fit(x, y, epochs=5, batch_size=4, resume=tmp_path / "model.safetensors")
    assert dict(history) == dict(expected)
    assert np.array_equal(again.params[0]["weight"], whole.params[0]["weight"])


@pytest.mark.parametrize(
    ("model", "fit", "message"),
    [
        (
            {},
            {"batch_size": 5},
            r"fit: resume: expected batch_size=4, as in the fit that .*, got batch_size=5; resume with the arg",
        ),
        ({}, {"shuffle": False}, "expected shuffle=True, .* got shuffle=False"),
        ({}, {"validation_split": 0.2}, "expected validation_split=0.0, .* got validation_split=0.2"),
        ({}, {"x": x[:12], "y": y[:12]}, "expected examples=20, .* got examples=12"),
        ({"seed": 2}, {}, "expected seed=1, as in the model that .*, got seed=2"),
        ({"optimizer": Adam()}, {}, "expected optimizer=SGD, .* got optimizer=Adam; "),
        ({"metrics": [HalfSquaredError()]}, {}, r"expected metrics=\[\]"),
        (
            {"optimizer": SGD(0.2, nesterov=True, momentum=0.5), "seed": 2},
            {},
            r"learning_rate=0\.1, optimizer\.momentum=0\.9, optimizer\.nesterov=False, seed=1, as in .*learning_rate=0\.2, ",
        ),
        ({"dtype": "float64"}, {}, "expected dtype=float32, .* got dtype=float64"),
    ],
)
def test_another_run_is_not_resumed(written, model, fit, message):
    other = make(**model)
    before = other.params[0]["weight"]
    with pytest.raises(ValueError, match=message):
        other.fit(**({"x": x, "y": y, "epochs": 3, "batch_size": 4, "resume": written} | fit))
    assert np.array_equal(other.params[0]["weight"], before) and other.epoch == 0


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fit: resume: expected an existing file, got .*none"):
        make().fit(x, y, resume=tmp_path / "none")


def test_keeps_the_last_files(tmp_path):
    path = tmp_path / "run.safetensors"
    make().fit(x, y, epochs=5, batch_size=4, callbacks=[Checkpoint(path, keep=3)])
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "run.1.safetensors",
        "run.2.safetensors",
        "run.safetensors",
    ]
    assert [load(tmp_path / f"run{n}.safetensors").epoch for n in ("", ".1", ".2")] == [5, 4, 3]


def test_keeps_the_best(tmp_path):
    class Worse(Callback):
        """Spoil the weights in the third epoch."""

        def on_epoch_begin(self, run):
            if run.epoch == 3:
                run.model.params = [{"weight": np.full((2, 1), 9.0), "bias": np.full(1, 9.0)}]

    path = tmp_path / "run.safetensors"
    best = Checkpoint(path, monitor="loss")
    history = make().fit(x, y, epochs=3, batch_size=4, callbacks=[best, Worse()])
    assert history["loss"][2] > history["loss"][1]
    assert load(path).epoch == 2 and best.monitor.best == history["loss"][1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every_n_epochs": 0}, ValueError, "Checkpoint: expected every_n_epochs >= 1, got 0"),
        ({"every_n_seconds": 0.0}, ValueError, r"Checkpoint: expected every_n_seconds in \(0, inf\), got 0.0"),
        ({"every_n_epochs": None}, ValueError, "Checkpoint: expected every_n_epochs or every_n_seconds, got neither"),
        ({"every_n_seconds": 1.0, "monitor": "loss"}, ValueError, "expected every_n_seconds or monitor, got both"),
        ({"keep": 0}, ValueError, "Checkpoint: expected keep >= 1, got 0"),
        ({"monitor": 3}, TypeError, "Checkpoint: expected monitor to be the name of a quantity in the history, got 3"),
        ({"monitor": "loss", "mode": "less"}, ValueError, "expected mode 'auto', 'min' or 'max', got 'less'"),
    ],
)
def test_arguments_of_checkpoint(arguments, error, message):
    with pytest.raises(error, match=message):
        Checkpoint("run.safetensors", **arguments)


def test_monitor_that_is_not_recorded(tmp_path):
    with pytest.raises(ValueError, match=r"expected monitor to be one of loss, got 'val_loss'; pass validation_data"):
        make().fit(x, y, callbacks=[Checkpoint(tmp_path / "run", monitor="val_loss")])

"""Test the hooks and effects of callbacks, and that resumed runs restore their state."""

import csv
import dataclasses
import signal
from dataclasses import dataclass

import numpy as np
import pytest

from anynet import MAE, SGD, Adam, Dense, Dropout, Frozen, HalfSquaredError, Layer, Model, ReLU, Tanh, load
from anynet.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ReduceLROnPlateau,
    StopOnNaN,
)
from anynet.metrics import Metric

rng = np.random.default_rng(0)
x = rng.normal(size=(40, 3))
y = x.sum(axis=1, keepdims=True)
noisy = (rng.normal(size=(20, 3)), rng.normal(size=(20, 1)))


def make(layers=None, **changes):
    arguments = {"input_shape": 3, "loss": HalfSquaredError(), "optimizer": SGD(0.1), "seed": 4}
    return Model(layers or [Dense(8), Tanh(), Dense(1)], **(arguments | changes))


def weights(model):
    return [model.backend.to_numpy(part["weight"]) for part in model.params if "weight" in part]


def equal(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


HOOKS = ("on_fit_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_fit_end")


def recorder(name, calls):
    return LambdaCallback(**{hook: lambda run, hook=hook: calls.append((hook, name)) for hook in HOOKS})


def test_order_of_hooks():
    calls = []
    make().fit(x, y, epochs=2, batch_size=20, callbacks=[recorder("a", calls), recorder("b", calls)])
    epoch = ["on_epoch_begin", "on_batch_end", "on_batch_end", "on_epoch_end"]
    hooks = ["on_fit_begin", *epoch, *epoch, "on_fit_end"]
    assert calls == [(hook, name) for hook in hooks for name in "ab"]


def test_checkpoint_comes_last(tmp_path):
    path, seen = tmp_path / "run.safetensors", []
    see = LambdaCallback(on_epoch_end=lambda run: seen.append(path.exists()))
    make().fit(x, y, callbacks=[Checkpoint(path), see])
    assert seen == [False] and path.exists()


class Broken(Exception):
    pass


@pytest.mark.parametrize("hook", HOOKS)
def test_callback_that_raises_stops_the_run_and_on_fit_end_runs(hook):
    calls = []

    def fail(run):
        raise Broken("see me")

    model = make()
    with pytest.raises(Broken, match="see me"):
        model.fit(
            x, y, epochs=3, callbacks=[recorder("a", calls), LambdaCallback(**{hook: fail}), recorder("b", calls)]
        )
    assert ("on_fit_end", "a") in calls
    assert calls.count(("on_fit_end", "b")) == (hook != "on_fit_begin")
    assert all(np.isfinite(w).all() for w in weights(model))
    assert model.fit(x, y, epochs=2).epochs == 2


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


def press(times, at):
    """Return a callback that presses Ctrl-C in the second epoch, after `at` batches."""

    def on_batch_end(run):
        if run.epoch == 2 and run.batch >= at:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    return LambdaCallback(on_batch_end=on_batch_end)


def test_interrupt_ends_at_a_batch_with_a_usable_model(tmp_path, caplog):
    path = tmp_path / "run.safetensors"
    whole = make()
    expected = whole.fit(x, y, epochs=5, batch_size=4, validation_data=noisy)
    model = make()
    arguments = {"epochs": 5, "batch_size": 4, "validation_data": noisy}
    history = model.fit(x, y, **arguments, callbacks=[Checkpoint(path), press(1, at=3)])
    assert history.epochs == 2 and history["val_loss"][0] == expected["val_loss"][0]
    assert np.isfinite(history["loss"][1]) and np.isnan(history["val_loss"][1])
    assert "interrupted in epoch 2 after 3 batches" in caplog.text
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert model.predict(x).shape == (40, 1)
    again = make()
    resumed = again.fit(x, y, **arguments, callbacks=[Checkpoint(path)], resume=path)
    assert dict(resumed) == dict(expected) and equal(weights(again), weights(whole))


def test_second_interrupt_aborts_immediately():
    with pytest.raises(KeyboardInterrupt):
        make().fit(x, y, epochs=5, batch_size=4, callbacks=[press(2, at=3)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# -- EarlyStopping ----------------------------------------------------------------------------------------------------


def test_early_stopping_restores_the_best_parameters(backend):
    kept = {}
    keep = LambdaCallback(on_epoch_end=lambda run: kept.update({run.epoch: weights(run.model)}))
    stopping = EarlyStopping(patience=3)
    model = make(backend=backend)
    history = model.fit(x, y, epochs=60, batch_size=10, validation_data=noisy, callbacks=[stopping, keep])
    best = int(np.argmin(history["val_loss"]))
    assert stopping.best_epoch == best + 1 and stopping.best == history["val_loss"][best]
    assert history.epochs == best + 1 + 3 < 60
    assert equal(weights(model), kept[best + 1])
    assert model.evaluate(*noisy)["loss"] == pytest.approx(stopping.best, rel=1e-6)


def test_early_stopping_may_keep_the_last_parameters():
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda run: kept.append(weights(run.model)))
    model = make()
    model.fit(x, y, epochs=60, validation_data=noisy, callbacks=[EarlyStopping(restore_best=False), keep])
    assert equal(weights(model), kept[-1])


def test_early_stopping_ignores_improvements_within_min_delta():
    history = make().fit(x, y, epochs=60, callbacks=[EarlyStopping("loss", patience=2, min_delta=1e9)])
    assert history.epochs == 3


def test_a_second_fit_forgets_the_first():
    stopping, reduce = EarlyStopping("loss"), ReduceLROnPlateau("loss", patience=1)
    make().fit(x, y, epochs=6, callbacks=[stopping, reduce])
    model = make()
    history = model.fit(x, y, epochs=2, callbacks=[stopping, reduce])
    assert stopping.best == history["loss"][1] < history["loss"][0] and stopping.best_epoch == 2
    assert model.learning_rate_factor == 1.0


def test_monitor_uses_the_direction_of_the_metric():
    xs, ys = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    from anynet import SoftmaxCrossEntropy

    model = make([Dense(2)], loss=SoftmaxCrossEntropy(), metrics=["accuracy"])
    stopping = EarlyStopping("accuracy", patience=4)
    history = model.fit(xs, ys, epochs=50, callbacks=[stopping])
    assert stopping.best == max(history["accuracy"])


@pytest.mark.parametrize("make_callback", [EarlyStopping, ReduceLROnPlateau])
def test_monitor_that_is_not_recorded(make_callback):
    with pytest.raises(
        ValueError, match=r"expected monitor to be one of loss, got 'val_loss'; pass validation_data or v"
    ):
        make().fit(x, y, callbacks=[make_callback()])


# -- resuming with callbacks that have a state -----------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_resumed_callbacks_restore_their_state(stop_at, tmp_path):
    def run(path, breaking=(), resume=None):
        model = make([Dense(8), Tanh(), Dropout(0.1), Dense(1)], optimizer=Adam(0.05))
        remember = [
            EarlyStopping(patience=4),
            ReduceLROnPlateau(patience=2, factor=0.5),
            CSVLogger(path.with_suffix(".csv")),
        ]
        history = model.fit(
            x,
            y,
            epochs=40,
            batch_size=10,
            validation_data=noisy,
            callbacks=[*remember, Checkpoint(path), *breaking],
            resume=resume,
        )
        return model, history

    whole, expected = run(tmp_path / "whole.safetensors")
    assert stop_at < expected.epochs < 40 and whole.learning_rate_factor < 1

    class Break(Callback):
        last = True

        def on_epoch_end(self, run):
            if run.epoch == stop_at:
                raise Broken

    path = tmp_path / "run.safetensors"
    with pytest.raises(Broken):
        run(path, [Break()])
    model, history = run(path, resume=path)
    assert dict(history) == dict(expected)
    assert model.learning_rate_factor == whole.learning_rate_factor
    assert equal(weights(model), weights(whole))
    assert path.with_suffix(".csv").read_text() == (tmp_path / "whole.csv").read_text()


# -- ReduceLROnPlateau ------------------------------------------------------------------------------------------------


def test_learning_rate_factor_is_a_learning_rate(backend):
    scaled, plain = make(backend=backend, optimizer=Adam(0.1)), make(backend=backend, optimizer=Adam(0.025))
    scaled.learning_rate_factor = 0.25
    assert scaled.learning_rate_factor == 0.25
    for model in (scaled, plain):
        model.fit(x, y, epochs=2, batch_size=10)
    for a, b in zip(weights(scaled), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_factor_changes_between_steps_without_recompilation(backend):
    model = make(backend=backend)
    before = weights(model)
    model.learning_rate_factor = 0.0
    model.train_step(x, y)
    assert equal(before, weights(model))
    model.learning_rate_factor = 1.0
    model.train_step(x, y)
    assert not equal(before, weights(model))
    if backend.name == "jax" and hasattr(model._compiled.step, "_cache_size"):
        assert model._compiled.step._cache_size() == 1


def test_factor_is_saved(tmp_path, backend):
    model = make(backend=backend)
    model.learning_rate_factor = 0.125
    model.fit(x, y)
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").learning_rate_factor == 0.125
    assert model.to("numpy").learning_rate_factor == 0.125


def test_reduce_on_plateau_waits_and_reduces():
    seen = []
    see = LambdaCallback(on_epoch_begin=lambda run: seen.append(run.model.learning_rate_factor))
    reduce = ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=1e9, min_factor=0.2)
    make().fit(x, y, epochs=9, callbacks=[reduce, see])
    assert seen == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2])


def test_factor_must_be_a_number():
    with pytest.raises(ValueError, match=r"Model: expected learning_rate_factor in \[0, inf\), got -1"):
        make().learning_rate_factor = -1


# -- CSVLogger --------------------------------------------------------------------------------------------------------


def test_csv_has_every_number(tmp_path):
    path = tmp_path / "log.csv"
    history = make().fit(x, y, epochs=3, validation_data=noisy, callbacks=[CSVLogger(path)])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, column in history.items():
        assert [float(row[name]) for row in rows] == column


def test_csv_in_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        make().fit(x, y, callbacks=[CSVLogger(tmp_path / "missing" / "log.csv")])


# -- StopOnNaN --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Spoiled(Layer):
    """Divide by zero, forward or backward, where x is large."""

    where: str

    def forward(self, params, x, *, key=None):
        return (x / (x < 1e5) if self.where == "forward" else x * 1.0), x

    def backward(self, params, cache, dy, *, need_dx=True):
        return (dy / (abs(cache) < 3.0) if self.where == "backward" else dy * 1.0), {}


def layers(where):
    return [Dense(4), Tanh() if where != "forward" else ReLU(), Spoiled(where), Dense(1)]


large = np.concatenate([x, np.full((1, 3), 1e9)])


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("every", [1, 4, 10, 100])
def test_names_the_layer_whose_output_is_not_finite(every):
    model = make(layers("forward"), optimizer=SGD(1e-3))
    before = weights(model)
    with pytest.raises(
        FloatingPointError,
        match=r"StopOnNaN: .* in epoch 1, first in the output of layer 2, Spoiled\(where='forward'\), batch 11; lower",
    ):
        model.fit(large, np.zeros(41), batch_size=4, shuffle=False, callbacks=[StopOnNaN(every=every)])
    assert all(np.isfinite(w).all() for w in weights(model))
    assert equal(before, weights(model)) == (every == 100)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_names_the_layer_whose_gradient_is_not_finite():
    model = make([Dense(4), Spoiled("backward"), Dense(1)], optimizer=SGD(1e-9))
    message = r"first in the gradient that leaves layer 1, Spoiled\(where='backward'\), batch"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(large, np.zeros(41), batch_size=4, callbacks=[StopOnNaN()])


def test_names_the_update_and_stays_silent_otherwise(backend):
    model = make([Dense(1)], optimizer=SGD(1e38), backend=backend)
    with pytest.raises(FloatingPointError, match=r"in (the output of layer 0, Dense|the update of 0\.weight by SGD)"):
        model.fit(x * 100, y * 100, epochs=9, batch_size=10, callbacks=[StopOnNaN(every=3)])
    assert all(np.isfinite(w).all() for w in weights(model))
    assert make(backend=backend).fit(x, y, epochs=2, callbacks=[StopOnNaN()]).epochs == 2


@pytest.mark.parametrize(
    ("create", "error", "message"),
    [
        (lambda: EarlyStopping(patience=-1), ValueError, "EarlyStopping: expected patience >= 0, got -1"),
        (
            lambda: EarlyStopping(min_delta=-0.1),
            ValueError,
            r"EarlyStopping: expected min_delta in \[0, inf\), got -0.1",
        ),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, r"ReduceLROnPlateau: expected factor in \(0, 1\), got 1.0"),
        (lambda: StopOnNaN(every=0), ValueError, "StopOnNaN: expected every >= 1, got 0"),
        (
            lambda: LambdaCallback(on_fit_end=3),
            TypeError,
            "LambdaCallback: expected on_fit_end to be a function of the",
        ),
    ],
)
def test_arguments(create, error, message):
    with pytest.raises(error, match=message):
        create()


# Metrics of the validation data -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Largest(Metric):
    """The largest output, from the outputs of all examples."""

    calls: list

    keeps_examples = True

    def sums(self, y_true, y_pred, sample_weight=None):
        self.calls.append(1)
        return (y_pred,)

    def value(self, sums):
        return float(sums[0].max())


class WithMetric(Callback):
    def __init__(self, metric):
        self.validation_metrics = (metric,)
        self.seen = []

    def on_epoch_end(self, run):
        self.seen.append(float(run.model.predict(noisy[0]).max()))
        assert run.names == [*run.logs]


@pytest.mark.parametrize("batched", [False, True])
def test_a_callback_may_add_metrics_of_the_validation_data(batched, backend):
    calls = []
    held = [tuple(part[i : i + 5] for part in noisy) for i in range(0, 20, 5)] if batched else noisy
    callback = WithMetric(Largest(calls))
    history = make(backend=backend).fit(x, y, epochs=3, batch_size=8, validation_data=held, callbacks=[callback])
    expected = make(backend=backend).fit(x, y, epochs=3, batch_size=8, validation_data=held)
    assert len(calls) in ((1, 12) if batched else (1, 3))  # none in a training step; 1 if the evaluation is traced
    np.testing.assert_allclose(history["val_largest"], callback.seen, rtol=1e-5)
    assert {name: history[name] for name in history if name != "val_largest"} == dict(expected)


def test_training_stops_by_a_metric_of_a_callback():
    stopping, callback = EarlyStopping("val_largest", mode="min", patience=1), WithMetric(Largest([]))
    model = make()
    history = model.fit(x, y, epochs=20, validation_data=noisy, callbacks=[stopping, callback])
    assert stopping.best == min(history["val_largest"]) and history.epochs < 20
    assert "val_largest" not in model.evaluate(*noisy) and "largest" not in model.evaluate(*noisy)


def test_monitor_uses_the_direction_of_a_metric_of_a_callback():
    callback = WithMetric(MAE())
    callback.on_epoch_end = lambda run: None
    stopping = EarlyStopping("val_mae", patience=1)
    history = make(metrics=["r2"]).fit(x, y, epochs=5, validation_data=noisy, callbacks=[stopping, callback])
    assert stopping.best == min(history["val_mae"])


def test_metrics_of_the_validation_data_need_validation():
    callback = WithMetric(Largest(calls := []))
    callback.on_epoch_end = lambda run: None
    assert [*make().fit(x, y, callbacks=[callback])] == ["loss"] and not calls


def test_metrics_of_callbacks_have_different_names():
    two = [WithMetric(Largest([])), WithMetric(Largest([1]))]
    with pytest.raises(ValueError, match="largest"):
        make().fit(x, y, validation_data=noisy, callbacks=two)


# Layers frozen by a callback ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_fit_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("frozen", [False, True], ids=["freeze", "unfreeze"])
def test_a_callback_may_freeze_and_unfreeze(hook, frozen, backend):
    """Training, validation, metrics of callbacks and `StopOnNaN` use the new layers from then on."""
    model = make(backend=backend)
    model.freeze(*[0] * frozen)

    def change(run):
        if run.epoch <= 1:
            run.model.unfreeze() if frozen else run.model.freeze(0)

    callbacks = [WithMetric(Largest([])), StopOnNaN(), LambdaCallback(**{hook: change})]
    history = model.fit(x, y, epochs=3, batch_size=20, validation_data=noisy, callbacks=callbacks)
    assert isinstance(model.layer.layers[0], Frozen) is not frozen
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(*noisy)["loss"], rel=1e-6)
    assert history["val_largest"][-1] == pytest.approx(callbacks[0].seen[-1], rel=1e-6)


def test_validation_metrics_of_callbacks_are_compiled_once():
    pytest.importorskip("jax", reason="jax is not installed")
    calls, model = [], make(backend="jax")
    model.fit(x, y, epochs=4, validation_data=noisy, callbacks=[WithMetric(Largest(calls))])
    assert len(calls) == 1


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end"])
def test_names_the_layer_that_is_not_finite_after_unfreezing(hook):
    model = make(optimizer=SGD(1e30))
    model.freeze(0)
    unfreeze = LambdaCallback(**{hook: lambda run: run.model.unfreeze()})
    where = "layer 2, Dense" if hook == "on_epoch_begin" else "an update since layers were frozen or unfrozen"
    with pytest.raises(FloatingPointError, match=f"first in .*{where}"), np.errstate(all="ignore"):
        model.fit(x, y, epochs=3, batch_size=20, callbacks=[unfreeze, StopOnNaN()])


@pytest.mark.parametrize("frozen", [False, True], ids=["freeze", "unfreeze"])
def test_early_stopping_restores_parameters_of_other_layers(frozen):
    """The best epoch is the first, and layers are frozen or unfrozen afterwards."""
    model, best = make(optimizer=SGD(0.01)), []
    model.freeze(*[0] * frozen)

    def change(run):
        if run.epoch == 1:
            best.append(weights(thawed(run.model)))
            run.model.unfreeze() if frozen else run.model.freeze(0)

    def thawed(model):
        model = model.to("numpy")
        model.unfreeze()
        return model

    worse = LambdaCallback(on_epoch_end=lambda run: run.logs.update(val_loss=float(run.epoch)))
    callbacks = [worse, EarlyStopping(patience=2), LambdaCallback(on_epoch_end=change)]
    model.fit(x, y, epochs=9, validation_data=noisy, callbacks=callbacks)
    assert model.history.epochs == 3 and isinstance(model.layer.layers[0], Frozen) is not frozen
    assert equal(weights(thawed(model)), best[0])

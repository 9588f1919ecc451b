"""Schedules with a length in epochs equal those with the same length in steps."""

from dataclasses import replace

import numpy as np
import pytest

from anynet import (
    SGD,
    Accumulate,
    Adam,
    Checkpoint,
    Clip,
    CosineDecay,
    CosineRestarts,
    CosLog,
    Dense,
    ExponentialDecay,
    FlatCosine,
    Groups,
    MeanSquaredError,
    Model,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    Warmup,
    load,
)

X = np.random.default_rng(0).normal(size=(70, 3))
Y = X.sum(axis=1)


def model(optimizer, backend="numpy"):
    return Model([Dense(1)], input_shape=3, loss=MeanSquaredError(), optimizer=optimizer, backend=backend)


def trained(optimizer, backend="numpy", **settings):
    one = model(optimizer, backend)
    one.fit(X, Y, **{"batch_size": 16, "epochs": 3, "progress": False, **settings})
    return one


PAIRS = [  # five batches per epoch
    (CosineDecay(0.1, epochs=3), CosineDecay(0.1, steps=15)),
    (CosineDecay(0.1, epochs=0.5), CosineDecay(0.1, steps=2)),
    (CosineRestarts(0.1, epochs=1), CosineRestarts(0.1, steps=5)),
    (CosLog(0.1, epochs=3), CosLog(0.1, steps=15)),
    (FlatCosine(0.1, epochs=2, final=0.01), FlatCosine(0.1, steps=10, final=0.01)),
    (OneCycle(0.1, epochs=3), OneCycle(0.1, steps=15)),
    (PolynomialDecay(0.1, epochs=2), PolynomialDecay(0.1, steps=10)),
    (ExponentialDecay(0.1, factor=0.5, epochs=1), ExponentialDecay(0.1, factor=0.5, steps=5)),
    (StepDecay(0.1, epochs=1), StepDecay(0.1, 5)),
    (Warmup(CosineDecay(0.1, epochs=2), epochs=1), Warmup(CosineDecay(0.1, steps=10), steps=5)),
    (Warmup(CosineDecay(0.1, epochs=2), steps=2), Warmup(CosineDecay(0.1, steps=10), steps=2)),
]


@pytest.mark.parametrize(("epochs", "steps"), PAIRS, ids=lambda schedule: repr(schedule))
def test_equals_the_schedule_in_steps(epochs, steps):
    ours, expected = trained(SGD(epochs)), trained(SGD(steps))
    np.testing.assert_array_equal(ours.params[0]["weight"], expected.params[0]["weight"])
    assert ours.optimizer == expected.optimizer


@pytest.mark.parametrize("steps", [1, 5, 2])
def test_accumulated_batches_count_once(steps):
    ours = trained(Clip(Accumulate(Adam(CosineDecay(0.1, epochs=3)), steps=steps), norm=1.0))
    assert ours.optimizer.optimizer.optimizer.learning_rate.steps == round(15 / steps)


def test_in_every_setting_and_group():
    fall = CosineDecay(0.9, epochs=2)
    ours = trained(Groups(SGD(0.1, momentum=fall), {"*bias": {"learning_rate": fall}}))
    assert ours.optimizer.optimizer.momentum.steps == ours.optimizer.groups[0][1].learning_rate.steps == 10


def test_on_every_backend(backend):
    ours = trained(Adam(CosineDecay(0.1, epochs=3)), backend)
    expected = trained(Adam(CosineDecay(0.1, steps=15)), backend)
    for a, b in zip(ours.params[0].values(), expected.params[0].values(), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(a), backend.to_numpy(b))


def test_is_converted_once():
    one = trained(SGD(CosineDecay(0.1, epochs=3)))
    one.fit(X, Y, batch_size=7, progress=False)
    assert one.optimizer.learning_rate == CosineDecay(0.1, steps=15)
    one.train_step(X, Y)


def test_the_validation_split_does_not_count():
    assert trained(SGD(CosineDecay(0.1, epochs=3)), validation_split=0.5).optimizer.learning_rate.steps == 9


def test_only_fit_knows_the_steps_per_epoch():
    one = model(SGD(CosineDecay(0.1, epochs=3)))
    before = one.params[0]["weight"].copy()
    with pytest.raises(ValueError, match=r"expected a length in steps, got epochs=3; Model.fit converts epochs"):
        one.train_step(X, Y)
    np.testing.assert_array_equal(one.params[0]["weight"], before)


def test_an_iterable_needs_a_length():
    class Batches:
        def __iter__(self):
            return iter([(X, Y)] * 2)

    class Counted(Batches):
        def __len__(self):
            return 2

    one = model(SGD(CosineDecay(0.1, epochs=3)))
    with pytest.raises(ValueError, match=r"expected batches of a known number .* define its __len__"):
        one.fit(Batches())
    assert one.optimizer.learning_rate.epochs == 3
    one.fit(Counted(), epochs=3, progress=False)
    assert one.optimizer.learning_rate.steps == 6
    model(SGD(0.1)).fit(Batches(), progress=False)


def test_saved_and_resumed(tmp_path):
    path, optimizer = tmp_path / "run.safetensors", SGD(CosineDecay(0.1, epochs=4), momentum=0.9)
    model(optimizer).save(path)
    assert load(path).optimizer == optimizer
    whole = trained(optimizer, epochs=4)
    trained(optimizer, epochs=2, callbacks=[Checkpoint(path)])
    resumed = trained(optimizer, epochs=4, resume=path)
    np.testing.assert_array_equal(resumed.params[0]["weight"], whole.params[0]["weight"])
    one = model(optimizer)
    with pytest.raises(ValueError, match="expected batch_size=16"):
        one.fit(X, Y, batch_size=8, epochs=4, resume=path)
    assert one.optimizer == optimizer


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: CosineDecay(0.1), ValueError, "CosineDecay: expected steps or epochs, got neither"),
        (lambda: CosineDecay(0.1, steps=3, epochs=3), ValueError, "expected steps or epochs, got steps=3 and epochs=3"),
        (lambda: StepDecay(0.1), ValueError, "expected every or epochs, got neither"),
        (lambda: OneCycle(0.1, epochs=0), ValueError, r"expected epochs in \(0, inf\), got 0"),
        (lambda: replace(Warmup(0.1, epochs=1), epochs="2"), TypeError, "expected epochs to be a number"),
    ],
)
def test_bad_lengths_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()

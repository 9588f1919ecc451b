"""Dropout with a schedule, against dropout with the number that the schedule has at each pass."""

import numpy as np
import pytest

import anynet
from anynet import (
    Adam,
    Checkpoint,
    ConstantSchedule,
    Dense,
    Dropout,
    FlatCosine,
    Frozen,
    Model,
    PolynomialDecay,
    Repeat,
    Sequential,
    Shared,
    SoftmaxCrossEntropy,
    Tanh,
    Warmup,
    random,
)
from tests.tools import assert_same, fetch, key, place

FALL = FlatCosine(0.75, steps=8, final=0.1)
X = np.random.default_rng(0).normal(size=(40, 6))
Y = np.arange(40) % 3


@pytest.mark.parametrize("shape", [(7,), (4, 3)])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0, 1 / 3])
def test_masks_of_an_array_are_those_of_a_number(probability, shape, backend):
    draw = backend.compile(lambda key, p: random.bernoulli(key, p, shape))
    at = place(backend, {"key": key(), "p": np.array(probability)}, "float32")
    expected = random.bernoulli(place(backend, key()), probability, shape)
    assert_same(fetch(backend, draw(at["key"], at["p"])), fetch(backend, expected))


def test_each_pass_has_the_rate_of_its_step(backend):
    """The rate is that of a number, bit for bit, and returns to the end value after the last step."""
    layer, x = Dropout(FALL), place(backend, X, "float32")
    params = place(backend, layer.init(None, (6,))[0], "float32")
    run = backend.compile(lambda params, x, key: layer.forward(params, x, key=key))
    move = backend.compile(layer.update_buffers)
    for step in range(10):
        rate = float(FALL(np.asarray(step, np.float32)))
        assert step < 8 or rate == pytest.approx(0.1)
        y, cache = run(params, x, place(backend, key(step)))
        expected, _ = Dropout(rate).forward({}, x, key=place(backend, key(step)))
        np.testing.assert_allclose(fetch(backend, y), fetch(backend, expected), rtol=1e-6)
        params = move(params, cache)
        assert float(params["passes"]) * 1024 == step + 1


@pytest.mark.parametrize(("rate", "kept"), [(0.0, 1.0), (1.0, 2.0**-16), (7.0, 2.0**-16)])
def test_a_schedule_may_reach_any_value(rate, kept, backend):
    layer, x = Dropout(ConstantSchedule(rate)), place(backend, np.ones((40, 50)))
    y, _ = layer.forward(place(backend, {"passes": np.zeros(())}), x, key=place(backend, key()))
    assert set(np.unique(fetch(backend, y))) <= {0.0, 1.0 / kept}


@pytest.mark.without("strict", "strict:device1")
def test_the_count_stays_in_the_range_of_float16(backend):
    """A model with compute_dtype float16 casts the buffer, and float16 ends at 65504."""
    layer = Dropout(PolynomialDecay(1.0, steps=200_000))
    passes = backend.asarray(np.array(100_000 / 1024), backend.half("float16"))
    x = backend.asarray(np.ones((200, 50)), backend.half("float16"))
    y, _ = layer.forward({"passes": passes}, x, key=place(backend, key()))
    assert y.dtype == x.dtype and set(np.unique(fetch(backend, y).astype("float32")).round(2)) == {0.0, 2.0}


def model(rate=FALL, **settings):
    layers = [Dense(16), Tanh(), Dropout(rate), Dense(3)]
    return Model(layers, input_shape=6, loss=SoftmaxCrossEntropy(), optimizer=Adam(0.01), **settings)


def count(network, index=2):
    return float(network.params[index]["passes"]) * 1024


def test_only_training_counts(backend):
    network, x, y = model(backend=backend), backend.asarray(X), backend.asarray(Y)
    network.fit(x, y, epochs=2, batch_size=16, validation_data=(x, y))
    network.evaluate(x, y)
    network.predict(x)
    network.gradients(x, y)
    assert count(network) == 6
    network.train_step(x, y)
    assert count(network) == 7


def test_the_result_is_the_same_on_every_backend(backend):
    trained = []
    for one in (model(backend=backend, dtype="float64"), model(dtype="float64")):
        one.fit(X, Y, epochs=5, batch_size=8)
        trained.append(fetch(one.backend, one.params))
    for a, b in zip(trained[0], trained[1], strict=True):
        for name in b:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12)


def test_lengths_in_epochs_are_those_in_steps():
    schedules = FlatCosine(0.6, epochs=2), FlatCosine(0.6, steps=10)
    ours, expected = (model(rate) for rate in schedules)
    for one in (ours, expected):
        one.fit(X, Y, epochs=3, batch_size=8)
    assert_same(ours.params, expected.params)
    assert ours.layer == expected.layer and ours.layer.layers[2].rate.steps == 10
    deep = Model(
        [Sequential([Repeat([Dropout(Warmup(FlatCosine(0.5, epochs=1), epochs=2))], 2)]), Dense(3)],
        input_shape=6,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(),
    )
    deep.fit(X, Y, epochs=1, batch_size=8)
    inner = deep.layer.layers[0].layers[0].layer.layers[0].rate
    assert inner == Warmup(FlatCosine(0.5, steps=10), steps=20)  # each of the two uses is a step
    assert float(deep.params[0][0]["layer"][0]["passes"]) * 1024 == 10


def test_shared_layers_need_a_schedule_in_steps():
    """The number of their uses is that of the inputs."""
    with pytest.raises(ValueError, match=r"Shared: expected schedules in steps, .* got one in epochs"):
        Shared(Dropout(FlatCosine(0.5, epochs=2))).in_steps(5)
    shared = Shared(Dropout(FlatCosine(0.5, steps=10)))
    assert shared.in_steps(5) is shared


def test_only_fit_knows_the_steps_per_epoch():
    network = model(FlatCosine(0.5, epochs=2))
    network.predict(X)
    before = network.params
    with pytest.raises(
        ValueError, match=r"layer 2: FlatCosine: expected a length in steps, got epochs=2; Model.fit converts"
    ):
        network.train_step(X, Y)
    assert_same(network.params, before)
    with pytest.raises(ValueError, match=r"expected batches of a known number with a schedule in epochs"):
        network.fit(iter([(X, Y)]))


def test_a_frozen_layer_neither_drops_nor_counts():
    network = Model(
        [Frozen(Dropout(FALL)), Dense(3)], input_shape=6, loss=SoftmaxCrossEntropy(), optimizer=Adam(), dtype="float64"
    )
    network.fit(X, Y, epochs=1)
    assert float(network.params[0]["layer"]["passes"]) == 0.0


def test_resumed_training_continues_the_schedule(tmp_path, backend):
    path = tmp_path / "run.safetensors"
    whole, first, resumed = (model(backend=backend) for _ in range(3))
    whole.fit(X, Y, epochs=4, batch_size=16)
    first.fit(X, Y, epochs=2, batch_size=16, callbacks=[Checkpoint(path)])
    resumed.fit(X, Y, epochs=4, batch_size=16, resume=path)
    assert_same(fetch(backend, resumed.params), fetch(backend, whole.params))
    first.save(path)
    again = anynet.load(path, backend=backend)
    assert again.layer == first.layer and count(again) == 6


def test_other_libraries_have_no_count():
    network = model()
    names = list(network.weights())
    assert names == ["0.weight", "0.bias", "3.weight", "3.bias"] and len(network.weights("keras")) == 4
    weights = {name: array + 1.0 for name, array in network.weights().items()}
    network.train_step(X, Y)
    network.load_weights(weights)
    np.testing.assert_array_equal(network.params[0]["weight"], weights["0.weight"].T)
    assert count(network) == 0


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.0 - 2.0**-18])
def test_numbers_are_checked(rate):
    with pytest.raises(ValueError, match="Dropout: expected rate"):
        Dropout(rate)

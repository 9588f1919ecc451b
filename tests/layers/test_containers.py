"""Containers beyond the layer contract: sharing, freezing, several inputs and outputs, and paths in errors."""

import numpy as np
import pytest

import anynet
from anynet import (
    L2,
    SGD,
    Accuracy,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    HalfSquaredError,
    Identity,
    Losses,
    MeanSquaredError,
    Model,
    OutputMetric,
    Parallel,
    ReLU,
    Repeat,
    Reshape,
    Residual,
    Sequential,
    Shared,
    SoftmaxCrossEntropy,
    StopOnNaN,
    Tanh,
    check_gradients,
    tree,
)
from tests.tools import assert_close, assert_same, fetch

RNG = np.random.default_rng(0)
X, INDEX = RNG.normal(size=(40, 3)), RNG.integers(0, 5, (40, 2))
LABELS, NUMBERS = (X[:, 0] > 0).astype(int), INDEX[:, :1] + X[:, 1:2]


LOSS = Losses([SoftmaxCrossEntropy(), HalfSquaredError()], weights=[1.0, 0.5])


def both(**options):
    """Return a model with two inputs, one of them indices, and two outputs."""
    inside = Parallel([Dense(6), [Embedding(5, 4), Flatten()]])
    ends = Parallel([Dense(2), [Dense(4), Tanh(), Dense(1)]], combine=None)
    metrics = [OutputMetric(0, Accuracy())]
    return Model([inside, ReLU(), ends], input_shape=((3,), (2,)), loss=LOSS, metrics=metrics, **options)


def test_several_inputs_and_outputs_train(backend):
    model = both(optimizer=Adam(0.02), backend=backend)
    epochs = 3 if backend.name.startswith("strict") else 20
    history = model.fit(
        (X, INDEX), (LABELS, NUMBERS), epochs=epochs, batch_size=8, validation_split=0.2, progress=False
    )
    assert history["loss"][-1] < history["loss"][0]
    assert {"val_loss", "output_0_accuracy", "val_output_0_accuracy"} <= set(history)
    logits, numbers = model.predict((X, INDEX))
    assert logits.shape == (40, 2) and numbers.shape == (40, 1) and type(logits) is np.ndarray
    again = model.to("numpy").predict((X, INDEX))
    assert_close(again, (logits, numbers), rtol=1e-5)


def test_gradients_of_several_inputs_and_outputs(backend):
    check_gradients(both(backend=backend, dtype="float64"), (X[:6], INDEX[:6]), (LABELS[:6], NUMBERS[:6]))


def test_several_losses_are_their_weighted_sum():
    model = both(dtype="float64")
    logits, numbers = model.predict((X, INDEX))
    expected = SoftmaxCrossEntropy().forward(LABELS, logits)[0] + 0.5 * HalfSquaredError().forward(NUMBERS, numbers)[0]
    assert model.evaluate((X, INDEX), (LABELS, NUMBERS))["loss"] == pytest.approx(expected, rel=1e-12)
    assert model.gradients((X, INDEX), (LABELS, NUMBERS))[0] == pytest.approx(expected, rel=1e-12)


def test_batches_of_several_inputs_and_outputs(backend):
    """An iterable of batches trains and evaluates as the arrays that it was cut from."""
    batches = [((X[i : i + 8], INDEX[i : i + 8]), (LABELS[i : i + 8], NUMBERS[i : i + 8])) for i in range(0, 40, 8)]
    one, other = (both(optimizer=SGD(0.1), backend=backend) for _ in range(2))
    given = one.fit(batches, validation_data=batches)
    arrays = ((X, INDEX), (LABELS, NUMBERS))
    whole = other.fit(*arrays, batch_size=8, shuffle=False, validation_data=arrays)
    for name in whole:
        assert given[name] == pytest.approx(whole[name], rel=1e-6)
    assert one.evaluate(batches) == pytest.approx(other.evaluate(*arrays), rel=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_validation_data_of_tuples_is_not_taken_for_batches(count):
    """(x, y) and (x, y, sample_weight) where x, y or both are tuples; and as many batches."""
    weights = np.ones(40)
    for x, y, model in (
        ((X, INDEX), (LABELS, NUMBERS), both(optimizer=SGD(0.1))),
        (
            X,
            (LABELS, NUMBERS),
            Model(Parallel([Dense(2), Dense(1)], combine=None), input_shape=3, loss=LOSS, optimizer=SGD(0.1)),
        ),
        (
            (X, X),
            NUMBERS,
            Model(
                [Parallel([Tanh(), Tanh()]), Dense(1)],
                input_shape=((3,), (3,)),
                loss=HalfSquaredError(),
                optimizer=SGD(0.1),
            ),
        ),
    ):
        model.fit(x, y, validation_data=(x, y, weights)[:count])
        expected = model.evaluate(x, y)["loss"]
        assert model.history["val_loss"][-1] == pytest.approx(expected, rel=1e-6)
        for container in (list, tuple):
            model.fit(x, y, validation_data=container([(x, y)] * count))
            assert model.history["val_loss"][-1] == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-6)


def test_several_outputs_with_a_regularizer(backend):
    """Against the loss and the gradient without it, plus λ/2 Σ w² and λ w."""
    model, plain = (both(regularizer=r, backend=backend, dtype="float64") for r in (L2(0.1), None))
    (loss, grads), (before, old) = (m.gradients((X, INDEX), (LABELS, NUMBERS)) for m in (model, plain))
    weights = [w for w in tree.leaves(fetch(backend, model.params)) if w.ndim >= 2]
    assert float(loss) == pytest.approx(float(before) + 0.05 * sum(np.sum(w * w) for w in weights), rel=1e-12)
    moved = [g for g in tree.leaves(fetch(backend, grads)) if g.ndim >= 2]
    for w, g, o in zip(weights, moved, [g for g in tree.leaves(fetch(backend, old)) if g.ndim >= 2], strict=True):
        np.testing.assert_allclose(g, o + 0.1 * w, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.0, 2.0, 40)], ids=["mean", "weighted"])
def test_several_losses_that_weigh_classes_train_and_evaluate_alike(sample_weight):
    """Each mean is divided by what its own examples count, for any number of batches."""
    loss = Losses([SoftmaxCrossEntropy(class_weight=[1.0, 9.0]), HalfSquaredError()], weights=[1.0, 0.5])
    nested = Model(
        Parallel([[Dense(2)], Parallel([Dense(2), Dense(1)], combine=None)], combine=None),
        input_shape=3,
        loss=Losses([loss.losses[0], loss], weights=[1.0, 2.0]),
        optimizer=SGD(1e-30),
        dtype="float64",
    )
    y = (LABELS, (LABELS, NUMBERS))
    trained = nested.fit(X, y, batch_size=None, sample_weight=sample_weight)["loss"][-1]
    assert nested.evaluate(X, y, sample_weight=sample_weight)["loss"] == pytest.approx(trained, rel=1e-12)
    weights = np.ones(40) if sample_weight is None else sample_weight
    batches = [
        (X[i : i + 8], (LABELS[i : i + 8], tuple(a[i : i + 8] for a in y[1])), weights[i : i + 8])
        for i in range(0, 40, 8)
    ]
    assert nested.evaluate(batches)["loss"] == pytest.approx(trained, rel=1e-12)

    outputs = nested.predict(X)
    whole = nested.loss.denominators(np.zeros(()), y, sample_weight)
    losses = []
    for rows in (slice(15), slice(15, 15), slice(15, None)):
        part = tree.map_arrays(lambda a, rows=rows: a[rows], (y, outputs, sample_weight))
        losses.append(nested.loss.forward(*part, whole)[0])
    assert nested.loss.weights_targets and sum(losses) == pytest.approx(trained, rel=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("shuffle", [True, False])
def test_stop_on_nan_names_the_place_with_several_inputs_and_outputs(shuffle):
    model = both(optimizer=SGD(1e38))
    with pytest.raises(FloatingPointError, match=r"StopOnNaN: .* first in .* batch \d"):
        model.fit((X, INDEX), (LABELS, NUMBERS), epochs=9, shuffle=shuffle, callbacks=[StopOnNaN(every=2)])


def test_saved_and_loaded(tmp_path):
    model = both(optimizer=SGD(0.1))
    model.save(tmp_path / "model.safetensors")
    again = anynet.load(tmp_path / "model.safetensors")
    assert again.layer == model.layer and again.loss == model.loss and again.input_shape == ((3,), (2,))
    assert_same(again.predict((X, INDEX)), model.predict((X, INDEX)))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: m.fit((X,), (LABELS, NUMBERS)), ValueError, "fit: expected x to be a tuple of 2 arrays, got 1"),
        (lambda m: m.fit(X, (LABELS, NUMBERS)), TypeError, "fit: expected x to be a tuple of 2 arrays, got ndarray"),
        (lambda m: m.fit((X, INDEX[:9]), (LABELS, NUMBERS)), ValueError, "with 40 rows, as x, got 9"),
        (lambda m: m.fit((X, INDEX), LABELS), TypeError, "fit: expected y to be a tuple of 2 arrays"),
        (lambda m: m.fit((X, INDEX), (LABELS, NUMBERS), class_weight="balanced"), ValueError, "one array of targets"),
        (
            lambda m: m.fit([((X, INDEX), (LABELS, NUMBERS))], class_weight={0: 2.0}),
            ValueError,
            "one array of targets",
        ),
        (
            lambda m: m.predict((X, INDEX + 1)),
            ValueError,
            r"predict: expected indices in x from 0 to 4, got 5; Embedding\(5, 4\)",
        ),
        (
            lambda m: m.fit((X, INDEX - 1), (LABELS, NUMBERS)),
            ValueError,
            "fit: expected indices in x from 0 to 4, got -1",
        ),
        (lambda m: m.fit((X, INDEX + 0.5), (LABELS, NUMBERS)), TypeError, "fit: input 1: expected x of integers"),
        (lambda m: m.fit((X * np.nan, INDEX), (LABELS, NUMBERS)), ValueError, "expected finite values in x"),
        (lambda m: m.fit((X, INDEX), (LABELS + 1, NUMBERS)), ValueError, "expected labels in y from 0 to 1, got 2"),
    ],
)
def test_data_that_does_not_fit(call, kind, message):
    model = both(optimizer=SGD(0.1))
    before = tree.map(np.copy, model.params)
    with pytest.raises(kind, match=message):
        call(model)
    assert_same(model.params, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Model([Dense(2)], input_shape=3, loss=Losses([MeanSquaredError()])), "network with 1 outputs"),
        (lambda: Model(Parallel([Dense(1)], combine=None), input_shape=3, loss=MeanSquaredError()), "use Losses"),
        (
            lambda: Model(Parallel([Dense(1), Dense(2)]), input_shape=((3,), (4,), (5,))),
            "2 inputs, one per branch, got 3",
        ),
        (
            lambda: Model(Parallel([Dense(1), Dense(2)], combine="add"), input_shape=3),
            r"equal, to add them, got \(1,\) and \(2,\)",
        ),
        (lambda: Model(Parallel([Dense(1), Embedding(2, 2)]), input_shape=3), "some branches take integers"),
        (lambda: Model([Dense(2), Shared(Dense(2))], input_shape=3), "layer 1: Shared: expected several inputs"),
        (lambda: Model([Repeat(Dense(2), 3)], input_shape=3), r"layer 0: Repeat: .*keeps the shape \(3,\), got \(2,\)"),
        (
            lambda: Model([Residual(Dense(2))], input_shape=3),
            r"same output shape for input \(3,\), got \(2,\) and \(3,\)",
        ),
        (lambda: Model([Dense(2)], input_shape=((3,),)), r"layer 0: Dense\(2\): expected one input, got 1 of shapes"),
        (lambda: Model([Flatten()], input_shape=((3,), (4,))), "layer 0: Flatten: expected one input, got 2 of shapes"),
        (
            lambda: Model([Reshape(7)], input_shape=((3,), (4,))),
            "layer 0: Reshape: expected one input, got 2 of shapes",
        ),
        (lambda: Model([BatchNorm()], input_shape=((3,), (4,))), "layer 0: BatchNorm: expected one input, got 2"),
        (lambda: Parallel([]), "at least one branch"),
        (lambda: Parallel([Dense(2)], combine="sum"), "'concatenate', 'add' or None, got 'sum'"),
        (lambda: Losses([MeanSquaredError()], weights=[1.0, 2.0]), "expected 1 weights, one per loss, got 2"),
    ],
)
def test_networks_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_frozen_layers_stay_bit_for_bit(backend):
    frozen = Frozen([Dense(4), BatchNorm(), ReLU(), Dropout(0.5)])
    model = Model(
        [Dense(3), frozen, BatchNorm(), Dense(2)],
        input_shape=3,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.1),
        backend=backend,
    )
    before = fetch(backend, model.params)
    model.fit(X, LABELS, epochs=1, batch_size=8, progress=False)
    after = fetch(backend, model.params)
    assert_same(after[1], before[1])
    for moved in (0, 2, 3):
        for path, array in tree.leaves_with_paths(before[moved]):
            assert not np.array_equal(tree.get(after[moved], path), array), path
    slots = [path for path, _ in tree.leaves_with_paths(model.state.opt_state) if 1 in path]
    assert not slots


def test_shared_gradients_are_the_sum_of_each_use():
    layer = Shared([Dense(2), Tanh()])
    params, _ = layer.init(np.random.default_rng(0), ((3,), (3,)))
    xs, dys = (X[:5], X[5:10]), (X[10:15, :2], X[15:20, :2])
    ys, cache = layer.forward(params, xs)
    dxs, grads = layer.backward(params, cache, dys)
    alone = Sequential([Dense(2), Tanh()])
    total = None
    for x, y, dx, dy in zip(xs, ys, dxs, dys, strict=True):
        expected, own = alone.forward(params["layer"], x)
        d, part = alone.backward(params["layer"], own, dy)
        assert_same((y, dx), (expected, d))
        total = part if total is None else tree.map(np.add, total, part)
    assert_same(grads["layer"], total)


def test_a_siamese_network_learns(backend):
    network = [Shared([Dense(6), Tanh()]), Parallel([Identity(), Identity()]), Dense(1)]
    model = Model(network, input_shape=((3,), (3,)), loss=MeanSquaredError(), optimizer=Adam(0.03), backend=backend)
    x, y = (X, X[::-1].copy()), X[:, :1] - X[::-1, :1]
    epochs = 1 if backend.name.startswith("strict") else 20
    losses = model.fit(x, y, epochs=epochs, batch_size=8, progress=False)["loss"]
    assert epochs == 1 or losses[-1] < 0.3 * losses[0]


def test_repeat_derives_a_key_for_each_use():
    layer = Repeat(Dropout(0.5), 2)
    key = anynet.random.make_key(0)
    _, (first, second) = layer.forward({"layer": {}}, np.ones((1, 64)), key=key)
    assert not np.array_equal(first, second)


PASSED = {
    "flattened": [Flatten(), Embedding(5, 2)],
    "deep inside": [Sequential([Identity(), Sequential([Reshape((1, 4))])]), Flatten(), [Embedding(5, 2)]],
    "in wrappers": [Repeat(Identity(), 3), Frozen([Flatten()]), Frozen(Embedding(5, 2))],
    "in a residual": [Residual([Flatten(), Embedding(5, 2)], shortcut=[Flatten(), Embedding(5, 2)])],
    "side by side": [Parallel([[Flatten(), Embedding(5, 2)], [Reshape(4), Embedding(5, 3)]])],
    "each of one": [Reshape(4), Parallel([Embedding(5, 2), [Identity(), Embedding(5, 3)]])],
}
INDICES = RNG.integers(0, 5, (12, 2, 2))


def stacked(layers, **options):
    layers = [Sequential(layer) if isinstance(layer, list) else layer for layer in layers]
    last = [Flatten(), Dense(1)]
    return Model([*layers, *last], input_shape=(2, 2), loss=MeanSquaredError(), optimizer=SGD(0.1), **options)


@pytest.mark.parametrize("layers", PASSED.values(), ids=PASSED)
def test_indices_reach_the_layer_that_looks_them_up(layers, backend):
    model = stacked(layers, backend=backend)
    expected = Model(
        Sequential(model.layer.layers), input_shape=(2, 2), loss=MeanSquaredError(), optimizer=SGD(0.1), seed=0
    )
    y = np.ones((12, 1))
    for one in (model, expected):
        one.fit(INDICES, y, epochs=2, batch_size=4)
    np.testing.assert_allclose(model.predict(INDICES), expected.predict(INDICES), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="expected indices in x from 0 to 4, got 7"):
        model.predict(INDICES + 3 * (INDICES == 4))
    with pytest.raises(ValueError, match="expected indices in x from 0 to 4, got -1"):
        model.fit(INDICES - 1, y)
    check_gradients(model, INDICES, y)


def test_indices_in_a_tuple_of_inputs():
    twins = Sequential([Shared(Flatten()), Shared(Embedding(5, 2)), Shared(Flatten()), Parallel([Identity()] * 2)])
    model = Model([twins, Dense(1)], input_shape=((2, 2), (2, 2)), loss=MeanSquaredError(), optimizer=SGD(0.1))
    x = (INDICES, INDICES[::-1])
    model.fit(x, np.ones((12, 1)), epochs=1)
    check_gradients(model, x, np.ones((12, 1)))
    with pytest.raises(ValueError, match="from 0 to 4, got 5"):
        model.predict((INDICES, INDICES + 1))
    mixed = Sequential([Shared(Flatten()), Parallel([[Embedding(5, 2), Flatten()], Dense(2)])])
    x = (INDICES, RNG.normal(size=(12, 2, 2)))
    assert mixed.integer_input == (True, False)
    check_gradients(mixed, x)
    model = Model([mixed, Dense(1)], input_shape=((2, 2), (2, 2)), loss=MeanSquaredError(), optimizer=SGD(0.1))
    assert np.all(np.isfinite(model.predict(x)))


def test_integers_that_reach_no_embedding_become_floats():
    for layers in ([], [Flatten()], [Repeat(Identity(), 2), Flatten()], [Flatten(), Dense(2)], [Dense(2), Flatten()]):
        assert Sequential(layers).integer_input is False
    model, pair = Model([Flatten()], input_shape=(2, 2)), Model([Shared(Flatten())], input_shape=((2, 2), (2, 2)))
    np.testing.assert_array_equal(pair.predict((INDICES, INDICES))[1], model.predict(INDICES))
    with pytest.raises(ValueError, match="finite"):
        model.predict(np.full((1, 2, 2), np.nan))
    with pytest.raises(ValueError, match="finite"):
        pair.predict((INDICES, np.full((12, 2, 2), np.nan)))


def test_running_statistics_follow_each_use():
    layer = Repeat(BatchNorm(momentum=0.5), 2)
    params, _ = layer.init(np.random.default_rng(0), (3,))
    _, cache = layer.forward(params, X, key=anynet.random.make_key(0))
    moved = layer.update_buffers(params, cache)["layer"]["running_mean"]
    np.testing.assert_allclose(moved, 0.25 * X.mean(axis=0), atol=1e-12)  # the second use sees mean 0

"""`Model` on every backend: what goes in, what comes out, what is kept and what never changes."""

import numpy as np
import pytest

from anynet import (
    SGD,
    Adam,
    Dense,
    Dropout,
    Flatten,
    HalfSquaredError,
    Identity,
    Model,
    Parallel,
    ReLU,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
    backends,
    tree,
)
from tests.conftest import KINDS, make, why_missing
from tests.tools import assert_close, assert_same, fetch

pytestmark = pytest.mark.without("jax")

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = RNG.normal(size=(60, 4)) + 2.0 * np.eye(3, 4)[Y]


def network(backend="numpy", **settings):
    defaults = {
        "input_shape": 4,
        "loss": SoftmaxCrossEntropy(),
        "optimizer": Adam(0.05),
        "metrics": ["accuracy"],
        "backend": backend,
    }
    return Model([Dense(8), ReLU(), Dropout(0.2), Dense(3)], **{**defaults, **settings})


@pytest.fixture
def model(backend):
    return network(backend)


# Training and using -----------------------------------------------------------------------------------------------------


def test_learns_predicts_and_evaluates(model):
    history = model.fit(X, Y, epochs=10, batch_size=16, validation_data=(X, Y))
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(column) == 10 and all(isinstance(v, float) for v in column) for column in history.values())
    assert history["loss"][-1] < 0.5 * history["loss"][0] and history["val_accuracy"][-1] > 0.9
    result = model.evaluate(X, Y)
    assert result == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    logits = model.predict(X)
    assert np.mean(np.argmax(logits, axis=1) == Y) == pytest.approx(result["accuracy"])


def test_params_of_a_list_are_a_list_of_dicts(model, backend):
    shapes = [{name: tuple(a.shape) for name, a in layer.items()} for layer in model.params]
    assert shapes == [{"weight": (4, 8), "bias": (8,)}, {}, {}, {"weight": (8, 3), "bias": (3,)}]
    assert model.params[0]["weight"].dtype == backend.dtype("float32")
    assert backends.of(model.params[0]["weight"]).xp is backend.xp


def test_one_layer_is_a_model(backend):
    model = Model(Dense(2), input_shape=4, backend=backend)
    assert set(model.params) == {"weight", "bias"} and model.output_shape == (2,)
    assert model.predict(X).shape == (60, 2)


def test_gradients_have_the_shape_of_params_and_change_nothing(model, backend):
    before, key = fetch(backend, model.params), fetch(backend, model.state.key)
    loss, grads = model.gradients(X, Y)
    again, same = model.gradients(X, Y)
    assert tuple(loss.shape) == () and float(loss) == float(again)
    shapes = [{path: a.shape for path, a in tree.leaves_with_paths(t)} for t in (fetch(backend, grads), before)]
    assert shapes[0] == shapes[1]
    assert_same(fetch(backend, same), fetch(backend, grads))
    assert_same(fetch(backend, model.params), before)
    assert_same(fetch(backend, model.state.key), key)
    assert float(loss) == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-5)  # no dropout in either


def test_train_step_is_the_optimisers_rule(backend):
    """W ← W − α ∂L/∂W, with the gradients that `gradients` gives."""
    model = Model(
        [Dense(5), Dense(3)],
        input_shape=4,
        loss=SoftmaxCrossEntropy(),
        optimizer=SGD(0.5),
        backend=backend,
        dtype="float64",
    )
    before, (_, grads) = fetch(backend, model.params), model.gradients(X, Y)
    loss = model.train_step(X, Y)
    assert tuple(loss.shape) == () and backends.of(loss).xp is backend.xp
    expected = tree.map(lambda p, g: p - 0.5 * g, before, fetch(backend, grads))
    assert_close(fetch(backend, model.params), expected, rtol=1e-13)
    assert float(loss) > model.evaluate(X, Y)["loss"]


def test_sample_weight_in_every_method(model, backend):
    w = np.where(Y == 0, 2.0, 0.0)
    first = X[Y == 0], Y[Y == 0]
    assert float(model.gradients(X, Y, w)[0]) == pytest.approx(float(model.gradients(*first)[0]), rel=1e-5)
    assert model.evaluate(X, Y, w) == pytest.approx(model.evaluate(*first), rel=1e-5)
    other = network(backend)
    assert float(model.train_step(X, Y, w)) > 0
    history = other.fit(X, Y, sample_weight=w, batch_size=None)
    assert history["loss"][0] > 0


# What is handed out stays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.1)], ids=["SGD", "momentum", "Adam"])
def test_params_handed_out_never_change(optimizer, backend):
    model = network(backend, optimizer=optimizer)
    kept = []
    for train in (
        lambda: model.train_step(X, Y),
        lambda: model.fit(X, Y, epochs=2),
        lambda: model.train_step(X, Y),
        lambda: model.fit(X, Y, epochs=1, batch_size=1),
    ):
        handed = model.params
        kept.append((handed, fetch(backend, handed)))
        train()
    for handed, copy in kept:
        assert_same(fetch(backend, handed), copy)
    assert all(
        not np.array_equal(fetch(backend, h)[0]["weight"], fetch(backend, model.params)[0]["weight"]) for h, _ in kept
    )


def test_params_of_one_epoch_seen_by_another_stay(model, backend):
    from anynet.callbacks import Callback

    class Keep(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, run):
            self.seen.append((run.model.params, fetch(backend, run.model.params)))

    keep = Keep()
    model.fit(X, Y, epochs=4, callbacks=[keep])
    for handed, copy in keep.seen:
        assert_same(fetch(backend, handed), copy)


def test_params_can_be_set(model, backend):
    new = tree.map(lambda a: np.full(a.shape, 0.25), fetch(backend, model.params))
    model.params = new
    assert_same(fetch(backend, model.params), tree.map(lambda a: a.astype("float32"), new))
    model.train_step(X, Y)
    assert all((a == 0.25).all() for a in tree.leaves(new))
    with pytest.raises(ValueError, match=r"params: expected 0\.weight of shape \(4, 8\), got \(8, 4\)"):
        model.params = [{**new[0], "weight": new[0]["weight"].T}, *new[1:]]
    with pytest.raises(ValueError, match=r"params: expected 4 arrays as in Model\.params, got 3, without 0\.bias"):
        model.params = [{"weight": new[0]["weight"]}, *new[1:]]


def test_arrays_that_came_in_never_change(model, backend):
    arrays = [backend.asarray(a) for a in (X, Y, np.ones(60))]
    model.fit(arrays[0], arrays[1], sample_weight=arrays[2], epochs=2)
    model.train_step(*arrays)
    model.predict(arrays[0])
    model.evaluate(*arrays)
    assert_same([fetch(backend, a) for a in arrays], [X, Y, np.ones(60)])


def test_given_weights_never_change(backend):
    weight = np.ones((4, 2))
    layer = Dense(2, weight=weight)
    model = Model([layer], input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1), backend=backend, dtype="float64")
    model.fit(X, X[:, :2])
    assert (weight == 1.0).all() and layer == Dense(2, weight=np.ones((4, 2)))


def test_layers_can_be_shared(backend):
    shared = [Dense(8), ReLU(), Dense(3)]
    models = [
        network(backend),
        Model(shared, input_shape=4, backend=backend),
        Model(shared, input_shape=7, backend=backend),
    ]
    assert models[2].params[0]["weight"].shape[0] == 7 and models[1].params[0]["weight"].shape[0] == 4


# Kinds of arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("jax-jit", "numpy-readonly")])
def test_every_kind_in_and_the_same_kind_out(kind, backend):
    if why_missing(kind):
        pytest.skip(why_missing(kind))
    other = make(kind)
    model = network(backend)
    x, y = other.asarray(X), other.asarray(Y)
    given = model.predict(x)
    assert type(given) is type(x) and backends.of(given).name == backends.of(x).name
    assert_close(fetch(other, given), np.asarray(model.predict(X.tolist())), rtol=1e-6)
    assert model.evaluate(x, y) == pytest.approx(model.evaluate(X, Y))
    assert model.evaluate(x, Y) == pytest.approx(model.evaluate(X, Y))
    model.fit(x, y, epochs=1, validation_data=(x, y))
    float(model.train_step(x, y))
    float(model.gradients(x, y)[0])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool", "float32", "float64"])
def test_numbers_of_every_type(dtype, model, backend):
    x = (np.abs(X) * 10).astype(dtype)
    for given in (x, backend.asarray(x)):
        out = model.predict(given)
        assert_close(fetch(backends.of(out), out), np.asarray(model.predict(x.astype("float64"))), rtol=1e-6)
    model.fit(x, Y.astype("uint8"), epochs=1)


PASSING_ON = [
    ([Identity()], 4),
    ([Flatten()], (2, 2)),
    ([Reshape((2, 2))], 4),
    ([Dropout(0.5), Sequential([Identity()])], 4),
    ([Parallel([Identity(), Flatten()], combine=None)], 4),
]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("jax") and kind != "numpy-readonly"])
@pytest.mark.parametrize("layers, shape", PASSING_ON, ids=str)
def test_predictions_lie_in_memory_of_their_own(layers, shape, kind, backend):
    """Whatever is done to them later does not reach x, nor the other way round."""
    if why_missing(kind) is not None:
        pytest.skip(why_missing(kind))
    own = make(kind)
    with own.activate():
        x = own.asarray(X.astype("float32"), copy=True)
        x = own.xp.reshape(x, (60, *np.atleast_1d(shape).tolist()))
    before = np.array(backends.to_numpy(x))
    y = Model(layers, input_shape=shape, backend=backend).predict(x)
    for part in tree.leaves(y):
        np.testing.assert_array_equal(backends.to_numpy(part).reshape(before.shape), before)
    for part in tree.leaves(y):
        if not backend.name.startswith("jax"):  # what comes from there cannot be written to
            with own.activate():
                part[...] = 7.0
        np.testing.assert_array_equal(backends.to_numpy(x), before)
    with own.activate():
        x[...] = 5.0
    for part in tree.leaves(y):
        assert not (backends.to_numpy(part) == 5.0).any()


def test_lists_and_frames(model):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    expected = model.predict(X)
    for x in (X.tolist(), frame, [tuple(row) for row in X]):
        assert isinstance(model.predict(x), np.ndarray)
        np.testing.assert_array_equal(model.predict(x), expected)
    assert model.evaluate(frame, pandas.Series(Y)) == model.evaluate(X, Y.tolist())


def test_slices_and_turned_arrays(model):
    wide = np.asfortranarray(np.repeat(X, 2, axis=1)[::-1])
    np.testing.assert_allclose(model.predict(wide[::-1, ::2]), model.predict(X), rtol=1e-5, atol=1e-6)


# Other parts ------------------------------------------------------------------------------------------------------------


def test_more_rows_than_fit_in_one_piece(model):
    x = np.tile(X, (80, 1))[:4500]
    out = model.predict(x)
    assert out.shape == (4500, 3)
    np.testing.assert_allclose(out[4400:], model.predict(x[4400:]), rtol=1e-5, atol=1e-6)
    y = np.tile(Y, 80)[:4500]
    pieces = [model.evaluate(x[i : i + 1500], y[i : i + 1500])["loss"] for i in range(0, 4500, 1500)]
    assert model.evaluate(x, y)["loss"] == pytest.approx(np.mean(pieces), rel=1e-5)


def test_moves_to_another_backend_and_on(model, backend):
    model.fit(X, Y, epochs=1)
    there = model.to("numpy")
    assert there.backend.name == "numpy" and there.epoch == 1
    assert_same(there.params, fetch(backend, model.params))
    back = there.to(backend)
    for each in (model, back):
        each.fit(X, Y, epochs=1)
    assert_same(fetch(backend, back.params), fetch(backend, model.params))
    assert not np.array_equal(there.params[0]["weight"], fetch(backend, model.params)[0]["weight"])


def test_summary(model, backend):
    lines = model.summary().splitlines()
    assert lines[2].split() == ["0", "Dense", "(N,", "8)", "weight", "(4,", "8),", "bias", "(8,)", "40"]
    assert lines[-1].startswith("67 parameters, 67 trained; 0.00 MiB as float32 on ")
    assert repr(model).startswith("Model(Sequential(layers=(Dense(units=8")


def test_summary_aligns_names():
    """Numbers of layers have one width, from 10 layers on too."""
    lines = Model([Dense(3)] * 11, input_shape=3).summary().splitlines()
    assert {line.index("Dense") for line in lines[2:-2]} == {4}


def test_float64_is_float64(backend):
    model = network(backend, dtype="float64")
    assert all(a.dtype == backend.dtype("float64") for a in tree.leaves(model.params))
    assert fetch(backends.of(X), model.predict(X)).dtype == np.float64
    assert model.train_step(X, Y).dtype == backend.dtype("float64")


def test_without_a_loss_it_still_predicts(backend):
    model = Model([Dense(3)], input_shape=4, backend=backend)
    assert model.predict(X).shape == (60, 3)
    for call in (model.fit, model.train_step, model.gradients, model.evaluate):
        with pytest.raises(ValueError, match=r"expected (a loss|an optimizer), got none; pass"):
            call(X, Y)


def test_nested_containers(backend):
    nested = Sequential([Sequential([Dense(8), ReLU()]), Sequential([Dense(3)])])
    model = Model(nested, input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend)
    model.fit(X, Y, epochs=1)
    assert [type(part) for part in model.params] == [list, list]
    assert set(model.params[1][0]) == {"weight", "bias"}

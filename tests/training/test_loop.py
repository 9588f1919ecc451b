"""`Model.fit`: batches, order, weights, validation and what the history says of them."""

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, HalfSquaredError, Metric, Model, SigmoidCrossEntropy, SoftmaxCrossEntropy
from anynet.callbacks import Callback
from tests.tools import assert_close, assert_same, fetch

pytestmark = pytest.mark.without("jax")

RNG = np.random.default_rng(0)
Y = np.arange(50) % 3
X = RNG.normal(size=(50, 4)) + 2.0 * np.eye(3, 4)[Y]


def linear(backend="numpy", **settings):
    """A network without a hidden layer, whose steps are easily written down."""
    defaults = {"input_shape": 4, "loss": HalfSquaredError(), "optimizer": SGD(0.05), "dtype": "float64"}
    return Model([Dense(1, weight=[[0.1], [-0.2], [0.3], [0.0]])], backend=backend, **{**defaults, **settings})


def by_hand(order, size, epochs=1, weight=None):
    """Gradient descent on ½(xW + b − y)² in plain NumPy: the losses of each epoch, and W and b."""
    w, b = np.array([0.1, -0.2, 0.3, 0.0]), 0.0
    means = []
    for epoch in range(epochs):
        total = share = 0.0
        rows = order(epoch)
        for i in range(0, len(rows), size):
            part = rows[i : i + size]
            s = np.ones(len(part)) if weight is None else weight[part]
            error = X[part] @ w + b - Y[part]
            total, share = total + np.sum(s * 0.5 * error**2), share + s.sum()
            w = w - 0.05 * (s * error) @ X[part] / s.sum()
            b = b - 0.05 * np.sum(s * error) / s.sum()
        means.append(total / share)
    return means, [{"weight": w[:, None], "bias": np.array([b])}]


@pytest.mark.parametrize("size", [None, 1, 16, 50, 1000])
def test_batch_stochastic_and_mini_batch(size, backend):
    """Against the notes' update written out; 50 examples by 16 leave a last batch of 2."""
    model = linear(backend)
    history = model.fit(X, Y, epochs=2, batch_size=size, shuffle=False)
    means, params = by_hand(lambda epoch: np.arange(50), size or 50, epochs=2)
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert_close(fetch(backend, model.params), params, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 16])
def test_each_epoch_takes_every_example_in_a_new_order(size, backend):
    """Two epochs agree with the steps written out, in the order that NumPy's generator gives for seed and epoch."""
    from anynet.data.plan import epoch_order

    model = linear(backend, seed=7)
    history = model.fit(X, Y, epochs=2, batch_size=size)
    orders = [epoch_order(7, epoch, 50) for epoch in range(2)]
    assert all(sorted(order) == list(range(50)) for order in orders) and not np.array_equal(*orders)
    means, params = by_hand(lambda epoch: orders[epoch], size, epochs=2)
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert_close(fetch(backend, model.params), params, rtol=1e-12)


def test_weighted_steps(backend):
    weight = RNG.uniform(0.0, 3.0, 50)
    model = linear(backend)
    history = model.fit(X, Y, epochs=2, batch_size=16, shuffle=False, sample_weight=weight)
    means, params = by_hand(lambda epoch: np.arange(50), 16, epochs=2, weight=weight)
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert_close(fetch(backend, model.params), params, rtol=1e-12)


def test_the_order_may_be_given(backend):
    def order(epoch, count=50):
        return (np.arange(count) * 7 + epoch) % count

    model = linear(backend)
    history = model.fit(X, Y, epochs=3, batch_size=16, shuffle=order)
    means, params = by_hand(order, 16, epochs=3)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-10)
    assert_close(fetch(backend, model.params), params, rtol=1e-10)
    for wrong in (lambda epoch, count: np.arange(count - 1), lambda epoch, count: np.zeros(count, int)):
        with pytest.raises(ValueError, match="permutation"):
            linear(backend).fit(X, Y, shuffle=wrong)


@pytest.mark.parametrize("class_weight", [{0: 2.0, 2: 0.5}, "balanced"])
def test_class_weight_is_a_sample_weight(class_weight, backend):
    y = np.array([0] * 30 + [1] * 15 + [2] * 5)
    each = np.array([2.0, 1.0, 0.5]) if isinstance(class_weight, dict) else 50 / (3 * np.array([30, 15, 5]))
    settings = {"loss": SoftmaxCrossEntropy(), "input_shape": 4, "optimizer": SGD(0.1), "dtype": "float64"}
    one, two = (Model([Dense(3)], backend=backend, **settings) for _ in range(2))
    assert one.fit(X, y, class_weight=class_weight)["loss"] == pytest.approx(
        two.fit(X, y, sample_weight=each[y])["loss"]
    )
    assert_close(fetch(backend, one.params), fetch(backend, two.params), rtol=1e-12)


def classes(backend="numpy", **settings):
    defaults = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.01), "metrics": ["accuracy"]}
    return Model([Dense(3)], backend=backend, **{**defaults, **settings})


def test_validation_data_is_evaluated_after_each_epoch(backend):
    model = classes(backend)
    history = model.fit(X[:30], Y[:30], epochs=3, validation_data=(X[30:], Y[30:]))
    assert model.evaluate(X[30:], Y[30:]) == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    weighted = classes(backend)
    w = np.arange(20.0)
    history = weighted.fit(X[:30], Y[:30], validation_data=(X[30:], Y[30:], w))
    assert weighted.evaluate(X[30:], Y[30:], w)["loss"] == history["val_loss"][-1]


class Sizes(Metric):
    """How many examples were seen, of which class: what a split left on this side."""

    def sums(self, y_true, y_pred, sample_weight=None):
        from anynet.arrays.namespace import namespace

        xp = namespace(y_true)
        return tuple(xp.sum(xp.astype(y_true == c, y_pred.dtype)) for c in range(3))

    def value(self, sums):
        return float(sums[0] * 1e6 + sums[1] * 1e3 + sums[2])


def test_validation_split_is_stratified_and_shuffled(backend):
    y = np.sort(np.array([0] * 60 + [1] * 30 + [2] * 10))  # sorted: an unshuffled tail would be class 2 alone
    x = np.tile(X, (2, 1))
    model = classes(backend, metrics=[Sizes()])
    history = model.fit(x, y, validation_split=0.2, batch_size=16)
    assert history["sizes"] == [48_024_008.0] and history["val_sizes"] == [12_006_002.0]
    again = classes(backend, metrics=[Sizes()]).fit(x, y, validation_split=0.2, batch_size=16)
    assert again["val_loss"] == history["val_loss"]


def test_validation_split_of_numbers(backend):
    model = linear(backend)
    history = model.fit(X, RNG.normal(size=50), validation_split=0.3, epochs=2)
    assert len(history["val_loss"]) == 2


def test_validation_is_not_weighted_by_class(backend):
    """A class weight shapes training; what is held out is measured as `evaluate` measures it."""
    plain = classes(backend).fit(X, Y, validation_split=0.3, epochs=1, batch_size=None)
    weighted = classes(backend, optimizer=Adam(1e-12)).fit(
        X, Y, validation_split=0.3, epochs=1, batch_size=None, class_weight={0: 100.0}
    )
    untrained = classes(backend, optimizer=Adam(1e-12)).fit(X, Y, validation_split=0.3, epochs=1, batch_size=None)
    assert weighted["val_loss"] == pytest.approx(untrained["val_loss"], rel=1e-6)
    assert weighted["loss"] != pytest.approx(untrained["loss"], rel=1e-3)
    assert plain["val_loss"] != untrained["val_loss"]


def test_history_is_weighted_by_what_a_batch_holds(backend):
    """With a learning rate of nearly nothing, the loss of an epoch is that of all the data, whatever the batches."""
    for size in (7, 16, 49):
        model = classes(backend, optimizer=SGD(1e-30), dtype="float64")
        history = model.fit(X, Y, batch_size=size)
        assert history["loss"] == pytest.approx([model.evaluate(X, Y)["loss"]], rel=1e-12)
        assert history["accuracy"] == pytest.approx([model.evaluate(X, Y)["accuracy"]], rel=1e-12)


def test_answers_of_yes_or_no(backend):
    y = (X[:, 0] > 0.5).astype(int)
    model = Model(
        [Dense(1)],
        input_shape=4,
        loss=SigmoidCrossEntropy(),
        optimizer=Adam(0.1),
        metrics=["accuracy"],
        backend=backend,
    )
    history = model.fit(X, y, epochs=15, batch_size=10, validation_split=0.2)
    assert history["accuracy"][-1] > 0.85
    assert np.mean((np.asarray(model.predict(X))[:, 0] > 0) == y) == pytest.approx(model.evaluate(X, y)["accuracy"])


class Note(Callback):
    def __init__(self, stop=None):
        self.hooks, self.stop = [], stop

    def on_fit_begin(self, run):
        self.hooks.append("begin")

    def on_epoch_begin(self, run):
        self.hooks.append(f"epoch {run.epoch}")

    def on_batch_end(self, run):
        self.hooks.append(f"batch {run.batch}/{run.batches}")
        assert np.isfinite(float(np.mean(run.model.backend.to_numpy(run.loss))))

    def on_epoch_end(self, run):
        self.hooks.append(f"end {run.epoch} {sorted(run.logs)}")
        run.stop = run.epoch == self.stop

    def on_fit_end(self, run):
        self.hooks.append("fit end")


def test_callbacks_are_told_in_order():
    note = Note(stop=2)
    history = classes().fit(X, Y, epochs=5, batch_size=25, callbacks=[note])
    epoch = ["batch 1/2", "batch 2/2"]
    logs = "['accuracy', 'loss']"
    assert note.hooks == ["begin", "epoch 1", *epoch, f"end 1 {logs}", "epoch 2", *epoch, f"end 2 {logs}", "fit end"]
    assert history.epochs == 2


def test_callbacks_are_told_on_every_backend(backend):
    note = Note()
    classes(backend).fit(X, Y, epochs=2, batch_size=5, callbacks=[note])
    assert note.hooks[0] == "begin" and note.hooks[-1] == "fit end"
    assert note.hooks.count("batch 10/10") == 2


def test_an_error_ends_the_fit_and_is_passed_on(backend):
    class Fail(Note):
        def on_epoch_end(self, run):
            raise RuntimeError("enough")

    note, model = Fail(), classes(backend)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(X, Y, callbacks=[note])
    assert note.hooks[-1] == "fit end"
    model.fit(X, Y)  # the model is whole


def test_many_batches_on_a_backend_that_takes_many_at_once(backend):
    """More steps in an epoch than one call takes, and a rest: the same as steps one by one."""
    x, y = np.tile(X, (6, 1)), np.tile(Y, 6)
    fitted, stepped = (classes(backend, dtype="float64", metrics=()) for _ in range(2))
    fitted.fit(x, y, batch_size=7, shuffle=False)
    for i in range(0, 300, 7):
        stepped.train_step(x[i : i + 7], y[i : i + 7])
    assert_close(fetch(backend, fitted.params), fetch(backend, stepped.params), rtol=1e-11)


def test_a_second_fit_goes_on_with_other_shuffles(backend):
    model, whole = classes(backend), classes(backend)
    for _ in range(2):
        model.fit(X, Y, batch_size=20)
    whole.fit(X, Y, batch_size=20, epochs=2)
    assert model.epoch == 2
    assert_same(fetch(backend, model.params), fetch(backend, whole.params))

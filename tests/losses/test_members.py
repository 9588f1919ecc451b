"""The loss of each member of an ensemble, against the losses of the members by themselves."""

import numpy as np
import pytest

import anynet
from anynet import (
    RMSE,
    Accuracy,
    Adam,
    Dense,
    EachDense,
    EachMember,
    EachPosition,
    GaussianNLL,
    HalfSquaredError,
    KLDivergence,
    MeanSquaredError,
    Members,
    Model,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)
from anynet.losses.average import average
from tests.tools import assert_close, fetch, place

RNG = np.random.default_rng(0)
N, K, C = 6, 4, 3
Z = RNG.normal(size=(N, K, C))
LABELS = np.arange(N) % C
WEIGHT = RNG.uniform(0.5, 2.0, N)
WEIGHT[1] = 0.0
INNER = {
    "labels": (SoftmaxCrossEntropy(), LABELS),
    "smoothed": (SoftmaxCrossEntropy(label_smoothing=0.1), LABELS),
    "class weights": (SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 0.5]), LABELS),
    "rows": (SoftmaxCrossEntropy(), np.eye(C)[LABELS]),
    "numbers": (MeanSquaredError(), RNG.normal(size=(N, C))),
    "distribution": (GaussianNLL(), RNG.normal(size=(N, 1))),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", INNER)
def test_is_the_mean_of_the_losses_of_the_members(name, weighted, backend):
    inner, y = INNER[name]
    z = Z[..., :2] if name == "distribution" else Z
    loss, w = EachMember(inner), WEIGHT if weighted else None
    at = place(backend, {"y": y, "z": z, "w": w})
    value, cache = loss.forward(at["y"], at["z"], at["w"])
    alone = [inner.forward(at["y"], at["z"][:, k, :], at["w"]) for k in range(K)]
    assert float(value) == pytest.approx(np.mean([float(one) for one, _ in alone]), rel=1e-14)
    expected = np.stack([fetch(backend, inner.backward(one)) for _, one in alone], axis=1) / K
    assert_close(fetch(backend, loss.backward(cache)), expected, rtol=1e-13)
    totals = [float(s) for s in loss.sums(at["y"], at["z"], at["w"])]
    assert totals[0] / totals[1] == pytest.approx(float(value), rel=1e-13)


def test_is_not_the_loss_of_the_mean():
    loss, z = EachMember(HalfSquaredError()), np.array([[[1.0], [-1.0]]])
    assert float(loss.forward(np.zeros((1, 1)), z)[0]) == 0.5
    assert loss.backward(loss.forward(np.zeros((1, 1)), z)[1]).tolist() == [[[0.5], [-0.5]]]


def test_the_denominator_is_that_of_one_member(backend):
    """A penalty per example and the average over batches count each example once."""
    like, y, w = place(backend, [np.array(0.0), LABELS, WEIGHT])
    assert EachMember(SoftmaxCrossEntropy()).denominators(like, y, None) == (N,)
    weighted = EachMember(SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 0.5]))
    assert float(weighted.denominators(like, y, w)[0]) == pytest.approx(np.sum(WEIGHT * np.array([1, 2, 0.5])[LABELS]))
    assert weighted.weights_targets and not EachMember(SoftmaxCrossEntropy()).weights_targets


def test_positions_of_members_with_padding(backend):
    z, y = RNG.normal(size=(2, K, 5, C)), np.array([[0, 1, 2, -1, -1], [2, 2, -1, -1, -1]])
    loss, inner = (
        EachMember(EachPosition(SoftmaxCrossEntropy(), ignore=-1)),
        EachPosition(SoftmaxCrossEntropy(), ignore=-1),
    )
    at = place(backend, {"y": y, "z": z})
    value, cache = loss.forward(at["y"], at["z"])
    expected = [float(inner.forward(at["y"], at["z"][:, k, ...])[0]) for k in range(K)]
    assert float(value) == pytest.approx(np.mean(expected), rel=1e-14)
    assert tuple(loss.backward(cache).shape) == z.shape
    assert tuple(loss.classes(at["z"]).shape) == (2, 5)
    assert fetch(backend, loss.predictions(at["y"], at["z"], None)[2]).tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 0]


# The prediction of the ensemble -------------------------------------------------------------------------------------------


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 1e-5)])
def test_average_of_logits_has_the_mean_probability(dtype, rtol, backend):
    wide = 30.0 * Z
    found = fetch(backend, average(SoftmaxCrossEntropy(), place(backend, wide, dtype)))
    np.testing.assert_allclose(softmax(found.astype("float64")), softmax(wide).mean(axis=1), rtol=rtol)
    found = fetch(backend, average(SigmoidCrossEntropy(), place(backend, wide, dtype))).astype("float64")
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), (1 / (1 + np.exp(-wide))).mean(axis=1), rtol=rtol)
    found = fetch(backend, average(KLDivergence(), place(backend, np.log(softmax(wide / 9)), dtype)))
    np.testing.assert_allclose(np.exp(found), softmax(wide / 9).mean(axis=1), rtol=3 * rtol)
    found = fetch(backend, average(MeanSquaredError(), place(backend, wide, dtype)))
    np.testing.assert_allclose(found, wide.mean(axis=1), rtol=10 * rtol)


@pytest.mark.parametrize("z", [[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4]])
def test_average_is_finite_for_certain_members(z, backend):
    rows = place(backend, np.array(z).reshape(1, 2, 1), "float32")
    assert np.isfinite(fetch(backend, average(SigmoidCrossEntropy(), rows))).all()
    pairs = place(backend, np.array([[z, z[::-1]]]), "float32")
    assert np.isfinite(fetch(backend, average(SoftmaxCrossEntropy(), pairs))).all()


# Models -------------------------------------------------------------------------------------------------------------------

X = RNG.normal(size=(60, 5))
CLASSES = (X[:, 0] + 0.5 * RNG.normal(size=60) > 0).astype(int)


def model(loss=None, outputs=2, **settings):
    layers = [Members(K), Dense(8), anynet.Tanh(), EachDense(outputs)]
    loss = EachMember(SoftmaxCrossEntropy()) if loss is None else loss
    return Model(layers, input_shape=5, loss=loss, optimizer=Adam(0.01), dtype="float64", **settings)


def test_metrics_and_predictions_are_those_of_the_ensemble(tmp_path, backend):
    network = model(metrics=["accuracy", SoftmaxCrossEntropy()], backend=backend)
    x, y = backend.asarray(X), backend.asarray(CLASSES)
    network.fit(x, y, epochs=3, batch_size=16)
    p = softmax(backend.to_numpy(network.predict(x))).mean(axis=1)
    np.testing.assert_allclose(backend.to_numpy(network.predict_proba(x)), p, rtol=1e-12)
    assert (backend.to_numpy(network.predict_classes(x)) == p.argmax(axis=1)).all()
    values = network.evaluate(x, y)
    assert values["accuracy"] == pytest.approx((p.argmax(axis=1) == CLASSES).mean())
    assert values["softmax_cross_entropy"] == pytest.approx(-np.log(p[np.arange(60), CLASSES]).mean())
    assert values["softmax_cross_entropy"] < values["loss"]
    network.save(tmp_path / "model.safetensors")
    again = anynet.load(tmp_path / "model.safetensors", backend=backend)
    assert again.evaluate(x, y) == values and again.loss == network.loss and again.metrics == network.metrics


def test_metrics_of_numbers_and_of_one_logit():
    y = RNG.normal(size=60)
    network = model(EachMember(MeanSquaredError()), 1, metrics=[RMSE()])
    rmse = np.sqrt(np.mean((network.predict(X).mean(axis=(1, 2)) - y) ** 2))
    assert network.evaluate(X, y)["rmse"] == pytest.approx(rmse)
    network = model(EachMember(SigmoidCrossEntropy()), 1, metrics=["accuracy"])
    p = 1 / (1 + np.exp(-network.predict(X)))
    assert network.evaluate(X, CLASSES)["accuracy"] == pytest.approx(((p.mean(axis=1)[:, 0] > 0.5) == CLASSES).mean())


def test_class_weights_of_fit_equal_sample_weights():
    weighted, expected = model(), model()
    settings = {"epochs": 2, "batch_size": 16, "validation_split": 0.25}
    weighted.fit(X, CLASSES, class_weight={0: 1.0, 1: 3.0}, **settings)
    expected.fit(X, CLASSES, sample_weight=np.where(CLASSES == 1, 3.0, 1.0), **settings)
    assert_close(weighted.params, expected.params, rtol=1e-12)


def test_the_validation_split_is_stratified():
    from anynet.data.split import split_labels

    assert (split_labels(EachMember(SoftmaxCrossEntropy()), CLASSES) == CLASSES).all()
    assert (split_labels(EachMember(SigmoidCrossEntropy()), CLASSES) == CLASSES).all()
    assert split_labels(EachMember(MeanSquaredError()), CLASSES) is None


def test_members_train_as_separate_networks():
    """With separate layers, one ensemble is K networks, and its gradients are divided by K."""
    together = Model(
        [Members(2, weight=np.ones((2, 5))), EachDense(8), anynet.Tanh(), EachDense(2)],
        input_shape=5,
        loss=EachMember(SoftmaxCrossEntropy()),
        optimizer=anynet.SGD(2 * 0.1),
        dtype="float64",
    )
    alone = []
    for k in range(2):
        one = Model(
            [anynet.Scale(), Dense(8), anynet.Tanh(), Dense(2)],
            input_shape=5,
            loss=SoftmaxCrossEntropy(),
            optimizer=anynet.SGD(0.1),
            dtype="float64",
        )
        one.params = [{name: array[k] for name, array in part.items()} for part in together.params]
        alone.append(one)
    for _ in range(5):
        losses = [one.train_step(X, CLASSES) for one in alone]
        assert float(together.train_step(X, CLASSES)) == pytest.approx(np.mean([float(v) for v in losses]), rel=1e-12)
    for k, one in enumerate(alone):
        assert_close([{n: a[k] for n, a in part.items()} for part in together.params], one.params, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: EachMember(Accuracy()), TypeError, "EachMember: expected loss to be SoftmaxCrossEntropy"),
        (
            lambda: Model([Dense(3)], input_shape=5, loss=EachMember(SoftmaxCrossEntropy())),
            ValueError,
            r"EachMember: expected outputs of shape \(members, outputs\), got \(3,\); begin the network with Members",
        ),
        (
            lambda: Model([Members(2), EachDense(1)], input_shape=5, loss=EachMember(SoftmaxCrossEntropy())),
            ValueError,
            "SoftmaxCrossEntropy: expected a model with two or more outputs",
        ),
        (
            lambda: model(SoftmaxCrossEntropy()),
            ValueError,
            r"SoftmaxCrossEntropy: expected outputs of shape \(classes,\), got \(4, 2\).*EachMember\(SoftmaxCrossEntropy\(\)\)",
        ),
        (
            lambda: model().fit(X, CLASSES + 1),
            ValueError,
            "SoftmaxCrossEntropy: expected labels in y from 0 to 1, got 2",
        ),
        (
            lambda: model().fit(X, CLASSES[:, None].repeat(K, 1)),
            ValueError,
            "SoftmaxCrossEntropy: expected y of integers",
        ),
        (
            lambda: EachMember(SoftmaxCrossEntropy()).forward(LABELS[1:], Z),
            ValueError,
            r"EachMember: expected 6 examples in y_true, as in y_pred of shape \(6, 4, 3\), got y_true of shape \(5,\)",
        ),
    ],
)
def test_invalid_use_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()

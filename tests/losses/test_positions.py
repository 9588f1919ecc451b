"""A loss at each position, against the same loss of the positions that count, as separate examples."""

import numpy as np
import pytest

import anynet
from anynet import (
    Accuracy,
    Adam,
    Dense,
    EachPosition,
    Embedding,
    Flatten,
    HalfSquaredError,
    Losses,
    Model,
    Perplexity,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    TopK,
)
from tests.tools import assert_close, fetch, place

RNG = np.random.default_rng(0)
N, T, C = 5, 4, 3
LOGITS = RNG.normal(size=(N, T, C))
LABELS = RNG.integers(0, C, (N, T))
LABELS[0, 1:] = LABELS[3, 2] = -1
COUNTS = LABELS != -1
WEIGHT = RNG.uniform(0.5, 2.0, N)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "inner",
    [
        SoftmaxCrossEntropy(),
        SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 0.5]),
        SoftmaxCrossEntropy(label_smoothing=0.1),
    ],
    ids=["plain", "class weights", "smoothed"],
)
def test_equals_the_loss_of_the_positions_that_count(inner, weighted, backend):
    loss = EachPosition(inner, ignore=-1)
    w = WEIGHT if weighted else None
    at = place(backend, {"y": LABELS, "z": LOGITS, "w": w})
    value, cache = loss.forward(at["y"], at["z"], at["w"])
    rows = None if w is None else np.broadcast_to(w[:, None], (N, T))[COUNTS]
    flat = place(backend, {"y": LABELS[COUNTS], "z": LOGITS[COUNTS], "w": rows})
    expected, inner_cache = inner.forward(flat["y"], flat["z"], flat["w"])
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    dz = np.zeros((N, T, C))
    dz[COUNTS] = fetch(backend, inner.backward(inner_cache))
    assert_close(fetch(backend, loss.backward(cache)), dz, rtol=1e-13)
    sums = [float(s) for s in loss.sums(at["y"], at["z"], at["w"])]
    assert sums[0] / sums[1] == pytest.approx(float(expected), rel=1e-13)


def test_several_axes_of_positions_and_numbers_as_targets(backend):
    loss = EachPosition(HalfSquaredError())
    y_pred, y_true = RNG.normal(size=(3, 2, 4, 5)), RNG.normal(size=(3, 2, 4, 5))
    value, cache = loss.forward(place(backend, y_true), place(backend, y_pred))
    assert float(value) == pytest.approx(np.sum((y_pred - y_true) ** 2) / 2 / (3 * 2 * 4), rel=1e-13)
    assert_close(fetch(backend, loss.backward(cache)), (y_pred - y_true) / 24, rtol=1e-13)


def test_all_positions_ignored_give_zero(backend):
    loss = EachPosition(SoftmaxCrossEntropy(), ignore=-1)
    value, cache = loss.forward(place(backend, np.full((2, T), -1)), place(backend, LOGITS[:2]))
    assert float(value) == 0.0 and not fetch(backend, loss.backward(cache)).any()


def model(loss=None, **settings):
    return Model(
        [Embedding(6, 8), Dense(C)],
        input_shape=T,
        loss=EachPosition(SoftmaxCrossEntropy(), ignore=-1) if loss is None else loss,
        optimizer=Adam(0.01),
        **settings,
    )


TOKENS = RNG.integers(0, 6, (N, T))


def test_metrics_are_over_the_positions_that_count(tmp_path):
    network = model(metrics=["accuracy", Perplexity(), TopK(2), SoftmaxCrossEntropy()])
    history = network.fit(TOKENS, LABELS, epochs=2, batch_size=2, sample_weight=WEIGHT)
    assert list(history) == ["loss", "accuracy", "perplexity", "top_2", "softmax_cross_entropy"]
    values = network.evaluate(TOKENS, LABELS)
    assert values["softmax_cross_entropy"] == values["loss"]
    right = network.predict(TOKENS).argmax(axis=2) == LABELS
    assert values["accuracy"] == pytest.approx(right[COUNTS].mean())
    assert values["perplexity"] == pytest.approx(np.exp(values["loss"]), rel=1e-6)
    network.save(tmp_path / "model.safetensors")
    again = anynet.load(tmp_path / "model.safetensors")
    assert again.evaluate(TOKENS, LABELS) == values and again.metrics == network.metrics


def test_the_history_weights_batches_by_the_positions_that_count():
    network = model()
    network.learning_rate_factor = 1e-12  # the parameters stay nearly the same
    history = network.fit(TOKENS, LABELS, epochs=1, batch_size=2, shuffle=False)
    assert history["loss"][0] == pytest.approx(network.evaluate(TOKENS, LABELS)["loss"], rel=1e-6)


def test_one_of_several_outputs():
    from anynet import LSTM, Parallel

    network = Model(
        [Embedding(6, 8), Parallel([Dense(C), LSTM(2, sequences=False)], combine=None)],
        input_shape=T,
        loss=Losses([EachPosition(SoftmaxCrossEntropy(), ignore=-1), HalfSquaredError()]),
        optimizer=Adam(0.01),
    )
    y = LABELS, RNG.normal(size=(N, 2))
    before = network.evaluate(TOKENS, y)["loss"]
    network.fit(TOKENS, y, epochs=20)
    assert network.evaluate(TOKENS, y)["loss"] < before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: model(loss=SoftmaxCrossEntropy()),
            ValueError,
            r"SoftmaxCrossEntropy: expected outputs of shape \(classes,\), got \(4, 3\); for one class per example put "
            r"Flatten\(\) before the last Dense",
        ),
        (
            lambda: Model([Flatten(), Dense(3)], input_shape=4, loss=EachPosition(SoftmaxCrossEntropy())),
            ValueError,
            r"EachPosition: expected outputs of shape \(positions, features\), got \(3,\); without positions, use",
        ),
        (
            lambda: model().fit(TOKENS, LABELS[:, :3]),
            ValueError,
            r"EachPosition: expected y of shape \(N, 4\), one target per position, .*, got \(5, 3\)",
        ),
        (
            lambda: model().fit(TOKENS, np.where(COUNTS, LABELS, 7)),
            ValueError,
            "SoftmaxCrossEntropy: expected labels in y from 0 to 2, got 7",
        ),
        (
            lambda: model().fit(TOKENS, LABELS, class_weight={0: 2.0}),
            ValueError,
            "fit: expected no class_weight with EachPosition, whose examples have several targets",
        ),
        (
            lambda: EachPosition(HalfSquaredError(), ignore=-1).forward(np.zeros((2, T, C)), np.zeros((2, T, C))),
            ValueError,
            r"EachPosition\(ignore=-1\): expected integer targets and a loss of classes, .*, got targets of dtype float64 with "
            r"HalfSquaredError; leave ignore out, and weight whole examples with sample_weight",
        ),
        (
            lambda: Model(
                [Embedding(6, 8), Dense(C)],
                input_shape=T,
                loss=EachPosition(HalfSquaredError(), ignore=-1),
                optimizer=Adam(),
            ).fit(TOKENS, np.zeros((N, T, C))),
            ValueError,
            r"EachPosition\(ignore=-1\): expected integer targets",
        ),
        (
            lambda: model().fit(TOKENS, np.eye(C)[np.maximum(LABELS, 0)]),
            ValueError,
            r"EachPosition\(ignore=-1\): expected integer targets",
        ),
        (lambda: EachPosition(Accuracy()), TypeError, "EachPosition: expected loss to be SoftmaxCrossEntropy"),
        (lambda: EachPosition(SigmoidCrossEntropy(), ignore=0.5), TypeError, "EachPosition: expected ignore"),
    ],
)
def test_invalid_use_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Whole language models: learning, resuming, and what their outputs depend on."""

import numpy as np
import pytest

from anynet import (
    GRU,
    LSTM,
    Adam,
    Clip,
    CosineDecay,
    Dense,
    Dropout,
    EachPosition,
    Embedding,
    Flatten,
    GlobalAvgPool1D,
    LayerNorm,
    Lengths,
    Model,
    Position,
    SoftmaxCrossEntropy,
    Tied,
    load,
    load_shakespeare,
    transformer_block,
    tree,
)
from anynet.callbacks import Checkpoint
from tests.tools import assert_close, assert_same, fetch

RNG = np.random.default_rng(0)
TOKENS = 7


def gpt(positions, features=8, heads=2, tokens=TOKENS, blocks=2, dropout=0.0, **settings):
    """Return a GPT with a learned position or, if their number is None, rotary positions."""
    rotary = positions is None
    body = [transformer_block(features, heads, rotary=rotary, dropout=dropout) for _ in range(blocks)]
    body = [*([] if rotary else [Position()]), *body, LayerNorm()]
    return Model(
        Tied(tokens, features, body),
        input_shape=(positions,),
        loss=EachPosition(SoftmaxCrossEntropy(), ignore=-1),
        optimizer=settings.pop("optimizer", Clip(Adam(0.01), norm=1.0)),
        **settings,
    )


@pytest.mark.parametrize("name", ["numpy", "strict"])
def test_a_gpt_learns_a_text_by_heart(name):
    """A training step with an error in any gradient does not get there."""
    text = "".join(load_shakespeare(excerpt=True))[:4096]
    characters = sorted(set(text))
    ids = np.array([characters.index(c) for c in text])
    x, y = ids[: 63 * 64].reshape(63, 64), ids[1 : 63 * 64 + 1].reshape(63, 64)
    optimizer = Adam(CosineDecay(5e-3, epochs=50))
    model = gpt(64, 96, 4, len(characters), blocks=1, optimizer=optimizer, backend=name)
    model.fit(x, y, epochs=50, batch_size=8)
    assert model.evaluate(x, y)["loss"] < 0.1


def test_a_resumed_gpt_is_the_one_that_was_not_stopped(backend, tmp_path):
    x, y = RNG.integers(0, TOKENS, (2, 20, 6))
    whole, first, resumed = (gpt(6, dropout=0.2, backend=backend, seed=3) for _ in range(3))
    expected = whole.fit(x, y, epochs=4, batch_size=4)
    first.fit(x, y, epochs=2, batch_size=4, callbacks=[Checkpoint(tmp_path / "run.safetensors")])
    history = resumed.fit(x, y, epochs=4, batch_size=4, resume=tmp_path / "run.safetensors")
    assert dict(history) == dict(expected)
    assert_same(*(fetch(backend, tuple(model.state)) for model in (resumed, whole)))


# Any number of positions ----------------------------------------------------------------------------------------------


def batches(lengths=(5, 3, 8, 3, 5)):
    rng = np.random.default_rng(1)
    return [tuple(rng.integers(0, TOKENS, (2, 4, length))) for length in lengths]


@pytest.mark.parametrize("recurrent", [False, True], ids=["gpt", "lstm"])
def test_batches_of_different_lengths(recurrent, backend):
    """Each step equals that of a model for this length alone."""

    def make(positions, backend):
        settings = {"dtype": "float64", "backend": backend, "optimizer": Adam(0.01)}
        loss = EachPosition(SoftmaxCrossEntropy())
        last = LSTM(6) if recurrent else transformer_block(8, 2, rotary=True)
        return Model([Embedding(TOKENS, 8), last, Dense(TOKENS)], input_shape=(positions,), loss=loss, **settings)

    model, losses = make(None, backend), []
    model.fit(batches(), epochs=1)
    other = make(None, "numpy")
    for x, y in batches():
        alone = make(x.shape[1], "numpy")
        alone.state = other.state
        losses.append(float(alone.train_step(x, y)))
        other.state = alone.state
    assert model.history["loss"][0] == pytest.approx(np.average(losses, weights=[5, 3, 8, 3, 5]), rel=1e-9)
    assert_close(fetch(backend, model.params), fetch(other.backend, other.params), rtol=1e-8)


def test_a_model_of_any_length_has_the_parameters_of_a_fixed_one(tmp_path):
    layers = [Embedding(TOKENS, 8), transformer_block(8, 2, rotary=True), Dense(TOKENS)]
    fixed, free = (Model(layers, input_shape=(n,)) for n in (6, None))
    assert_same(fixed.params, free.params)
    x = RNG.integers(0, TOKENS, (3, 6))
    assert np.array_equal(fixed.predict(x), free.predict(x)) and free.predict(x[:, :2]).shape == (3, 2, TOKENS)
    free.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.config == free.config and again.input_shape == (None,) and again.output_shape == (None, TOKENS)
    assert "(N, None, 8)" in str(free.summary())


def test_evaluate_and_metrics_of_any_length():
    model = gpt(None, metrics=["accuracy"])
    values = model.evaluate(batches())
    right = [model.predict_classes(x) == y for x, y in batches()]
    assert values["accuracy"] == pytest.approx(np.concatenate([r.ravel() for r in right]).mean())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [Position()],
            r"layer 1: Position: weight: expected an axis of a fixed size, got None; give input_shape a number",
        ),
        ([Flatten(), Dense(2)], r"layer 1: Flatten: expected axes of fixed sizes, got \(None, 4\); .* GlobalAvgPool1D"),
        (
            [Dense(2)],
            r"SoftmaxCrossEntropy: expected outputs of a fixed size, got \(None, 2\); leave the batch axis out of",
        ),
    ],
    ids=["position", "flatten", "loss"],
)
def test_layers_that_need_the_size_refuse(layers, message):
    with pytest.raises(ValueError, match=message):
        Model([Embedding(TOKENS, 4), *layers], input_shape=(None,), loss=SoftmaxCrossEntropy())


def test_data_that_do_not_fit_are_refused():
    model = gpt(None)
    with pytest.raises(ValueError, match=r"fit: expected x of shape \(N, None\), got \(3, 4, 5\)"):
        model.fit(np.zeros((3, 4, 5), int), np.zeros((3, 4), int))
    with pytest.raises(ValueError, match=r"EachPosition: expected y_true of shape \(3, 4\), .*, got \(3, 5\)"):
        model.fit(np.zeros((3, 4), int), np.zeros((3, 5), int))
    with pytest.raises(ValueError, match=r"expected x of shape \(N, None, 4\), got \(3, 4\); leave the batch axis out"):
        Model([Dense(1)], input_shape=(None, 4)).predict(np.zeros((3, 4)))


# Independence of later tokens and of padding --------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [9, None], ids=["learned", "rotary"])
def test_a_later_token_changes_no_earlier_output(positions, backend):
    model = gpt(positions, features=16, backend=backend)
    x = RNG.integers(0, TOKENS, (3, 9))
    before = model.predict(x)
    for t in (1, 5, 8):
        changed = x.copy()
        changed[:, t] = (x[:, t] + 1) % TOKENS
        after = model.predict(changed)
        assert np.array_equal(before[:, :t], after[:, :t])
        assert (before[:, t] != after[:, t]).any()


@pytest.mark.parametrize("causal", [False, True])
def test_padded_equals_unpadded(causal, backend):
    """Compare outputs, loss and gradients with those of each sequence without its padding."""
    layers = [Embedding(TOKENS, 8), transformer_block(8, 2, causal=causal, rotary=True), Dropout(0.0)]
    layers += [LSTM(8), GRU(6, reverse=True), Dense(TOKENS)]
    network = Model(
        Lengths(layers),
        input_shape=((None,), ()),
        loss=EachPosition(SoftmaxCrossEntropy(), ignore=-1),
        optimizer=Adam(),
        dtype="float64",
        backend=backend,
    )
    lengths = np.array([6, 1, 4])
    present = np.arange(6) < lengths[:, None]
    x, y = (np.where(present, a, pad) for a, pad in zip(RNG.integers(0, TOKENS, (2, 3, 6)), (3, -1), strict=True))
    outputs, (loss, grads) = network.predict((x, lengths)), network.gradients((x, lengths), y)
    total, sums = 0.0, None
    for n, length in enumerate(lengths):
        part = (x[n : n + 1, :length], lengths[n : n + 1])
        assert_close(outputs[n : n + 1, :length], network.predict(part), rtol=1e-12)
        value, g = network.gradients(part, y[n : n + 1, :length])
        share = length / lengths.sum()
        total += share * float(value)
        g = tree.map(lambda a: share * a, fetch(backend, g))  # noqa: B023
        sums = g if sums is None else tree.map(np.add, sums, g)
    assert float(loss) == pytest.approx(total, rel=1e-12)
    assert_close(fetch(backend, grads), sums, rtol=1e-11)


def test_padding_of_a_classifier_changes_nothing(backend):
    layers = Lengths([Embedding(TOKENS, 8), transformer_block(8, 2, causal=False), GlobalAvgPool1D(), Dense(3)])
    model = Model(layers, input_shape=((None,), ()), dtype="float64", backend=backend)
    x, lengths = RNG.integers(0, TOKENS, (4, 5)), np.array([5, 2, 3, 1])
    wide = np.pad(x, ((0, 0), (0, 7)), constant_values=1)
    assert_close(model.predict((wide, lengths)), model.predict((x, lengths)), rtol=1e-12)

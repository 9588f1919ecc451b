"""Convolution and pooling of sequences and images whose size differs between batches."""

import numpy as np
import pytest

from anynet import (
    SGD,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    HalfSquaredError,
    MaxPool1D,
    MaxPool2D,
    Model,
    ReLU,
    load,
)
from tests.tools import assert_close, assert_same, fetch

RNG = np.random.default_rng(0)
SEQUENCES = [Conv1D(4, 3, padding="same", stride=2), ReLU(), MaxPool1D(2, stride=1), AvgPool1D(2, padding=(1, 0))]
IMAGES = [
    Conv2D(4, 3, padding="same", stride=2, use_bias=False),
    BatchNorm(),
    MaxPool2D(2, stride=1),
    AvgPool2D(2, padding=1),
]
NETWORKS = {
    "sequences": ([*SEQUENCES, GlobalAvgPool1D(), Dense(2)], (None, 3), [(9, 3), (5, 3), (12, 3)]),
    "images": ([*IMAGES, GlobalAvgPool2D(), Dense(2)], (None, None, 3), [(9, 5, 3), (5, 9, 3), (8, 8, 3)]),
}


def make(layers, input_shape, backend="numpy"):
    return Model(
        layers,
        input_shape=input_shape,
        loss=HalfSquaredError(),
        optimizer=SGD(0.1),
        dtype="float64",
        backend=backend,
        seed=3,
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_equal_those_of_models_of_fixed_size(name, backend):
    layers, free_shape, shapes = NETWORKS[name]
    free, other = make(layers, free_shape, backend), make(layers, shapes[0])
    assert_same(fetch(backend, free.params), other.params)
    for shape in shapes:
        fixed = make(layers, shape)
        fixed.state = other.state
        x, y = RNG.normal(size=(4, *shape)), RNG.normal(size=(4, 2))
        assert_close(free.predict(x), fixed.predict(x), rtol=1e-10)
        assert float(free.train_step(x, y)) == pytest.approx(float(fixed.train_step(x, y)), rel=1e-10)
        other.state = fixed.state
    assert_close(fetch(backend, free.params), other.params, rtol=1e-8)


def test_shapes_of_the_outputs():
    free = Model([Conv1D(4, 3), MaxPool1D(2)], input_shape=(None, 3))
    assert free.output_shape == (None, 4) and "(N, None, 4)" in str(free.summary())
    assert [free.predict(np.zeros((2, n, 3))).shape for n in (4, 9)] == [(2, 1, 4), (2, 3, 4)]
    one = Model([Conv2D(4, (3, 2)), AvgPool2D(2)], input_shape=(None, 7, 3))
    assert one.output_shape == (None, 3, 4)
    with pytest.raises(ValueError, match=r"at least the window 3 x 8.* got input \(None, 7, 3\)"):
        Model([Conv2D(4, (3, 8))], input_shape=(None, 7, 3))


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([Conv1D(4, 3, dilation=2)], (4, 3), r"Conv1D\(4\): expected a sequence of at least the window 5 .*\(4, 3\)"),
        ([Conv2D(4, 3)], (7, 2, 3), r"Conv2D\(4\): expected an image of at least the window 3 x 3 .*\(7, 2, 3\)"),
        ([MaxPool1D(3)], (2, 3), r"MaxPool1D: expected an input of at least the window 3, got \(2, 3\)"),
        ([AvgPool2D(3)], (2, 5, 3), r"AvgPool2D: expected an input of at least the window \(3, 3\), got \(2, 5, 3\)"),
    ],
    ids=["Conv1D", "Conv2D", "MaxPool1D", "AvgPool2D"],
)
def test_a_batch_that_is_too_short_is_refused(layers, shape, message, backend):
    model = Model(layers, input_shape=(None,) * (len(shape) - 1) + (3,), backend=backend)
    with pytest.raises(ValueError, match=message):
        model.predict(np.zeros((2, *shape)))


def test_flatten_is_refused():
    message = r"layer 1: Flatten: expected axes of fixed sizes, got \(None, 4\); .* GlobalAvgPool1D\(\)"
    with pytest.raises(ValueError, match=message):
        Model([Conv1D(4, 3), Flatten(), Dense(2)], input_shape=(None, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_files_and_weights(name, tmp_path):
    layers, free_shape, shapes = NETWORKS[name]
    free, fixed = make(layers, free_shape), make(layers, shapes[0])
    x = RNG.normal(size=(4, *shapes[0]))
    fixed.train_step(x, RNG.normal(size=(4, 2)))
    free.load_weights(fixed.weights())
    assert np.array_equal(free.predict(x), fixed.predict(x))
    free.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.input_shape == free_shape
    for shape in shapes:
        x = RNG.normal(size=(4, *shape))
        assert np.array_equal(again.predict(x), free.predict(x))

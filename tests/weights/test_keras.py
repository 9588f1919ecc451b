"""Weights of Keras: from a file that Keras wrote, from its lists of arrays, and back."""

import gzip

import numpy as np
import pytest

from anynet import (
    GELU,
    GRU,
    LSTM,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    Model,
    PReLU,
    ReLU,
    RMSNorm,
)
from tests.reference import HERE, reference

CNN = [
    Conv2D(6, 3, stride=2, padding="same"),
    BatchNorm(epsilon=1e-3),
    PReLU(per_channel=True),
    Conv2D(8, 2, groups=2, use_bias=False),
    Dropout(0.2),
    Flatten(),
    Dense(12),
    GELU(),
    LayerNorm(epsilon=1e-3),
    Dense(4),
]
"""The layers of tests/reference/make_keras_weights.py. Keras's default ε is 1e-3."""


@pytest.fixture
def path(tmp_path):
    """Return the path of the file that Keras wrote."""
    pytest.importorskip("h5py", reason="h5py, the extra 'keras', is not installed")
    content = gzip.decompress((HERE / "keras_cnn.weights.h5.gz").read_bytes())
    (tmp_path / "cnn.weights.h5").write_bytes(content)
    return tmp_path / "cnn.weights.h5"


def error(model, x, expected):
    return np.max(np.abs(model.predict(x) - expected) / (1.0 + np.abs(expected)))


def test_a_file_of_keras(path):
    [kept] = reference("keras_weights")
    x, y = (np.array(kept[name], np.float32) for name in ("x", "y"))
    model = Model(CNN, input_shape=(8, 7, 3))
    model.load_weights(path, layout="keras")
    assert error(model, x, y) <= 1e-6


def test_layers_that_the_file_lacks(path):
    model = Model([*CNN, RMSNorm()], input_shape=(8, 7, 3))
    with pytest.raises(ValueError, match=r"expected 1 layers 'rms_normalization' in .*, got none"):
        model.load_weights(path, layout="keras")
    model = Model([*CNN, Dense(4)], input_shape=(8, 7, 3))
    with pytest.raises(ValueError, match=r"expected 3 layers 'dense' in .*, got 2; for layers in another order"):
        model.load_weights(path, layout="keras")


def test_layout_is_not_guessed(path):
    with pytest.raises(
        ValueError, match=r"expected layout='keras' for a file of Keras, got 'torch' with .*cnn\.weights\.h5$"
    ):
        Model(CNN, input_shape=(8, 7, 3)).load_weights(path)


def test_damaged_file(path):
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"expected a file that Keras 3 wrote with save or save_weights, got .*cnn"):
        Model(CNN, input_shape=(8, 7, 3)).load_weights(path, layout="keras")


def test_order_of_numbered_layers(tmp_path):
    """dense_10 comes after dense_9, as in Keras."""
    h5py = pytest.importorskip("h5py", reason="h5py, the extra 'keras', is not installed")
    with h5py.File(tmp_path / "deep.weights.h5", "w") as file:
        for number in range(12):
            name = "dense" if number == 0 else f"dense_{number}"
            file[f"layers/{name}/vars/0"] = np.full((1, 1), number + 1.0, np.float32)
            file[f"layers/{name}/vars/1"] = np.zeros(1, np.float32)
    model = Model([Dense(1) for _ in range(12)], input_shape=1)
    model.load_weights(tmp_path / "deep.weights.h5", layout="keras")
    assert [params["weight"].item() for params in model.params] == list(range(1, 13))


def test_list_there_and_back():
    model = Model(CNN, input_shape=(8, 7, 3), seed=1)
    arrays = model.weights("keras")
    other = Model(CNN, input_shape=(8, 7, 3))
    other.load_weights(arrays, layout="keras")
    x = np.random.default_rng(0).normal(size=(3, 8, 7, 3))
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert [array.shape for array in arrays][:8] == [
        (3, 3, 3, 6),
        (6,),
        (6,),
        (6,),
        (6,),
        (6,),
        (1, 1, 6),
        (2, 2, 3, 8),
    ]


def test_names_in_the_layout_of_keras():
    model = Model([Dense(2)], input_shape=3)
    weight = np.arange(6.0).reshape(3, 2)
    model.load_weights({"0.weight": weight, "0.bias": np.ones(2)}, layout="keras")
    np.testing.assert_array_equal(model.params[0]["weight"], weight)


# With Keras itself --------------------------------------------------------------------------------------------------------


@pytest.fixture
def keras(monkeypatch):
    """Return Keras on PyTorch."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("h5py", reason="h5py, the extra 'keras', is not installed")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(0)
    return keras


def networks(keras):
    """Yield pairs of a network of Keras and the same layers here."""
    k, shape = keras.layers, (9, 3)
    yield (
        [k.Conv1D(6, 3, strides=2), k.ReLU(), k.Flatten(), k.Dense(5), k.RMSNormalization(epsilon=1e-5), k.Dense(2)],
        [Conv1D(6, 3, stride=2), ReLU(), Flatten(), Dense(5), RMSNorm(), Dense(2)],
        shape,
    )
    shape = (5, 4, 2)
    yield (
        [
            *(k.Conv2D(4, (3, 2), padding="same"), k.BatchNormalization(), k.PReLU(shared_axes=[1, 2]), k.Dropout(0.5)),
            *(k.Conv2D(6, 2, groups=2), k.Flatten(), k.Dense(7, activation="relu"), k.LayerNormalization(), k.Dense(3)),
        ],
        [
            *(Conv2D(4, (3, 2), padding="same"), BatchNorm(epsilon=1e-3), PReLU(per_channel=True), Dropout(0.5)),
            *(Conv2D(6, 2, groups=2), Flatten(), Dense(7), ReLU(), LayerNorm(epsilon=1e-3), Dense(3)),
        ],
        shape,
    )
    yield (
        [k.LSTM(4, return_sequences=True), k.GRU(3, return_sequences=True), k.GRU(2)],
        [LSTM(4), GRU(3), GRU(2, sequences=False)],
        (5, 3),
    )
    inner = keras.Sequential([keras.Input((7,)), k.Dense(6), k.BatchNormalization()])
    yield [k.Dense(7), inner, k.Dense(3)], [Dense(7), Dense(6), BatchNorm(epsilon=1e-3), Dense(3)], (4,)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_keras_itself(keras, number, tmp_path):
    theirs, ours, shape = list(networks(keras))[number]
    net = keras.Sequential([keras.Input(shape), *theirs])
    rng = np.random.default_rng(0)
    net.set_weights([a + rng.normal(0.0, 0.1, a.shape) for a in net.get_weights()])
    x = rng.normal(size=(4, *shape))
    expected = keras.ops.convert_to_numpy(net(x, training=False))
    model = Model(ours, input_shape=shape, dtype="float64")
    model.load_weights(net.get_weights(), layout="keras")
    assert error(model, x, expected) <= 1e-6
    for name in ("net.weights.h5", "net.keras"):
        (net.save_weights if "weights" in name else net.save)(tmp_path / name)
        model = Model(ours, input_shape=shape, dtype="float64")
        if number == 3:
            with pytest.raises(
                ValueError, match=r"without inner networks, got 'sequential', .*; pass keras_model\.get_weights"
            ):
                model.load_weights(tmp_path / name, layout="keras")
            continue
        model.load_weights(tmp_path / name, layout="keras")
        assert error(model, x, expected) <= 1e-6
    other = Model(ours, input_shape=shape, dtype="float64", seed=5)
    net.set_weights(other.weights("keras"))
    assert error(other, x, keras.ops.convert_to_numpy(net(x, training=False))) <= 1e-6

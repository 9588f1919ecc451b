"""A network of Keras: ``python -m tests.reference.make_keras_weights`` writes keras_cnn.weights.h5.gz and
keras_weights.json.

Made with Keras 3.15 on PyTorch, in float32. The JSON has two inputs and the outputs for them.
"""

import gzip
import os
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers

from tests.reference import HERE, write


def network():
    """Return a small CNN with random weights and moving averages."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 7, 3)),
            layers.Conv2D(6, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2D(8, 2, groups=2, use_bias=False),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(12, activation="gelu"),
            layers.LayerNormalization(),
            layers.Dense(4),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([a + rng.normal(0.0, 0.1, a.shape) for a in model.get_weights()])
    return model


def entries():
    x = np.random.default_rng(1).normal(size=(2, 8, 7, 3)).round(2).astype(np.float32)
    yield {"x": x.tolist(), "y": np.asarray(network()(x, training=False).detach()).tolist()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keras_cnn.weights.h5"
        network().save_weights(path)
        (HERE / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    write("keras_weights", entries())

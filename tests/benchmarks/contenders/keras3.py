"""Keras 3, on the backend in ``KERAS_BACKEND``."""

import keras
from keras import layers, losses, optimizers


class Trainer:
    """Train a compiled `keras.Sequential`; `step` is ``train_on_batch``."""

    def __init__(self, network, variant, device, weights=None, seed=0):
        keras.utils.set_random_seed(seed)
        self.network = network
        *hidden, outputs = network.sizes[1:]
        self.model = keras.Sequential(
            [keras.Input((network.sizes[0],)), *(layers.Dense(n, "relu") for n in hidden), layers.Dense(outputs)]
        )
        if weights:
            self.model.set_weights([array for layer in weights for array in layer])
        rate = network.learning_rate
        self.model.compile(
            optimizers.SGD(rate) if network.optimizer == "sgd" else optimizers.Adam(rate, epsilon=1e-8),
            losses.MeanSquaredError() if network.loss == "mse" else losses.SparseCategoricalCrossentropy(True),
        )

    def hold(self, x, y):
        self.x, self.y = x, y

    def step(self):
        self.last = self.model.train_on_batch(self.x, self.y)

    def loss(self):
        # Keras answers with the mean since its metrics were last reset.
        self.model.reset_metrics()
        return float(self.last)

    def fit(self, x, y, epochs):
        self.model.fit(x, y, batch_size=self.network.batch, epochs=epochs, verbose=0)

    def predict(self, x):
        return self.model.predict(x, batch_size=4096, verbose=0)

    def wait(self):
        pass

"""anynet; the variant is the backend's name, with ``+fast`` (the extra ``fast``) or ``+compile`` (`torch.compile`)."""

import importlib

from anynet import SGD, Adam, Dense, MeanSquaredError, Model, ReLU, SoftmaxCrossEntropy
from anynet.backends.torch import TorchBackend


class Trainer:
    """Train an `anynet.Model`."""

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network, self.device, self.library = network, device, variant.partition("+")[0]
        layers = []
        for index, units in enumerate(network.sizes[1:]):
            given = dict(zip(("weight", "bias"), weights[index], strict=True)) if weights else {}
            layers += [Dense(units, **given), ReLU()]
        name = f"{self.library}:cuda" if device == "cuda" and self.library != "cupy" else self.library
        optimizer = SGD if network.optimizer == "sgd" else Adam
        self.model = Model(
            layers[:-1],
            input_shape=network.sizes[0],
            loss=MeanSquaredError() if network.loss == "mse" else SoftmaxCrossEntropy(),
            optimizer=optimizer(network.learning_rate),
            backend=TorchBackend(device, compiled=True) if variant == "torch+compile" else name,
            seed=seed,
        )

    def hold(self, x, y):
        self.x, self.y = self._own(x), self._own(y)

    def step(self):
        self.last = self.model.train_step(self.x, self.y)

    def loss(self):
        return float(self.last)

    def fit(self, x, y, epochs):
        self.model.fit(x, y, epochs=epochs, batch_size=self.network.batch, progress=False)

    def predict(self, x):
        return self.model.predict(x)

    def wait(self):
        # A value on the host is there only when everything before it has been done.
        float(self.model.params[-1]["bias"][0])

    def _own(self, array):
        library = importlib.import_module({"jax": "jax.numpy"}.get(self.library, self.library))
        return library.asarray(array, device=self.device) if self.library == "torch" else library.asarray(array)

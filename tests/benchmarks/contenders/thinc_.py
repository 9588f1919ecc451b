"""Thinc on its NumPy operations."""

import numpy as np
from thinc.api import SGD, Adam, Linear, Relu, Softmax, chain


class Trainer:
    """Train a `chain`, without L2, clipping and averages, like the others.

    Thinc's users write the loss gradient as ``Yh - Y`` with one-hot targets and no loss; `loss` computes it afterwards.
    """

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network = network
        self.rng = np.random.default_rng(seed)
        *hidden, (inputs, outputs) = zip(network.sizes, network.sizes[1:], strict=False)
        last = Linear if network.loss == "mse" else Softmax
        self.model = chain(*(Relu(n, i) for i, n in hidden), last(outputs, inputs)).initialize()
        if weights:
            for layer, (weight, bias) in zip(self.model.layers, weights, strict=True):
                layer.set_param("W", weight.T.copy())
                layer.set_param("b", bias)
        options = {"L2": 0.0, "grad_clip": 0.0, "use_averages": False}
        kind = SGD if network.optimizer == "sgd" else Adam
        self.optimizer = kind(network.learning_rate, **options)

    def hold(self, x, y):
        self.x, self.y = x, self._targets(y)

    def step(self):
        self.outputs = self._train(self.x, self.y)

    def loss(self):
        if self.network.loss == "mse":
            return float(np.mean((self.outputs - self.y) ** 2))
        return float(-np.mean(np.log(self.outputs[self.y > 0])))

    def fit(self, x, y, epochs):
        y = self._targets(y)
        for _ in range(epochs):
            batches = self.model.ops.multibatch(self.network.batch, x, y, shuffle=True)
            for x_batch, y_batch in batches:
                self._train(x_batch, y_batch)

    def predict(self, x):
        return self.model.predict(x)

    def wait(self):
        pass

    def _targets(self, y):
        return y if self.network.loss == "mse" else np.eye(self.network.sizes[-1], dtype=np.float32)[y]

    def _train(self, x, y):
        outputs, backprop = self.model.begin_update(x)
        factor = 2.0 if self.network.loss == "mse" else 1.0
        backprop((outputs - y) * (factor / len(x)))
        self.model.finish_update(self.optimizer)
        return outputs

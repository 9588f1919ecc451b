"""A plain NumPy loop with hand-written gradients, the reference for the others."""

import numpy as np

from .. import data


class Trainer:
    """Train with plain NumPy expressions."""

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network = network
        self.rng = np.random.default_rng(seed)
        self.params = [array.copy() for layer in weights or data.weights(network, seed) for array in layer]
        self.first = [np.zeros_like(p) for p in self.params]
        self.second = [np.zeros_like(p) for p in self.params]
        self.count = 0

    def hold(self, x, y):
        self.x, self.y = x, y

    def step(self):
        self.last = self._train(self.x, self.y)

    def loss(self):
        return float(self.last)

    def fit(self, x, y, epochs):
        size = self.network.batch
        for _ in range(epochs):
            order = self.rng.permutation(len(x))
            total = 0.0
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                total += self._train(x[rows], y[rows]) * len(rows)
            self.last = total / len(x)

    def predict(self, x):
        return self._forward(x)[-1]

    def wait(self):
        pass

    def _forward(self, x):
        outputs = [x]
        for weight, bias in zip(self.params[:-2:2], self.params[1:-2:2], strict=True):
            outputs.append(np.maximum(outputs[-1] @ weight + bias, 0.0))
        outputs.append(outputs[-1] @ self.params[-2] + self.params[-1])
        return outputs

    def _train(self, x, y):
        outputs = self._forward(x)
        loss, dy = self._loss(outputs.pop(), y)
        grads = []
        for index in range(len(self.params) - 2, -1, -2):
            inputs = outputs.pop()
            grads += [dy.sum(axis=0), inputs.T @ dy]
            if index:
                dy = (dy @ self.params[index].T) * (inputs > 0)
        self._update(reversed(grads))
        return loss

    def _loss(self, scores, y):
        if self.network.loss == "mse":
            error = scores - y
            return np.mean(error * error), error * (2.0 / error.size)
        shifted = scores - scores.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        sums = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = np.mean(np.log(sums[:, 0]) - shifted[rows, y])
        dy = exponentials / sums
        dy[rows, y] -= 1.0
        dy /= len(y)
        return loss, dy

    def _update(self, grads):
        rate = self.network.learning_rate
        if self.network.optimizer == "sgd":
            for param, grad in zip(self.params, grads, strict=True):
                param -= rate * grad
            return
        self.count += 1
        rate /= 1.0 - 0.9**self.count
        correction = (1.0 - 0.999**self.count) ** 0.5
        for param, grad, first, second in zip(self.params, grads, self.first, self.second, strict=True):
            first += 0.1 * (grad - first)
            second += 0.001 * (grad * grad - second)
            param -= rate * first / (np.sqrt(second) / correction + 1e-8)

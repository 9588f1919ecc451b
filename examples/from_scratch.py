"""The idea of anynet on one page: layers, a loss and a training loop.

A layer is a value that holds no arrays: parameters go in, and what `backward` needs comes out of `forward` as a cache.

    python examples/from_scratch.py
"""

import argparse
from dataclasses import dataclass

import numpy as np

from anynet import load_digits


@dataclass(frozen=True)
class Dense:
    units: int

    def init(self, rng, inputs):
        weight = rng.normal(size=(inputs, self.units)) / np.sqrt(inputs)
        return {"weight": weight, "bias": np.zeros(self.units)}, self.units

    def forward(self, params, x):
        return x @ params["weight"] + params["bias"], x  # the output y, and the cache

    def backward(self, params, cache, dy):
        x = cache
        grads = {"weight": x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ params["weight"].T, grads  # ∂L/∂x and ∂L/∂params, from ∂L/∂y


@dataclass(frozen=True)
class ReLU:
    def init(self, rng, inputs):
        return {}, inputs

    def forward(self, params, x):
        y = np.maximum(x, 0)
        return y, y

    def backward(self, params, cache, dy):
        return dy * (cache > 0), {}


def softmax_cross_entropy(logits, labels):  # the mean of −log p[label], and its gradient
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return -np.log(p[range(len(p)), labels]).mean(), (p - np.eye(p.shape[1])[labels]) / len(p)


def forward(layers, params, x):
    caches = []
    for layer, p in zip(layers, params, strict=True):
        x, cache = layer.forward(p, x)
        caches.append(cache)
    return x, caches


def train_step(layers, params, x, labels, learning_rate):
    logits, caches = forward(layers, params, x)
    loss, dy = softmax_cross_entropy(logits, labels)
    updated = []
    for layer, p, cache in zip(layers[::-1], params[::-1], caches[::-1], strict=True):
        dy, grads = layer.backward(p, cache, dy)
        updated.append({name: p[name] - learning_rate * grads[name] for name in p})
    return loss, updated[::-1]


def main(epochs=20):
    (x, y), (x_test, y_test) = load_digits()  # images of 8×8 pixels from 0 to 16, and the digits that they show
    rng = np.random.default_rng(0)
    layers, params, size = [Dense(32), ReLU(), Dense(10)], [], 64
    for layer in layers:
        p, size = layer.init(rng, size)
        params.append(p)
    for epoch in range(epochs):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 32):
            loss, params = train_step(layers, params, x[batch] / 16, y[batch], learning_rate=0.2)
        print(f"epoch {epoch + 1}  loss of the last batch {loss:.3f}")
    logits, _ = forward(layers, params, x_test / 16)
    print(f"test accuracy {np.mean(logits.argmax(axis=1) == y_test):.3f}")
    return layers, params


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train two layers on handwritten digits, on NumPy alone.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images (default 20)")
    main(**vars(parser.parse_args()))

"""Lower bound: only the matrix products of a training step, without dX for the first layer."""

import importlib

import numpy as np


class Trainer:
    """Run x·W, Xᵀ·dY and dY·Wᵀ of every layer on arrays of the right shapes; the variant is the array library."""

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network, self.library, self.weights = network, importlib.import_module(variant), weights

    def hold(self, x, y):
        rng = np.random.default_rng(0)
        shapes = [(len(x), size) for size in self.network.sizes]
        inputs = [x, *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes[1:-1])]
        errors = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes[1:]]
        own = self._own
        self.layers = [
            (own(x), own(weight), own(dy)) for x, (weight, _), dy in zip(inputs, self.weights, errors, strict=True)
        ]

    def step(self):
        first, *others = self.layers
        for x, weight, _ in self.layers:
            x @ weight
        for x, weight, dy in others:
            x.T @ dy
            dy @ weight.T
        first[0].T @ first[2]

    def loss(self):
        return float("nan")

    def wait(self):
        if self.library.__name__ == "torch":
            self.library.cuda.synchronize()
        elif self.library.__name__ == "cupy":
            self.library.cuda.Device().synchronize()

    def _own(self, array):
        array = self.library.asarray(array)
        return array.cuda() if self.library.__name__ == "torch" else array

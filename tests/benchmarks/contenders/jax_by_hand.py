"""JAX without a library: one jitted step with donated buffers, its gradient by `jax.value_and_grad`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .. import data


class Trainer:
    """Train with one `jax.jit` step.

    `variant` is ``"jit"``, or ``"jit-resident"``, whose `fit` neither shuffles nor gathers: it repeats the step on one
    batch that is on the device already, the least that any loop over this step can take.
    """

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network = network
        self.resident = variant == "jit-resident"
        self.rng = np.random.default_rng(seed)
        self.params = [(jnp.array(w), jnp.array(b)) for w, b in weights or data.weights(network, seed)]
        slots = jax.tree.map(jnp.zeros_like, (self.params, self.params))
        self.state = () if network.optimizer == "sgd" else (jnp.zeros(()), *slots)
        self.train = jax.jit(partial(_step, network), donate_argnums=(0, 1))
        self.scores = jax.jit(_scores)

    def hold(self, x, y):
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def step(self):
        self.params, self.state, self.last = self.train(self.params, self.state, self.x, self.y)

    def loss(self):
        return float(self.last)

    def fit(self, x, y, epochs):
        size = self.network.batch
        if self.resident:
            self.hold(x[:size], y[:size])
            for _ in range(epochs * -(-len(x) // size)):
                self.step()
            return
        y = y.astype(np.int32) if y.dtype == np.int64 else y
        for _ in range(epochs):
            order = self.rng.permutation(len(x))
            losses = []
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                self.params, self.state, loss = self.train(self.params, self.state, x[rows], y[rows])
                losses.append(loss)
            self.last = np.mean([float(loss) for loss in losses])

    def predict(self, x):
        return np.asarray(self.scores(self.params, x))

    def wait(self):
        jax.block_until_ready(self.params)


def _scores(params, x):
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    return x @ weight + bias


def _loss(params, x, y, kind):
    scores = _scores(params, x)
    if kind == "mse":
        return jnp.mean((scores - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], axis=1))


def _step(network, params, state, x, y):
    loss, grads = jax.value_and_grad(_loss)(params, x, y, network.loss)
    rate = network.learning_rate
    if network.optimizer == "sgd":
        return jax.tree.map(lambda p, g: p - rate * g, params, grads), state, loss
    count, first, second = state
    count = count + 1.0
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    rate, correction = rate / (1.0 - 0.9**count), jnp.sqrt(1.0 - 0.999**count)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / correction + 1e-8), params, first, second)
    return params, (count, first, second), loss

"""Where the time of a training step goes: ``python -m tests.benchmarks.where --backend numpy``.

Takes the parts of a step one after another, as `anynet.training` does, each in a loop of its own, and prints the median
of several rounds. On JAX the parts are compiled one by one, so their sum is more than the whole step, which is compiled
as one.
"""

import argparse
import statistics
import time

import numpy as np

from anynet import SGD, Adam, Dense, Model, ReLU, SoftmaxCrossEntropy

NETWORKS = [
    ((64, 32, 10), 32, Adam()),
    ((784, 128, 10), 64, Adam()),
    ((784, 512, 512, 10), 128, Adam()),
    ((1024, 1024, 1024, 1024, 1024), 1024, SGD(0.01)),
]


def median(function, wait, seconds=0.2, rounds=7):
    """Return the median over rounds of the microseconds that a call takes."""
    for _ in range(25):
        function()
    wait()
    began = time.perf_counter()
    function()
    wait()
    calls = max(1, int(seconds / (time.perf_counter() - began)))
    samples = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        wait()
        samples.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(samples)


def parts(backend, sizes, batch, optimizer):
    """Return the microseconds of each part of a step and of the whole."""
    layers = [layer for units in sizes[1:] for layer in (Dense(units), ReLU())][:-1]
    model = Model(layers, input_shape=sizes[0], loss=SoftmaxCrossEntropy(), optimizer=optimizer, backend=backend)
    backend, layer, loss = model.backend, model.layer, model.loss
    rng = np.random.default_rng(0)
    x = backend.asarray(rng.normal(size=(batch, sizes[0])), backend.dtype("float32"))
    y = backend.asarray(rng.integers(0, sizes[-1], batch), model.index_dtype)
    params, state, key = model.to(backend)._carry
    backend.steps_ahead = 10**9

    forward = backend.compile(lambda params, x: layer.forward(params, x, key=key))
    cost = backend.compile(lambda y_pred, y: loss.backward(loss.forward(y_pred, y)[1]))
    backward = backend.compile(lambda params, cache, dy: layer.backward(params, cache, dy, need_dx=False)[1])
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    y_pred, cache = forward(params, x)
    dy = cost(y_pred, y)
    grads = backward(params, cache, dy)

    wait = backend.synchronize
    return {
        "forward": median(lambda: forward(params, x), wait),
        "loss": median(lambda: cost(y_pred, y), wait),
        "backward": median(lambda: backward(params, cache, dy), wait),
        "update": median(lambda: update(params, grads, state), wait),
        "whole step": median(lambda: model.train_step(x, y), wait),
    }


def main():
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy")
    backend = parser.parse_args().backend
    print(f"| {backend}, µs | forward | loss | backward | update | whole step |\n|---|---|---|---|---|---|")
    for sizes, batch, optimizer in NETWORKS:
        row = parts(backend, sizes, batch, optimizer)
        name = f"{'-'.join(map(str, sizes))}, batch {batch}, {type(optimizer).__name__}"
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Time profile of a training step: ``python -m tests.benchmarks.where --backend numpy``.

Each part of a step, as in `anynet.training`, runs in a separate loop; the medians of several rounds are printed next to that of
the whole step. The sum of the parts differs from the whole: on JAX they are compiled separately, the step as one; on NumPy a
small step is replayed, its parts are not; and in a separate loop a part does not share the cache.
"""

import argparse
import statistics
import time

from . import data
from .cases import HUGE, LARGE, MEDIUM, SMALL
from .contenders.ours import Trainer

NETWORKS = (SMALL, MEDIUM, LARGE, HUGE)


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


def parts(backend, network):
    """Return the microseconds of each part of a step and of the whole."""
    trainer = Trainer(network, backend, "cpu", data.weights(network))
    trainer.hold(*data.rows(network, network.batch))
    model, x, y = trainer.model, trainer.x, trainer.y
    backend, layer, loss, optimizer = model.backend, model.layer, model.loss, model.optimizer
    params, state, key = model.to(backend).state

    forward = backend.compile(lambda params, x: layer.forward(params, x, key=key))
    cost = backend.compile(lambda y_pred, y: loss.backward(loss.forward(y, y_pred)[1]))
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
    for network in NETWORKS:
        row = parts(backend, network)
        print(f"| {network} | " + " | ".join(f"{value:,.0f}" for value in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Training steps of a GPT and of an LSTM against PyTorch and JAX.

``python -m tests.benchmarks.sequences [--rounds 15] [--only gpt] [--contenders anynet/,torch/eager]``

=============  ==================================================================================================
gpt            nanoGPT's recipe for a CPU: 4 blocks, 4 heads, 128 features, 64 characters, batch 12, AdamW, clipping
lstm           LSTM 64→128, 64 positions, batch 32, its last output and SGD: forward and backward of the layer
lstm 256       the same with 256 positions, batch 4: seconds until the first step is done, with JAX's compilation
=============  ==================================================================================================

Each contender runs in a process of its own with one thread. All start from the same weights, and their first losses must agree.
Rounds alternate between the contenders in an order that changes. The table has the median step with its quartiles, the ratio to
``torch/eager``, and the seconds of the first step.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

import numpy as np

from .contenders import CONTENDERS, NO_GPU
from .summary import median, ratio, same_losses, spread

NAMES = ("anynet/numpy", "anynet/numpy+fast", "anynet/torch", "anynet/jax", "torch/eager", "jax/jit")
CASES = ("gpt", "lstm", "lstm 256")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    **NO_GPU,
}
VOCABULARY, BLOCKS, HEADS, FEATURES, POSITIONS, BATCH = 65, 4, 4, 128, 64, 12
INPUTS, UNITS, RATE, CHECKED_STEPS = 64, 128, 0.1, 3


# anynet -----------------------------------------------------------------------------------------------------------------


def our_model(case, backend="numpy"):
    """Return the model, with which all contenders share the initial weights."""
    from anynet import (
        LSTM,
        SGD,
        AdamW,
        Clip,
        EachPosition,
        Groups,
        HalfSquaredError,
        LayerNorm,
        Model,
        Normal,
        Position,
        SoftmaxCrossEntropy,
        Tied,
        transformer_block,
    )

    if case != "gpt":
        shape = (int(case.partition(" ")[2] or 64), INPUTS)
        return Model(
            [LSTM(UNITS, sequences=False)],
            input_shape=shape,
            loss=HalfSquaredError(),
            optimizer=SGD(RATE),
            backend=backend,
        )
    block = transformer_block(FEATURES, HEADS, use_bias=False, weight=Normal(0.02))
    adam = AdamW(1e-3, beta2=0.99, weight_decay=0.1)
    return Model(
        Tied(VOCABULARY, FEATURES, [Position(), *[block] * BLOCKS, LayerNorm()]),
        input_shape=POSITIONS,
        loss=EachPosition(SoftmaxCrossEntropy()),
        optimizer=Clip(Groups(adam, {1: {"weight_decay": 0.0}}), norm=1.0),
        backend=backend,
    )


def batch(case):
    rng = np.random.default_rng(0)
    if case == "gpt":
        return tuple(rng.integers(0, VOCABULARY, (2, BATCH, POSITIONS)).astype("int32"))
    positions = int(case.partition(" ")[2] or 64)
    count = 32 if case == "lstm" else 4
    return rng.normal(size=(count, positions, INPUTS)).astype("float32"), rng.normal(size=(count, UNITS)).astype(
        "float32"
    )


def ours(case, variant):
    model = our_model(case, variant.partition("+")[0])
    x, y = map(model.backend.asarray, batch(case))
    return lambda: model.train_step(x, y)


# PyTorch ----------------------------------------------------------------------------------------------------------------


def eager(case, variant):
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    params = our_model(case).params
    x, y = (torch.from_numpy(a) for a in batch(case))

    def tensor(a):
        return nn.Parameter(torch.from_numpy(np.array(a)))

    if case != "gpt":
        lstm = nn.LSTM(INPUTS, UNITS, batch_first=True)
        with torch.no_grad():
            lstm.weight_ih_l0.copy_(torch.from_numpy(params[0]["weight"].T))
            lstm.weight_hh_l0.copy_(torch.from_numpy(params[0]["recurrent_weight"].T))
            lstm.bias_ih_l0.copy_(torch.from_numpy(params[0]["bias"]))
            lstm.bias_hh_l0.zero_()
        lstm.bias_hh_l0.requires_grad_(False)  # the second of two biases of which only the sum matters
        optimizer = torch.optim.SGD([p for p in lstm.parameters() if p.requires_grad], lr=RATE)

        def loss():
            return ((lstm(x)[0][:, -1] - y) ** 2).sum() / (2 * len(x))

        return _torch_step(loss, optimizer)

    def linear(values):
        layer = nn.Linear(*values["weight"].shape, bias=False)
        layer.weight = tensor(values["weight"].T)
        return layer

    def norm(values):
        layer = nn.LayerNorm(FEATURES)
        layer.weight, layer.bias = tensor(values["weight"]), tensor(values["bias"])
        return layer

    class Block(nn.Module):
        def __init__(self, values):
            super().__init__()
            first, second = (part["body"] for part in values)
            self.norm1, self.qkv, self.out = norm(first[0]), linear(first[1]), linear(first[3])
            self.norm2, self.up, self.down = norm(second[0]), linear(second[1]), linear(second[3])

        def forward(self, x):
            n, t, c = x.shape
            q, k, v = (a.view(n, t, HEADS, c // HEADS).transpose(1, 2) for a in self.qkv(self.norm1(x)).split(c, dim=2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, c)
            x = x + self.out(y)
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    table, (position, *blocks, last) = tensor(params["weight"]), params["layer"]
    place, layers = tensor(position["weight"]), nn.Sequential(*map(Block, blocks), norm(last))
    x, y = x.long(), y.long()
    every = [table, place, *layers.parameters()]
    groups = [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in every if p.ndim == 1], "weight_decay": 0.0},
    ]

    def loss():
        return F.cross_entropy((layers(table[x] + place) @ table.T).view(-1, VOCABULARY), y.view(-1))

    return _torch_step(loss, torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99)), clipped=every)


def _torch_step(loss, optimizer, clipped=None):
    import torch

    def step():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        if clipped is not None:
            torch.nn.utils.clip_grad_norm_(clipped, 1.0)
        optimizer.step()
        return value.detach()

    return step


# JAX --------------------------------------------------------------------------------------------------------------------


def jit(case, variant):
    import jax
    import jax.numpy as jnp

    params = jax.tree.map(jnp.asarray, our_model(case).params)
    x, y = map(jnp.asarray, batch(case))

    def norm(p, x):
        centered = x - x.mean(-1, keepdims=True)
        return centered / jnp.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * p["weight"] + p["bias"]

    def attention(x):
        n, t, width = x.shape
        q, k, v = (a.reshape(n, t, HEADS, -1).transpose(0, 2, 1, 3) for a in jnp.split(x, 3, axis=-1))
        scores = jnp.where(jnp.tri(t, dtype=bool), q @ k.swapaxes(2, 3) / (FEATURES / HEADS) ** 0.5, -jnp.inf)
        return (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(n, t, width // 3)

    def gpt_loss(p):
        position, *blocks, last = p["layer"]
        h = p["weight"][x] + position["weight"]
        for first, second in blocks:
            a, qkv, _, out = first["body"]
            h = h + attention(norm(a, h) @ qkv["weight"]) @ out["weight"]
            b, up, _, down = second["body"]
            h = h + jax.nn.gelu(norm(b, h) @ up["weight"], approximate=False) @ down["weight"]
        log_p = jax.nn.log_softmax(norm(last, h) @ p["weight"].T)
        return -jnp.take_along_axis(log_p, y[:, :, None], axis=2).mean()

    def lstm_loss(p):
        (p,) = p

        def one(state, z):
            h, c = state
            i, f, g, o = jnp.split(z + h @ p["recurrent_weight"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((len(x), UNITS), x.dtype)
        (h, _), _ = jax.lax.scan(one, (zero, zero), x.swapaxes(0, 1) @ p["weight"] + p["bias"])
        return ((h - y) ** 2).sum() / (2 * len(x))

    def adamw(p, g, state):
        norm = jnp.sqrt(sum((a**2).sum() for a in jax.tree.leaves(g)))
        m, v, t = state
        g, t = jax.tree.map(lambda a: a * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), g), t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, v, g)

        def update(p, m, v):
            decayed = p * (1 - 1e-4) if p.ndim > 1 else p
            return decayed - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.99**t)) + 1e-8)

        return jax.tree.map(update, p, m, v), (m, v, t)

    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [params, (zeros, zeros, 0.0)]

    @jax.jit
    def step(p, s):
        value, g = jax.value_and_grad(gpt_loss if case == "gpt" else lstm_loss)(p)
        if case == "gpt":
            return value, *adamw(p, g, s)
        return value, jax.tree.map(lambda p, g: p - RATE * g, p, g), s

    def run():
        value, *state[:] = step(*state)
        return value

    return run


# Processes --------------------------------------------------------------------------------------------------------------


def serve(case, name, seconds, warm):
    """Print the first losses and the seconds of the first step, then the time of each round."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr
    for package in CONTENDERS[name].blocked:
        sys.modules[package] = None
    library, _, variant = name.partition("/")
    step = {"anynet": ours, "torch": eager, "jax": jit}[library](case, variant)
    start = time.perf_counter()
    losses = [float(step())]
    first = time.perf_counter() - start
    losses += [float(step()) for _ in range(CHECKED_STEPS - 1)]
    end, count = time.perf_counter() + warm, 0
    while time.perf_counter() < end or count < 10:
        start = time.perf_counter()
        float(step())
        last, count = time.perf_counter() - start, count + 1
    print(json.dumps([losses, first]), file=answers, flush=True)
    repeats = max(1, round(seconds / last))
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(repeats):
            value = step()
        float(value)  # waits
        print(json.dumps((time.perf_counter() - start) / repeats * 1e3), file=answers, flush=True)


def measure(case, names, options):
    """Return the milliseconds per step of each round, and the seconds of the first step."""
    processes, samples, first, losses = {}, {name: [] for name in names}, {}, {}
    try:
        for name in names:
            command = [sys.executable, "-m", "tests.benchmarks.sequences", "--serve", case, name]
            command += ["--seconds", str(options.seconds), "--warm", str(options.warm)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes[name] = subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, **pipes)
            losses[name], first[name] = json.loads(processes[name].stdout.readline())
            if not same_losses(losses[name], losses[names[0]]):
                raise SystemExit(f"{name} computes {losses[name]}, and {names[0]} {losses[names[0]]}")
        for number in range(options.rounds):
            for name in random.Random(number).sample(names, len(names)):
                processes[name].stdin.write("round\n")
                processes[name].stdin.flush()
                samples[name].append(json.loads(processes[name].stdout.readline()))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return samples, first


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sequences", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=15, help="samples per contender (default 15)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    parser.add_argument(
        "--warm", type=float, default=5.0, help="seconds of training before the first round (default 5)"
    )
    parser.add_argument("--only", default=",".join(CASES), help=f"cases (default {','.join(CASES)})")
    parser.add_argument(
        "--contenders", default="", help="contenders whose name contains one of these texts (default all)"
    )
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*options.serve, options.seconds, options.warm)
    names = [name for name in NAMES if any(text in name for text in options.contenders.split(","))]
    names = [name for name in names if not CONTENDERS[name].missing()]
    for case in options.only.split(","):
        samples, first = measure(case, names, options)
        print(f"\n| {case} | ms | quartiles | × torch/eager | first step, s |\n| --- | ---: | ---: | ---: | ---: |")
        for name in names:
            low, _, high = spread(samples[name])
            times = f"{ratio(samples[name], samples['torch/eager'])[1]:.2f}" if "torch/eager" in samples else "–"
            print(
                f"| {name} | {median(samples[name]):.1f} | {low:.1f} – {high:.1f} | {times} | {first[name]:.2f} |",
                flush=True,
            )
    return None


if __name__ == "__main__":
    main()

"""Peak memory of attention, compared with PyTorch.

``python -m tests.benchmarks.attention_memory [--positions 1024] [--layers 4]``

One forward and one backward pass of layers ``Dense(3 C) – attention`` with 4 causal heads, C = 128 and a batch of 4, in float32.
The number is the largest resident memory of a process less that before the pass. ``products`` is PyTorch with the same products
as ours; ``fused`` is its attention in one kernel, which never holds all weights.
"""

import argparse
import resource
import subprocess
import sys

import numpy as np

BATCH, HEADS, CHANNELS = 4, 4, 128
CONTENDERS = ("anynet", "anynet recompute", "torch products", "torch fused")


def ours(x, layers, recompute):
    from anynet import Dense, SelfAttention, Sequential

    network = Sequential([Dense(3 * CHANNELS), SelfAttention(HEADS, causal=True, recompute=recompute)] * layers)
    params, _ = network.init(np.random.default_rng(0), x.shape[1:])
    params = [{name: value.astype(x.dtype) for name, value in layer.items()} for layer in params]

    def run():
        y, cache = network.forward(params, x)
        network.backward(params, cache, y)

    return run


def theirs(x, layers, fused):
    import torch
    from torch.nn import functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    torch.set_num_threads(1)
    linears = [torch.nn.Linear(CHANNELS, 3 * CHANNELS) for _ in range(layers)]
    x = torch.from_numpy(x).requires_grad_()

    def run():
        y = x
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION if fused else SDPBackend.MATH):
            for linear in linears:
                parts = linear(y).split(CHANNELS, dim=2)
                q, k, v = (a.unflatten(2, (HEADS, -1)).transpose(1, 2) for a in parts)
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        y.backward(y.detach())

    return run


def peak(name, positions, layers):
    """Return the MiB that a forward and a backward pass add to this process."""
    library, _, variant = name.partition(" ")
    x = np.random.default_rng(0).normal(size=(BATCH, positions, CHANNELS)).astype("float32")
    make = ours if library == "anynet" else theirs
    make(x[:, :8], layers, variant in ("recompute", "fused"))()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    make(x, layers, variant in ("recompute", "fused"))()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.attention_memory", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(peak(options.contender, options.positions, options.layers))
        return
    weights = options.layers * BATCH * HEADS * options.positions**2 * 4 / 2**20
    print(f"The weights of all layers have {weights:.0f} MiB.")
    for name in CONTENDERS:
        command = [sys.executable, "-m", "tests.benchmarks.attention_memory", *sys.argv[1:], "--contender", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{name:18}{float(done.stdout):6.0f} MiB")


if __name__ == "__main__":
    main()

"""Time passes through `Module`, next to those through the same layers of PyTorch.

    python -m tests.interop.speed --batch 32 --rounds 2000

The two networks take turns, on one thread. The times are minima.
"""

import argparse
from time import perf_counter

import torch

from anynet import Dense, ReLU
from anynet.interop.torch import Module


def seconds(net, x):
    """Return the time of one forward and one backward pass."""
    start = perf_counter()
    net(x).sum().backward()
    return perf_counter() - start


def main(arguments=None):
    """Print a line for each number of units."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="*", default=[64, 512, 1024])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2000)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for units in options.units:
        ours = Module([Dense(units), ReLU(), Dense(10)], input_shape=units)
        theirs = torch.nn.Sequential(torch.nn.Linear(units, units), torch.nn.ReLU(), torch.nn.Linear(units, 10))
        x = torch.randn(options.batch, units)
        rounds = max(options.rounds * 64 // units, 20)
        times = [[seconds(net, x) for net in (ours, theirs)] for _ in range(rounds)]
        a, b = (min(column) * 1e6 for column in zip(*times, strict=True))
        print(f"{units}-{units}-10, batch {options.batch}: {a:.0f} µs, PyTorch {b:.0f} µs, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()

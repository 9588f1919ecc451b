"""Estimate of the time that sums of gradients take on many nodes; nothing is measured.

    python -m tests.benchmarks.scaling

The model is that of Thakur, Rabenseifner, Gropp (2005), "Optimization of collective communication operations in MPICH",
section 4: a message of n bytes takes α + n/β, and adding n bytes takes nγ. For p nodes,

    ring                   2(p − 1) α + 2 (p − 1)/p n/β + (p − 1)/p nγ
    recursive doubling     log₂ p (α + n/β + nγ)

and the smaller one counts. A step computes, then sums; nothing overlaps. The batch per node stays the same.
"""

import math

GAMMA = 1e-10
"""Seconds per byte to add, at 10 GB/s."""
NETWORKS = {"10 GbE": (30e-6, 1.1e9), "InfiniBand": (2e-6, 11e9), "NVLink": (8e-6, 200e9)}
"""α in seconds and β in bytes per second."""
MODELS = {
    "784-512-512-10, 12 ms a step": (669_706, 0.012),
    "4 layers of 1024, 120 ms": (4_198_400, 0.120),
    "transformer of 10.8 M, 20 ms": (10_800_000, 0.020),
}
"""Number of float32 parameters and seconds of computation per step."""
NODES = (2, 8, 64)


def all_reduce(p, size, alpha, beta):
    """Return the seconds to sum `size` bytes over p nodes."""
    ring = 2 * (p - 1) * alpha + 2 * (p - 1) / p * size / beta + (p - 1) / p * size * GAMMA
    return min(ring, math.log2(p) * (alpha + size / beta + size * GAMMA))


def efficiency(p, parameters, seconds, alpha, beta):
    """Return the fraction of a step that computes."""
    return seconds / (seconds + all_reduce(p, 4 * parameters, alpha, beta))


def table():
    """Return the table of efficiencies in percent, as Markdown."""
    lines = [f"| network on {', '.join(map(str, NODES))} nodes | {' | '.join(NETWORKS)} |", "|---" * 4 + "|"]
    for name, model in MODELS.items():
        cells = [", ".join(f"{100 * efficiency(p, *model, *net):.0f}" for p in NODES) for net in NETWORKS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())

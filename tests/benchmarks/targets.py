"""Targets: ratios to rivals, and whether a run reached them. No test depends on them."""

from dataclasses import dataclass

from .cases import HUGE, LARGE, MEDIUM, SMALL, STEPS, TINY
from .summary import best, ratio

FAST, PLAIN, TORCH, JAX = "anynet/numpy+fast", "anynet/numpy", "anynet/torch", "anynet/jax"
PYTORCH = ("torch/eager", "torch/fused", "torch/compile")
PRODUCTS, EAGER, JIT, SKLEARN = ("products/numpy",), ("torch/eager",), ("jax/jit",), ("sklearn/mlp",)
LIBRARIES = ("torch/eager", "torch/fused", "keras/jax", "keras/torch", "sklearn/mlp", "thinc/numpy")


@dataclass(frozen=True)
class Target:
    """The ratio of ``ours`` to the best of `rivals` in the case `name` must be at most `limit`."""

    name: str
    ours: str
    rivals: tuple[str, ...]
    limit: float


def _steps(ours, rivals, limits, kind="step"):
    return [Target(f"{kind} {network}", ours, rivals, limit) for network, limit in limits.items()]


_ALL = dict.fromkeys((network for network, _ in STEPS), 1.0)
TARGETS = [
    *_steps(FAST, PYTORCH, {TINY: 0.5, SMALL: 0.5, MEDIUM: 0.8, LARGE: 0.85, HUGE: 0.9}),
    *_steps(FAST, PRODUCTS, {MEDIUM: 2.0, LARGE: 1.2, HUGE: 1.08}),
    *_steps(PLAIN, EAGER, _ALL),
    *_steps(JAX, JIT, {TINY: 1.1, SMALL: 1.1, MEDIUM: 1.05, LARGE: 1.05, HUGE: 1.05}),
    *_steps(JAX, JIT, _ALL, "fit"),
    *_steps(JAX, ("jax/jit-resident",), _ALL, "fit"),
    *_steps(TORCH, EAGER, _ALL),
    *(Target("mnist fit", ours, rivals, 0.65) for ours in (FAST, PLAIN) for rivals in (SKLEARN, LIBRARIES)),
    *(Target("mnist whole", ours, LIBRARIES, 0.6) for ours in (FAST, PLAIN)),
    *(Target("mnist memory", ours, SKLEARN, 1.0) for ours in (FAST, PLAIN)),
    Target("predict 60 000 rows", FAST, EAGER, 0.8),
    Target("import", "anynet", ("numpy",), 1.5),
]


def judged(results):
    """Return one dict per target with results: the best rival, and the ratio's quartiles and median."""
    samples = {result.name: result.samples for result in results}
    rows = []
    for target in TARGETS:
        case = samples.get(target.name, {})
        rival = best(case, target.rivals)
        if rival is None or target.ours not in case:
            continue
        low, middle, high = ratio(case[target.ours], case[rival])
        rows.append(
            {
                "case": target.name,
                "ours": target.ours,
                "rival": rival,
                "ratio": middle,
                "quartiles": [low, high],
                "at_most": target.limit,
                "reached": middle <= target.limit,
            }
        )
    return rows

"""Write schedules.json: learning rates of PyTorch's schedulers, in float64.

Run with PyTorch installed (made with 2.13): ``python -m tests.reference.make_schedules``. The tests need only the file.
"""

import json
import math
import warnings
from pathlib import Path

import torch
from torch.optim import lr_scheduler as S


def coslog(steps, cycles):
    """Return the factor of the learning rate as Holzmüller et al. write it, with four cycles."""
    return lambda t: 0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + (2**cycles - 1) * min(t / steps, 1.0)))


def flat_cosine(optimizer, flat, fall, final):
    with warnings.catch_warnings(action="ignore"):  # of its own deprecated argument
        parts = [S.ConstantLR(optimizer, 1.0), S.CosineAnnealingLR(optimizer, fall, final)]
        return S.SequentialLR(optimizer, parts, [flat])


CASES = [
    ("StepDecay", {"initial": 0.5, "every": 7, "factor": 0.3}, 0.5, 40, lambda o: S.StepLR(o, 7, 0.3)),
    ("ExponentialDecay", {"initial": 0.5, "factor": 0.9}, 0.5, 40, lambda o: S.ExponentialLR(o, 0.9)),
    ("PolynomialDecay", {"initial": 0.5, "steps": 30, "power": 2.0}, 0.5, 40, lambda o: S.PolynomialLR(o, 30, 2.0)),
    ("CosineDecay", {"initial": 0.5, "steps": 30, "final": 0.1}, 0.5, 31, lambda o: S.CosineAnnealingLR(o, 30, 0.1)),
    (
        "CosineRestarts",
        {"initial": 0.5, "steps": 7, "final": 0.1},
        0.5,
        40,
        lambda o: S.CosineAnnealingWarmRestarts(o, 7, 1, 0.1),
    ),
    (
        "CosineRestarts",
        {"initial": 0.5, "steps": 7, "factor": 2, "final": 0.1},
        0.5,
        120,
        lambda o: S.CosineAnnealingWarmRestarts(o, 7, 2, 0.1),
    ),
    ("OneCycle", {"peak": 0.5, "steps": 40}, 0.5, 40, lambda o: S.OneCycleLR(o, 0.5, 40, cycle_momentum=False)),
    (
        "OneCycle",
        {"peak": 0.5, "steps": 50, "rise": 0.41, "start": 0.1, "end": 0.001},
        0.5,
        50,
        lambda o: S.OneCycleLR(o, 0.5, 50, pct_start=0.41, div_factor=10, final_div_factor=100, cycle_momentum=False),
    ),
    (
        "Warmup",
        {"after": 0.5, "steps": 10, "start": 0.2},
        0.5,
        20,
        lambda o: S.LinearLR(o, start_factor=0.2, total_iters=10),
    ),
    ("CosLog", {"peak": 0.5, "steps": 60}, 0.5, 70, lambda o: S.LambdaLR(o, coslog(60, 4))),
    ("CosLog", {"peak": 0.5, "steps": 45, "cycles": 3}, 0.5, 46, lambda o: S.LambdaLR(o, coslog(45, 3))),
    ("FlatCosine", {"initial": 0.5, "steps": 30}, 0.5, 31, lambda o: flat_cosine(o, 15, 15, 0.0)),
    (
        "FlatCosine",
        {"initial": 0.5, "steps": 40, "flat": 0.2, "final": 0.1},
        0.5,
        41,
        lambda o: flat_cosine(o, 8, 32, 0.1),
    ),
]

if __name__ == "__main__":
    made = []
    for name, fields, rate, steps, make in CASES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
        scheduler = make(optimizer)
        values = []
        for _ in range(steps):
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step() if len(values) < steps else None
        made.append({"schedule": name, "fields": fields, "values": values})
    Path(__file__).with_name("schedules.json").write_text("[\n" + ",\n".join(map(json.dumps, made)) + "\n]\n")

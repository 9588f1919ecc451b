"""Write optimizers.json: the parameters after some of 50 steps of each optimiser, in float64.

Muon's orthogonalisation, in bfloat16 in PyTorch, is made to run in float64 as all the rest.

Run with PyTorch installed (made with 2.13): ``python -m tests.reference.make_optimizers``. The tests need only the file. What
PyTorch does not have, Lion and SGD with decoupled decay, is written here in plain NumPy from the papers.
"""

import json
from pathlib import Path

import numpy as np
import torch

from tests.reference.problem import FIRST, KEPT, STEPS, gradient

torch.set_default_dtype(torch.float64)
torch.Tensor.bfloat16 = lambda self: self.clone()


def by_torch(make):
    """Follow an optimiser of PyTorch, which has matrices as (out, in)."""
    weights = {name: torch.tensor(value.T.copy(), requires_grad=True) for name, value in FIRST.items()}
    optimizer = make(list(weights.values()))
    kept = {}
    for step in range(STEPS):
        for name, p in weights.items():
            p.grad = torch.tensor(gradient(name, p.detach().numpy().T, step).T.copy())
        optimizer.step()
        if step + 1 in KEPT:
            kept[step + 1] = {name: p.detach().numpy().T.tolist() for name, p in weights.items()}
    return kept


def by_formula(rule):
    """Follow a rule ``rule(p, g, memory) -> p, memory``."""
    weights, memory, kept = dict(FIRST), dict.fromkeys(FIRST, 0.0), {}
    for step in range(STEPS):
        for name, p in weights.items():
            weights[name], memory[name] = rule(p, gradient(name, p, step), memory[name])
        if step + 1 in KEPT:
            kept[step + 1] = {name: p.tolist() for name, p in weights.items()}
    return kept


def lion(p, g, m):
    """Chen et al. (2023), algorithm 2, line by line; β₁ 0.9, β₂ 0.99, λ 0.1, η 0.03."""
    c = 0.9 * m + (1 - 0.9) * g
    new = p - 0.03 * (np.sign(c) + 0.1 * p)
    return new, 0.99 * m + (1 - 0.99) * g


def sgdw(p, g, m):
    """Loshchilov, Hutter (2019), algorithm 1, with the decay times α; α 0.05, β₁ 0.9, λ 0.1."""
    m = 0.9 * m + 0.05 * g
    return p - m - 0.05 * 0.1 * p, m


optim = torch.optim


class Muon:
    """PyTorch's Muon for the matrix, its AdamW for the vector."""

    def __init__(self, params, **fields):
        self.parts = [optim.Muon([p for p in params if p.ndim == 2], **fields)]
        self.parts.append(optim.AdamW([p for p in params if p.ndim < 2]))

    def step(self):
        for part in self.parts:
            part.step()


TORCH = [
    ("SGD", {}, lambda p: optim.SGD(p, lr=0.01)),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.1}, lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1)),
    ("SGD", {"momentum": 0.9}, lambda p: optim.SGD(p, lr=0.01, momentum=0.9)),
    ("SGD", {"momentum": 0.9, "nesterov": True}, lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, lambda p: optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1)),
    (
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    ("Adam", {}, optim.Adam),
    (
        "Adam",
        {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 0.1},
        lambda p: optim.Adam(p, lr=0.1, betas=(0.8, 0.9), eps=0.1),
    ),
    (
        "Adam",
        {"learning_rate": 0.1, "amsgrad": True, "beta2": 0.8},
        lambda p: optim.Adam(p, 0.1, (0.9, 0.8), amsgrad=True),
    ),
    ("AdamW", {}, optim.AdamW),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.3}, lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.3)),
    (
        "AdamW",
        {"learning_rate": 0.1, "amsgrad": True, "beta2": 0.8},
        lambda p: optim.AdamW(p, 0.1, (0.9, 0.8), amsgrad=True),
    ),
    ("RMSprop", {}, optim.RMSprop),
    ("RMSprop", {"rho": 0.9, "momentum": 0.5}, lambda p: optim.RMSprop(p, alpha=0.9, momentum=0.5)),
    ("RMSprop", {"centered": True}, lambda p: optim.RMSprop(p, centered=True)),
    ("RMSprop", {"centered": True, "momentum": 0.5}, lambda p: optim.RMSprop(p, centered=True, momentum=0.5)),
    ("Adagrad", {"learning_rate": 0.1}, lambda p: optim.Adagrad(p, lr=0.1)),
    ("Adadelta", {}, optim.Adadelta),
    ("Nadam", {}, optim.NAdam),
    (
        "Nadam",
        {"learning_rate": 0.1, "beta1": 0.8, "momentum_decay": 0.1},
        lambda p: optim.NAdam(p, lr=0.1, betas=(0.8, 0.999), momentum_decay=0.1),
    ),
    ("Muon", {}, Muon),
    ("Muon", {"learning_rate": 0.1, "nesterov": False}, lambda p: Muon(p, lr=0.1, nesterov=False)),
    (
        "Muon",
        {"learning_rate": 0.02, "momentum": 0.8, "weight_decay": 0.0, "match_adamw": True, "iterations": 3},
        lambda p: Muon(p, lr=0.02, momentum=0.8, weight_decay=0.0, adjust_lr_fn="match_rms_adamw", ns_steps=3),
    ),
    ("RAdam", {}, optim.RAdam),
    ("RAdam", {"learning_rate": 0.1, "beta2": 0.9}, lambda p: optim.RAdam(p, lr=0.1, betas=(0.9, 0.9))),
]
FORMULA = [
    ("Lion", {"learning_rate": 0.03, "weight_decay": 0.1}, lion),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.1, "decoupled": True}, sgdw),
]

if __name__ == "__main__":
    made = [{"optimizer": name, "fields": fields, "params": by_torch(make)} for name, fields, make in TORCH]
    made += [{"optimizer": name, "fields": fields, "params": by_formula(rule)} for name, fields, rule in FORMULA]
    Path(__file__).with_name("optimizers.json").write_text("[\n" + ",\n".join(map(json.dumps, made)) + "\n]\n")

"""RealMLP in PyTorch, in its own parametrization: ``python -m tests.reference.make_ntk`` writes ntk.json.

Made with PyTorch 2.13, in float64. A layer of I inputs is x W/√I + b with W, b ~ N(0, 1), as Holzmüller, Grinsztajn, Steinwart
(2024) define it. The first entry is RealMLP-TD-S, the second RealMLP-TD without dropout: with PBLD embeddings, learned mixtures
of activation and identity, and decay of the weights on flat_cos. Each is trained for eight steps, with
the learning rate on coslog4.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.reference import write
from tests.reference.make_number_embeddings import PBLD

COLUMNS, UNITS, CLASSES, STEPS, EPSILON = 4, 6, 3, 8, 1e-3
ETA, DECAY = 0.04, 0.02


class NTK(nn.Module):
    def __init__(self, inputs, outputs, zero=False):
        super().__init__()
        make = torch.zeros if zero else torch.randn
        self.weight, self.bias = nn.Parameter(make(inputs, outputs)), nn.Parameter(make(outputs))

    def forward(self, x):
        return x @ self.weight / math.sqrt(x.shape[1]) + self.bias


class Scale(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x):
        return x * self.weight


class Mixture(nn.Module):
    def __init__(self, f, units):
        super().__init__()
        self.f, self.alpha = f, nn.Parameter(torch.ones(units))

    def forward(self, x):
        return (1 - self.alpha) * x + self.alpha * self.f(x)


class SELU(nn.Module):
    def forward(self, x):
        return F.selu(x)


def td_s():
    blocks = [part for inputs in (COLUMNS, UNITS) for part in (NTK(inputs, UNITS), SELU())]
    return nn.Sequential(Scale(COLUMNS), *blocks, NTK(UNITS, CLASSES, zero=True))


def td():
    wide = 4 * COLUMNS
    blocks = [part for inputs in (wide, UNITS) for part in (NTK(inputs, UNITS), Mixture(SELU(), UNITS))]
    embedding = nn.Sequential(PBLD(COLUMNS, 5, 4), nn.Flatten(1), Scale(wide))
    return nn.Sequential(*embedding, *blocks, NTK(UNITS, CLASSES, zero=True))


def groups(network, decay):
    """Return one group of parameters per factor of the learning rate; the matrices alone decay."""
    for module in network.modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, NTK):
            yield {"params": [own["weight"]], "factor": 1.0, "decay": decay}
            yield {"params": [own["bias"]], "factor": 0.1, "decay": 0.0}
        elif own:
            factor = {Scale: 6.0, Mixture: 0.1, PBLD: 0.1}[type(module)]
            yield {"params": list(own.values()), "factor": factor, "decay": 0.0}


def coslog4(t):
    return 0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + 15 * t))


def flat_cos(t):
    return 1.0 if t < 0.5 else 0.5 + 0.5 * math.cos(math.pi * (2 * t - 1))


def entry(name, network, decay):
    optimizer = torch.optim.AdamW([{"lr": 0.0, **g} for g in groups(network, decay)], betas=(0.9, 0.95), eps=EPSILON)
    before = {key: p.tolist() for key, p in network.named_parameters()}
    x, y, losses = torch.randn(10, COLUMNS), torch.arange(10) % CLASSES, []
    for step in range(STEPS):
        t = step / STEPS
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = ETA * group["factor"] * coslog4(t), group["decay"] * flat_cos(t)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    trained = {key: p.tolist() for key, p in network.named_parameters()}
    return {"name": name, "params": before, "x": x.tolist(), "y": y.tolist(), "losses": losses, "trained": trained}


def entries():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        yield entry("TD-S", td_s(), 0.0)
        yield entry("TD", td(), DECAY)
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    write("ntk", list(entries()))

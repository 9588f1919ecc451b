"""Embeddings of numbers by PyTorch: ``python -m tests.reference.make_number_embeddings`` writes number_embeddings.json.

Made with PyTorch 2.13 and rtdl_num_embeddings 0.0.12, in float64: its piecewise linear embeddings of version B, and
PBLD embeddings as Holzmüller et al. (2024) define them, with autograd.
"""

import warnings

import torch
from torch import nn

from tests.reference import write


class PBLD(nn.Module):
    """A number with a linear map of the cosines of x w 2π + φ."""

    def __init__(self, columns, frequencies, features):
        super().__init__()
        self.frequency = nn.Parameter(0.5 * torch.randn(columns, frequencies))
        self.phase = nn.Parameter(torch.pi * (2 * torch.rand(columns, frequencies) - 1))
        self.weight = nn.Parameter(torch.randn(columns, frequencies, features - 1))
        self.bias = nn.Parameter(torch.randn(columns, features - 1))

    def forward(self, x):
        cosines = torch.cos(2 * torch.pi * x[:, :, None] * self.frequency + self.phase)
        return torch.cat([x[:, :, None], torch.einsum("nfh,fhd->nfd", cosines, self.weight) + self.bias], dim=-1)


def entry(name, module, x):
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * torch.randn_like(p)
    x = x.clone().requires_grad_()
    y = module(x)
    dy = torch.randn_like(y)
    y.backward(dy)
    return {
        "name": name,
        "params": {key: p.tolist() for key, p in module.named_parameters()},
        "x": x.tolist(),
        "y": y.tolist(),
        "dy": dy.tolist(),
        "dx": x.grad.tolist(),
        "grads": {key: p.grad.tolist() for key, p in module.named_parameters()},
    }


def entries():
    import rtdl_num_embeddings  # the script of ntk.json, which needs PBLD alone, does without it

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        yield entry("PeriodicEmbedding", PBLD(3, 5, 4), torch.randn(6, 3))
        edges = [torch.tensor([-1.0, 0.0, 0.5, 2.0]), torch.tensor([-0.5, 1.0]), torch.tensor([-2.0, -1.0, 1.5])]
        for bins in (edges, [edges[0], edges[0] + 0.2]):
            with warnings.catch_warnings(action="ignore"):  # of the column with one bin
                embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(bins, 4, activation=False, version="B")
            x = torch.cat([torch.linspace(-3, 3, 9)[:, None] + 0.01, torch.randn(9, len(bins) - 1)], dim=1)
            yield {"edges": [b.tolist() for b in bins], **entry("PiecewiseLinear", embeddings, x)}
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    write("number_embeddings", list(entries()))

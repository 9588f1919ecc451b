"""Passes and training of TabM: ``python -m tests.reference.make_members`` writes members.json.

Made with PyTorch 2.13 and tabm 0.0.3, in float64. The first entries have the parameters of a module, a batch, and outputs and
gradients by autograd; the last ones a whole TabM, trained by AdamW for three steps, each member by its own loss.
"""

import tabm
import torch
import torch.nn.functional as F
from torch import nn

from tests.reference import write

N, K = 5, 3


def entry(name, module, x):
    """Return the passes of a module, with parameters moved away from ones and zeros."""
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


class View(nn.Module):
    """The first adapter of TabM-mini, with the view of each member."""

    def __init__(self, features):
        super().__init__()
        self.view = tabm.EnsembleView(k=K)
        self.affine = tabm.ElementwiseAffine((K, features), bias=False, scaling_init="random-signs")

    def forward(self, x):
        return self.affine(self.view(x))


def training(arch_type):
    """Return the losses and the parameters of a small TabM before and after three steps."""
    net = tabm.TabM.make(n_num_features=4, d_out=3, k=K, n_blocks=2, d_block=6, dropout=0.0, arch_type=arch_type)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=3e-4)
    before = {key: p.tolist() for key, p in net.named_parameters()}
    x, y, losses = torch.randn(8, 4), torch.arange(8) % 3, []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x).flatten(0, 1), y.repeat_interleave(K))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {
        "name": arch_type,
        "params": before,
        "x": x.tolist(),
        "y": y.tolist(),
        "losses": losses,
        "trained": {key: p.tolist() for key, p in net.named_parameters()},
        "probabilities": net(x).softmax(-1).mean(1).tolist(),
    }


def entries():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        yield entry("Members", View(4), torch.randn(N, 4))
        yield entry("BatchEnsemble", tabm.LinearBatchEnsemble(4, 6, k=K, scaling_init="ones"), torch.randn(N, K, 4))
        yield entry("EachDense", tabm.LinearEnsemble(4, 2, k=K), torch.randn(N, K, 4))
        yield training("tabm")
        yield training("tabm-mini")
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    write("members", list(entries()))

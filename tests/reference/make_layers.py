"""Outputs and gradients of layers by PyTorch: ``python -m tests.reference.make_layers`` writes layers.json.

Each row is one of ours, what PyTorch calls it, and inputs.
"""

import numpy as np
import torch
from torch.nn import functional as F

from tests.reference import write

X = np.random.default_rng(0).normal(size=(3, 4)) * 3.0
ROWS = [
    ("Identity()", lambda x: x * 1.0, X),
    ("Sigmoid()", torch.sigmoid, X),
    ("Tanh()", torch.tanh, X),
    ("ReLU()", F.relu, X),
    ("ReLU()", F.relu, np.array([[-1.0, 0.0, 0.0, 2.0]])),
    ("Softmax()", lambda x: F.softmax(x, -1), X),
    ("LogSoftmax()", lambda x: F.log_softmax(x, -1), X),
    ("Flatten()", lambda x: torch.flatten(x, 1), X.reshape(3, 2, 2)),
]


def entries():
    """Yield what each row comes to, in float64, with the gradient of Σ y · cos(0, 1, 2, …)."""
    for ours, theirs, inputs in ROWS:
        x = torch.tensor(inputs, requires_grad=True)
        y = theirs(x)
        v = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
        y.backward(v)
        yield {"layer": ours, "x": inputs.tolist(), "y": y.tolist(), "dx": x.grad.tolist()}


if __name__ == "__main__":
    write("layers", entries())

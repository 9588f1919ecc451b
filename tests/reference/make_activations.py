"""Values and slopes of activations by PyTorch: ``python -m tests.reference.make_activations`` writes activations.json."""

import torch
from torch.nn import functional as F

from tests.reference import write

X = [-20.0, -11.0, -8.0, -5.6, -4.9, -3.0, -1.0, -0.1, 0.1, 1.0, 3.0, 4.9, 5.6, 6.0, 8.0, 11.0, 20.0]
ROWS = [
    ("Sigmoid()", torch.sigmoid),
    ("Tanh()", torch.tanh),
    ("ReLU()", F.relu),
    ("LeakyReLU(0.1)", lambda x: F.leaky_relu(x, 0.1)),
    ("ELU()", F.elu),
    ("SELU()", F.selu),
    ("GELU()", F.gelu),
    ("GELU('tanh')", lambda x: F.gelu(x, approximate="tanh")),
    ("SiLU()", F.silu),
    ("Softplus()", lambda x: F.softplus(x, threshold=100.0)),
    ("Mish()", F.mish),
]


def entries():
    """Yield what each row comes to, in float64."""
    for ours, theirs in ROWS:
        x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
        y = theirs(x)
        y.sum().backward()
        yield {"layer": ours, "x": X, "y": y.tolist(), "slope": x.grad.tolist()}


if __name__ == "__main__":
    write("activations", entries())

"""Write losses.json: values and gradients of losses as PyTorch computes them in float64.

Run with PyTorch installed (made with 2.13): ``python tests/reference/make_losses.py``. The tests need only the file. Losses
that PyTorch does not have are written here with its elementary functions and its autograd.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

N, C = 6, 4
numbers, targets = 2.0 * torch.randn(N, C), 2.0 * torch.randn(N, C)
logits = 3.0 * torch.randn(N, C)
labels = torch.tensor([0, 3, 1, 1, 2, 0])
rows = torch.softmax(torch.randn(N, C), 1)
answers = torch.tensor([[0.0, 1.0, 1.0, 0.0]] * 3 + [[1.0, 0.0, 0.0, 1.0]] * 3)
counts = torch.poisson(torch.full((N, C), 2.0))
class_weight = [0.5, 2.0, 1.0, 0.0]
pos_weight = [0.5, 2.0, 1.0, 3.0]
signs = 2.0 * answers - 1.0


def focal(z, y, gamma, alpha):
    p = torch.sigmoid(z)
    p_t = y * p + (1 - y) * (1 - p)
    a = 1.0 if alpha is None else y * alpha + (1 - y) * (1 - alpha)
    return (a * (1 - p_t) ** gamma * F.binary_cross_entropy_with_logits(z, y, reduction="none")).mean()


def gaussian(z, y, log_variance=True):
    mean, s = z.chunk(2, -1)
    return F.gaussian_nll_loss(mean, y, (s.exp() if log_variance else s) + 1e-6, eps=1e-30)


def pinball(z, y, levels):
    errors = [y - part for part in z.chunk(len(levels), -1)]
    return torch.cat([torch.max(t * e, (t - 1) * e) for t, e in zip(levels, errors, strict=True)], -1).mean()


W, P = torch.tensor(class_weight), torch.tensor(pos_weight)
CASES = [
    ("MeanAbsoluteError", {}, numbers, targets, F.l1_loss),
    ("MeanSquaredError", {}, numbers, targets, F.mse_loss),
    ("HalfSquaredError", {}, numbers, targets, lambda z, y: 0.5 * F.mse_loss(z, y, reduction="sum") / N),
    ("Huber", {}, numbers, targets, F.huber_loss),
    ("Huber", {"delta": 0.3}, numbers, targets, lambda z, y: F.huber_loss(z, y, delta=0.3)),
    ("LogCosh", {}, numbers, targets, lambda z, y: torch.log(torch.cosh(z - y)).mean()),
    ("Poisson", {}, numbers, counts, F.poisson_nll_loss),
    ("Poisson", {"log_input": False}, numbers.exp(), counts, lambda z, y: F.poisson_nll_loss(z, y, log_input=False)),
    ("KLDivergence", {}, torch.log_softmax(logits, 1), rows, lambda z, y: F.kl_div(z, y, reduction="batchmean")),
    (
        "KLDivergence",
        {},
        torch.log_softmax(logits, 1),
        F.one_hot(labels, C).double(),
        lambda z, y: F.kl_div(z, y, reduction="batchmean"),
    ),
    ("Hinge", {}, numbers, answers, lambda z, y: torch.relu(1 - z * signs).mean()),
    ("Hinge", {}, numbers, signs, lambda z, y: torch.relu(1 - z * y).mean()),
    ("FocalLoss", {}, logits, answers, lambda z, y: focal(z, y, 2.0, 0.25)),
    ("FocalLoss", {"gamma": 0.5, "alpha": None}, logits, answers, lambda z, y: focal(z, y, 0.5, None)),
    ("FocalLoss", {"gamma": 0.0, "alpha": 0.5}, logits, rows, lambda z, y: focal(z, y, 0.0, 0.5)),
    ("FocalLoss", {"gamma": 1.5}, logits, rows, lambda z, y: focal(z, y, 1.5, 0.25)),
    ("SoftmaxCrossEntropy", {}, logits, labels, F.cross_entropy),
    ("SoftmaxCrossEntropy", {}, logits, rows, F.cross_entropy),
]
for y in (labels, rows):
    for smoothing, weight in ((0.1, None), (0.0, W), (0.2, W)):
        CASES.append(
            (
                "SoftmaxCrossEntropy",
                {"label_smoothing": smoothing, "class_weight": None if weight is None else class_weight},
                logits,
                y,
                lambda z, y, s=smoothing, w=weight: F.cross_entropy(z, y, weight=w, label_smoothing=s),
            )
        )
probabilities = torch.softmax(logits, 1)
CASES += [
    ("CategoricalCrossEntropy", {}, probabilities, labels, lambda p, y: F.nll_loss(p.log(), y)),
    (
        "CategoricalCrossEntropy",
        {"class_weight": class_weight},
        probabilities,
        labels,
        lambda p, y: F.nll_loss(p.log(), y, weight=W),
    ),
    ("SigmoidCrossEntropy", {}, logits, answers, F.binary_cross_entropy_with_logits),
    (
        "SigmoidCrossEntropy",
        {"pos_weight": pos_weight},
        logits,
        rows,
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=P),
    ),
    ("BinaryCrossEntropy", {}, probabilities, answers, F.binary_cross_entropy),
    ("GaussianNLL", {}, numbers, targets[:, :2], gaussian),
    ("GaussianNLL", {"log_variance": False}, numbers.exp(), targets[:, :2], lambda z, y: gaussian(z, y, False)),
    ("Quantile", {"levels": [0.1, 0.9]}, numbers, targets[:, :2], lambda z, y: pinball(z, y, [0.1, 0.9])),
    ("Quantile", {"levels": 0.3}, numbers, targets, lambda z, y: pinball(z, y, [0.3])),
]

made = []
for name, fields, y_pred, y_true, function in CASES:
    z = y_pred.clone().requires_grad_()
    value = function(z, y_true)
    value.backward()
    made.append(
        {
            "loss": name,
            "fields": fields,
            "y_pred": y_pred.tolist(),
            "y_true": y_true.tolist(),
            "value": value.item(),
            "gradient": z.grad.tolist(),
        }
    )
Path(__file__).with_name("losses.json").write_text("[\n" + ",\n".join(map(json.dumps, made)) + "\n]\n")

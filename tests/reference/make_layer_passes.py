"""Forward and backward passes of layers by PyTorch: ``python -m tests.reference.make_layer_passes`` writes layer_passes.json.

Made with PyTorch 2.13, in float64. Images and weights are kept in anynet's order, channels last; what is compared is PyTorch's
own functions and its autograd.
"""

import warnings

import torch
import torch.nn.functional as F

from tests.reference import write

GENERATOR = torch.Generator().manual_seed(0)


def image(x):
    return x.permute(0, 3, 1, 2)


def back(y):
    return y.permute(0, 2, 3, 1)


def conv2d(pads=(0, 0, 0, 0), **options):
    """Return a convolution; `pads` are left, right, above and below, as F.pad has them."""

    def f(x, weight, bias=None):
        with warnings.catch_warnings(action="ignore"):  # "same" with an even window copies its input
            return back(F.conv2d(F.pad(image(x), pads), weight.permute(3, 2, 0, 1), bias, **options))

    return f


def conv1d(pads=(0, 0), **options):
    def f(x, weight, bias=None):
        return F.conv1d(F.pad(x.permute(0, 2, 1), pads), weight.permute(2, 1, 0), bias, **options).permute(0, 2, 1)

    return f


def batch_norm(training, momentum=0.1, eps=1e-5):
    def f(x, weight, bias, running_mean, running_var):
        y = x.movedim(-1, 1)
        return F.batch_norm(y, running_mean, running_var, weight, bias, training, momentum, eps).movedim(1, -1)

    return f


def randn(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def affine(c):
    return {"weight": 1 + 0.3 * randn(c), "bias": randn(c)}


def normal_params(c):
    return {
        **affine(c),
        "running_mean": randn(c),
        "running_var": torch.rand(c, generator=GENERATOR, dtype=torch.float64) + 0.5,
    }


def kernel(*shape, bias=True):
    return {"weight": randn(*shape)} | ({"bias": randn(shape[-1])} if bias else {})


def lstm(sequences=True, reverse=False):
    """Return PyTorch's LSTM, run on the flipped sequence for `reverse`, with its second bias at zero."""

    def f(x, weight, recurrent_weight, bias):
        h = torch.zeros(1, x.shape[0], recurrent_weight.shape[0], dtype=x.dtype)
        flat = [weight.mT, recurrent_weight.mT, bias, torch.zeros_like(bias)]
        y, last, _ = torch.lstm(x.flip(1) if reverse else x, (h, h), flat, True, 1, 0.0, False, False, True)
        return (y.flip(1) if reverse else y) if sequences else last[0]

    return f


def gru(sequences=True, reverse=False):
    def f(x, weight, recurrent_weight, bias, recurrent_bias):
        h = torch.zeros(1, x.shape[0], recurrent_weight.shape[0], dtype=x.dtype)
        second = torch.cat([torch.zeros(2 * h.shape[2], dtype=x.dtype), recurrent_bias])
        flat = [weight.mT, recurrent_weight.mT, bias, second]
        y, last = torch.gru(x.flip(1) if reverse else x, h, flat, True, 1, 0.0, False, False, True)
        return (y.flip(1) if reverse else y) if sequences else last[0]

    return f


def recurrent(inputs, units, gates, **more):
    parts = {
        "weight": randn(inputs, gates * units),
        "recurrent_weight": randn(units, gates * units),
        "bias": randn(gates * units),
    }
    return parts | {name: randn(*shape) for name, shape in more.items()}


def attention(heads, causal=False):
    """Return PyTorch's multi-head attention without projections."""

    def f(x):
        q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in x.chunk(3, 2))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)

    return f


line = torch.cat(
    [
        torch.linspace(-8, 8, 21, dtype=torch.float64),
        torch.tensor([-40.0, -20.0, -1e-3, -1e-8, 1e-8, 20.5, 300.0], dtype=torch.float64),
    ]
)[None]
CASES = [
    ("LeakyReLU()", line, {}, F.leaky_relu),
    ("LeakyReLU(0.3)", line, {}, lambda x: F.leaky_relu(x, 0.3)),
    ("PReLU()", randn(3, 4), {"weight": randn(1)}, lambda x, weight: F.prelu(x, weight)),
    ("PReLU(per_channel=True)", randn(3, 4), {"weight": randn(4)}, lambda x, weight: F.prelu(x, weight)),
    ("ELU()", line, {}, F.elu),
    ("ELU(0.5)", line, {}, lambda x: F.elu(x, 0.5)),
    ("SELU()", line, {}, F.selu),
    ("GELU()", line, {}, F.gelu),
    ("GELU('tanh')", line, {}, lambda x: F.gelu(x, approximate="tanh")),
    ("SiLU()", line, {}, F.silu),
    ("Softplus()", line, {}, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    ("Mish()", line, {}, F.mish),
    ("LayerNorm()", randn(3, 5), affine(5), lambda x, weight, bias: F.layer_norm(x, (5,), weight, bias)),
    (
        "LayerNorm(epsilon=0.1)",
        randn(2, 3, 4),
        affine(4),
        lambda x, weight, bias: F.layer_norm(x, (4,), weight, bias, 0.1),
    ),
    (
        "RMSNorm()",
        randn(2, 3, 4),
        {"weight": 1 + 0.3 * randn(4)},
        lambda x, weight: F.rms_norm(x, (4,), weight, 1e-5),
    ),
    ("BatchNorm()", 3 * randn(6, 4) + 1, normal_params(4), batch_norm(True), True),
    ("BatchNorm()", randn(6, 4), normal_params(4), batch_norm(False), False),
    (
        "BatchNorm(momentum=0.3, epsilon=0.01)",
        randn(3, 2, 2, 3),
        normal_params(3),
        batch_norm(True, 0.3, 0.01),
        True,
    ),
    (
        "BatchNorm(momentum=0.3, epsilon=0.01)",
        randn(3, 2, 2, 3),
        normal_params(3),
        batch_norm(False, 0.3, 0.01),
        False,
    ),
    ("BatchNorm()", randn(3, 4, 2), normal_params(2), batch_norm(True), True),
    ("Conv2D(3, 3)", randn(2, 5, 4, 2), kernel(3, 3, 2, 3), conv2d()),
    ("Conv2D(2, 1, use_bias=False)", randn(2, 3, 3, 4), kernel(1, 1, 4, 2, bias=False), conv2d()),
    ("Conv2D(2, (2, 3), stride=2)", randn(2, 5, 6, 2), kernel(2, 3, 2, 2), conv2d(stride=2)),
    ("Conv2D(2, 3, stride=(3, 1))", randn(1, 7, 4, 2), kernel(3, 3, 2, 2), conv2d(stride=(3, 1))),
    ("Conv2D(3, 2, stride=3, padding=1)", randn(1, 6, 5, 2), kernel(2, 2, 2, 3), conv2d(stride=3, padding=1)),
    ("Conv2D(3, 3, padding='same')", randn(2, 4, 5, 2), kernel(3, 3, 2, 3), conv2d(padding="same")),
    ("Conv2D(3, (2, 4), padding='same')", randn(1, 4, 5, 2), kernel(2, 4, 2, 3), conv2d(padding="same")),
    (
        "Conv2D(2, 3, padding='same', dilation=2)",
        randn(1, 5, 5, 2),
        kernel(3, 3, 2, 2),
        conv2d(padding="same", dilation=2),
    ),
    (
        "Conv2D(2, 3, stride=2, padding='same')",
        randn(1, 4, 5, 2),
        kernel(3, 3, 2, 2),
        conv2d(stride=2, pads=(1, 1, 0, 1)),
    ),
    (
        "Conv2D(2, 3, stride=2, padding=(2, 1))",
        randn(1, 4, 5, 2),
        kernel(3, 3, 2, 2),
        conv2d(stride=2, padding=(2, 1)),
    ),
    (
        "Conv2D(2, 2, padding=((3, 0), (1, 2)), dilation=(2, 1))",
        randn(1, 4, 4, 2),
        kernel(2, 2, 2, 2),
        conv2d(dilation=(2, 1), pads=(1, 2, 3, 0)),
    ),
    ("Conv2D(4, 3, groups=2)", randn(2, 4, 4, 6), kernel(3, 3, 3, 4), conv2d(groups=2)),
    ("Conv2D(6, 3, groups=3, padding=1)", randn(2, 3, 4, 3), kernel(3, 3, 1, 6), conv2d(groups=3, padding=1)),
    (
        "Conv2D(4, (3, 2), stride=2, padding=2, dilation=2, groups=2)",
        randn(1, 6, 5, 4),
        kernel(3, 2, 2, 4),
        conv2d(stride=2, padding=2, dilation=2, groups=2),
    ),
    ("Conv1D(3, 3)", randn(2, 6, 2), kernel(3, 2, 3), conv1d()),
    (
        "Conv1D(4, 2, stride=2, padding=(2, 1), dilation=2, groups=2)",
        randn(2, 6, 4),
        kernel(2, 2, 4),
        conv1d(stride=2, dilation=2, groups=2, pads=(2, 1)),
    ),
    ("Conv1D(2, 4, padding='same')", randn(2, 5, 2), kernel(4, 2, 2), conv1d(padding="same")),
    ("MaxPool2D(2)", randn(2, 5, 4, 2), {}, lambda x: back(F.max_pool2d(image(x), 2))),
    ("MaxPool2D((3, 2), stride=1)", randn(1, 4, 4, 2), {}, lambda x: back(F.max_pool2d(image(x), (3, 2), 1))),
    ("MaxPool2D(3, stride=2, padding=1)", randn(1, 5, 6, 2), {}, lambda x: back(F.max_pool2d(image(x), 3, 2, 1))),
    ("MaxPool2D(2)", torch.ones(1, 4, 4, 1, dtype=torch.float64), {}, lambda x: back(F.max_pool2d(image(x), 2))),
    ("AvgPool2D(2)", randn(2, 5, 4, 2), {}, lambda x: back(F.avg_pool2d(image(x), 2))),
    ("AvgPool2D((2, 3), stride=(1, 2))", randn(1, 4, 5, 2), {}, lambda x: back(F.avg_pool2d(image(x), (2, 3), (1, 2)))),
    ("AvgPool2D(3, stride=2, padding=1)", randn(1, 5, 6, 2), {}, lambda x: back(F.avg_pool2d(image(x), 3, 2, 1))),
    ("GlobalAvgPool2D()", randn(2, 3, 4, 2), {}, lambda x: x.mean((1, 2))),
    (
        "Embedding(4, 3)",
        torch.tensor([[0, 3], [3, 1], [3, 0]]),
        {"weight": randn(4, 3)},
        lambda x, weight: F.embedding(x, weight),
    ),
    ("MaxPool1D(2)", randn(2, 5, 2), {}, lambda x: F.max_pool1d(x.mT, 2).mT),
    ("MaxPool1D(3, stride=2, padding=(1, 1))", randn(1, 6, 2), {}, lambda x: F.max_pool1d(x.mT, 3, 2, 1).mT),
    ("AvgPool1D(3, stride=1)", randn(2, 5, 2), {}, lambda x: F.avg_pool1d(x.mT, 3, 1).mT),
    ("AvgPool1D(3, stride=2, padding=1)", randn(1, 6, 2), {}, lambda x: F.avg_pool1d(x.mT, 3, 2, 1).mT),
    ("GlobalAvgPool1D()", randn(2, 3, 4), {}, lambda x: x.mean(1)),
    ("Dense(3)", randn(2, 3, 4), kernel(4, 3), lambda x, weight, bias: F.linear(x, weight.mT, bias)),
    ("LSTM(3)", randn(2, 5, 4), recurrent(4, 3, 4), lstm()),
    ("LSTM(3, sequences=False)", randn(2, 5, 4), recurrent(4, 3, 4), lstm(sequences=False)),
    ("LSTM(2, reverse=True)", randn(2, 4, 3), recurrent(3, 2, 4), lstm(reverse=True)),
    ("GRU(3)", randn(2, 5, 4), recurrent(4, 3, 3, recurrent_bias=(3,)), gru()),
    ("GRU(3, sequences=False)", randn(2, 5, 4), recurrent(4, 3, 3, recurrent_bias=(3,)), gru(sequences=False)),
    ("GRU(2, reverse=True)", randn(2, 4, 3), recurrent(3, 2, 3, recurrent_bias=(2,)), gru(reverse=True)),
    ("SelfAttention(2)", randn(2, 5, 12), {}, attention(2)),
    ("SelfAttention(3, causal=True)", randn(2, 5, 18), {}, attention(3, causal=True)),
    ("SelfAttention(3, causal=True, recompute=True)", randn(2, 5, 18), {}, attention(3, causal=True)),
]

BUFFERS = ("running_mean", "running_var")


def run(layer, x, params, f, training=False):
    x = x.clone()
    params = {name: p.clone() for name, p in params.items()}
    before = {name: p.tolist() for name, p in params.items()}
    trained = {name: p.requires_grad_() for name, p in params.items() if name not in BUFFERS}
    inputs = [x.requires_grad_()] if x.is_floating_point() else []
    y = f(x, **params)
    dy = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
    found = torch.autograd.grad(y, [*inputs, *trained.values()], dy)
    return {
        "layer": layer,
        "training": training,
        "x": x.tolist(),
        "params": before,
        "dy": dy.tolist(),
        "y": y.tolist(),
        **({"dx": found[0].tolist()} if inputs else {}),
        "grads": {name: g.tolist() for name, g in zip(trained, found[len(inputs) :], strict=True)},
        "buffers": {name: p.tolist() for name, p in params.items() if name in BUFFERS},
    }


def entries():
    """Yield each row, run."""
    for case in CASES:
        yield run(*case)


if __name__ == "__main__":
    write("layer_passes", entries())

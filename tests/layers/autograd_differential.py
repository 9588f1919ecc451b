"""Random networks: our backward against torch.autograd of our forward.

    python -m tests.layers.autograd_differential --networks 500 --seed 0

Each network is checked in float64, where both must agree to 1e-8, and in float16 and bfloat16. There both run in 16 bits,
and may differ by 2 % of the norm of all gradients; where that is less than rounding costs autograd itself, ours must be as
near to the gradients of float64 as autograd's are. Networks with `MaxPool2D` are checked in float64 alone: rounded to 16
bits, two numbers of a window are often equal, and autograd then shares the gradient between them where we, like PyTorch's own
max-pooling, take the first. Networks are a function of the seed and their number.
"""

import argparse
import sys

import numpy as np

import anynet
from anynet import tree
from tests.tools import away_from_zero, cast, fetch, key, place

LIMITS = {"float64": 1e-8, "float16": 0.02, "bfloat16": 0.02}


def activation(rng):
    """Return a layer that any shape goes through."""
    names = "ReLU LeakyReLU PReLU ELU SELU GELU SiLU Softplus Mish Sigmoid Tanh Softmax LogSoftmax BatchNorm LayerNorm RMSNorm"
    more = [anynet.Dropout(0.3), anynet.AlphaDropout(0.2), anynet.GaussianNoise(0.1), anynet.Identity()]
    return rng.choice([*(getattr(anynet, name)() for name in names.split()), *more, anynet.Rescale(0.7, 0.1)])


def layer_for(rng, shape, depth):
    """Return a random layer that takes this shape."""
    if rng.random() < 0.4:
        return activation(rng)
    if depth and rng.random() < 0.3:
        inner = network(rng, shape, depth - 1)
        kind = rng.integers(5)
        if kind == 0:
            return anynet.Residual(activation(rng)) if len(shape) > 1 else anynet.Residual([anynet.Dense(shape[0])])
        if kind == 1:
            return anynet.Frozen(inner)
        if kind == 2:
            return anynet.Repeat(activation(rng), 2)
        if kind == 3 and len(shape) == 1:
            return anynet.Parallel([inner, anynet.Dense(2), anynet.Identity()])
        return inner
    if len(shape) == 1:
        return anynet.Dense(int(rng.integers(1, 6)), use_bias=bool(rng.integers(2)))
    padding = str(rng.choice(["valid", "same"]))
    if len(shape) == 2:
        taps, stride, dilation = (int(n) for n in rng.integers(1, (4, 3, 3)))
        conv = anynet.Conv1D(2 * shape[1], taps, stride=stride, padding=padding, dilation=dilation, groups=shape[1])
        return rng.choice([conv, anynet.Flatten()])
    size, stride = tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
    return rng.choice(
        [
            anynet.Conv2D(int(rng.integers(1, 4)), size, stride=stride, padding=padding),
            anynet.Conv2D(2 * shape[2], size, padding=padding, dilation=stride, groups=shape[2]),
            anynet.MaxPool2D(size, stride=stride, padding=padding),
            anynet.AvgPool2D(size, stride=stride, padding=padding),
            anynet.GlobalAvgPool2D(),
            anynet.Flatten(),
        ]
    )


def network(rng, shape, depth=2):
    """Return a random `Sequential` of one to five layers that takes this shape."""
    layers = []
    for _ in range(rng.integers(1, 6)):
        layer = layer_for(rng, shape, depth)
        try:
            shape = layer.init(np.random.default_rng(0), shape)[1]
        except ValueError:  # a window that does not fit
            continue
        layers.append(layer)
    return anynet.Sequential(layers)


def problem(seed, number):
    """Return a network, its parameters and a batch of a few examples, on the host."""
    rng = np.random.default_rng((seed, number))
    shape = [(4,), (6, 3), (6, 5, 2), (3,)][rng.integers(4)]
    if shape == (3,):
        x = rng.integers(0, 5, (6, *shape))
        first, inner = [anynet.Embedding(5, 2)], (3, 2)
    else:
        x = away_from_zero(rng, (6, *shape))
        first, inner = [], shape
    layer = anynet.Sequential([*first, network(rng, inner)])
    params, output_shape = layer.init(rng, shape)
    params = tree.map(lambda a: a + rng.uniform(-0.1, 0.1, a.shape), params)
    return layer, {"params": params, "x": x, "dy": rng.normal(size=(6, *output_shape))}


def ours(layer, at, seed):
    """Return the gradients by the layer's own backward."""
    _, cache = layer.forward(at["params"], at["x"], key=seed)
    dx, grads = layer.backward(at["params"], cache, at["dy"])
    return [*([] if dx is None else [dx]), *tree.leaves(grads)]


def autograd(layer, at, seed):
    """Return the gradients of the same by torch.autograd of the layer's forward."""
    import torch

    floats = [] if layer.integer_input else [at["x"]]
    floats = [a.clone().requires_grad_() for a in [*floats, *tree.leaves(layer.trainable(at["params"]))]]
    new = iter(floats)
    x = at["x"] if layer.integer_input else next(new)
    params = tree.set_leaves(at["params"], new, like=layer.trainable(at["params"]))
    y, _ = layer.forward(params, x, key=seed)
    if not y.requires_grad:
        return [torch.zeros_like(a) for a in floats]
    found = torch.autograd.grad(y, floats, at["dy"], allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(floats, found, strict=True)]


def distance(one, other):
    """Return the norm of the difference of two lists of arrays, relative to the norm of the second."""
    gap, size = (
        np.sqrt(sum(float(np.sum(a * a)) for a in part))
        for part in ([a - b for a, b in zip(one, other, strict=True)], other)
    )
    return gap / max(size, 1e-3)


def check(seed, number):
    """Return, for each dtype, how far our gradients are from autograd's, and whether that is too far."""
    backend = anynet.backends.get("torch")
    layer, host = problem(seed, number)
    rounded, draws, result = place(backend, host), place(backend, key(number)), {}
    for name, limit in LIMITS.items():
        if name != "float64" and "MaxPool2D" in repr(layer):
            continue
        at = cast(backend, rounded, getattr(backend.xp, name))
        found, expected = (
            [fetch(backend, cast(backend, g, backend.xp.float64)) for g in by(layer, at, draws)]
            for by in (ours, autograd)
        )
        error = distance(found, expected)
        wrong = not error <= limit
        if wrong and name != "float64":
            exact = fetch(backend, autograd(layer, cast(backend, at, backend.xp.float64), draws))
            wrong = not distance(found, exact) <= max(limit, 1.5 * distance(expected, exact))
        result[name] = error, wrong
    return layer, result


def main(arguments=None):
    """Check networks, print a line for each that is wrong and a summary, and return the number that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    errors = {name: [] for name in LIMITS}
    bad = 0
    for number in range(options.networks):
        layer, result = check(options.seed, number)
        for name, (error, wrong) in result.items():
            errors[name].append(error)
            if wrong:
                bad += 1
                print(f"network {number}, {name}: off by {error:.2g}: {layer}")
    for name, all_of in errors.items():
        beyond = sum(not error <= LIMITS[name] for error in all_of)
        figures = f"median {np.median(all_of):.1e}, largest {max(all_of):.1e}, {beyond} beyond {LIMITS[name]:g}"
        print(f"{name}: {len(all_of)} networks, {figures}")
    print(f"{options.networks} networks, {bad} wrong")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main() else 0)

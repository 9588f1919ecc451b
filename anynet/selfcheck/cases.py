"""The networks and optimizers of the self-check, with small synthetic data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet.config import ModelConfig
from anynet.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2D,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from anynet.losses import (
    CategoricalCrossEntropy,
    Huber,
    Losses,
    MeanSquaredError,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)
from anynet.losses.base import Loss
from anynet.optimizers import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    Nadam,
    Optimizer,
    RAdam,
    RMSprop,
)
from anynet.schedules import CosineDecay

EPOCHS = 3
OUTPUTS = 3


@dataclass(frozen=True, eq=False)
class Case:
    """One network with its optimizer and data.

    Parameters
    ----------
    name : str
    config : ModelConfig
    x, y : NumPy arrays, or tuples of them
        Float arrays contain float32 numbers, so that every dtype starts from the same data.
    batch_size : int, optional
        Examples per step of training.
    is_network : bool
        Whether to compare gradients and predictions too, not only the result of training.
    """

    name: str
    config: ModelConfig
    x: Any
    y: Any
    batch_size: int | None = 8
    is_network: bool = True

    @property
    def steps(self) -> int:
        """Number of training steps; for L-BFGS, of evaluations of the loss."""
        optimizer, count = self.config.required_optimizer, len(self.x)
        if isinstance(optimizer, LBFGS):
            return EPOCHS * optimizer.iterations
        return EPOCHS * -(-count // (self.batch_size or count))


def networks() -> list[Case]:
    """Return one case per kind of network."""
    images, codes, vectors = (8, 8, 2), (5,), (6,)
    two_heads = Parallel([Dense(OUTPUTS), Sequential([Dense(4), Tanh(), Dense(2)])], combine=None)
    return [
        _case("dense", [Dense(16), ReLU(), Dense(16), Tanh(), Dense(OUTPUTS)], vectors, count=128, batch_size=4),
        _case(
            "convolution",
            [Conv2D(4, 3), ReLU(), Conv2D(6, 3, stride=2, padding="same", groups=2), Tanh(), Flatten(), Dense(OUTPUTS)],
            images,
        ),
        _case("pooling", [Conv2D(4, 3), Tanh(), MaxPool2D(2), AvgPool2D(2), Flatten(), Dense(OUTPUTS)], images),
        _case(
            "normalization",
            [Dense(12, use_bias=False), BatchNorm(), ReLU(), Dense(12), LayerNorm(), Tanh(), Dense(OUTPUTS)],
            vectors,
        ),
        _case("dropout", [Dense(32), Tanh(), Dropout(0.5), Dense(16), ReLU(), Dropout(0.2), Dense(OUTPUTS)], vectors),
        _case("embedding", [Embedding(11, 4), Flatten(), Dense(12), Tanh(), Dense(OUTPUTS)], codes, integers=11),
        _case(
            "residual, parallel",
            [
                Dense(8),
                Residual([Tanh(), Dense(8)]),
                Parallel([Dense(4), Sequential([Dense(4), GELU()])]),
                Dense(OUTPUTS),
            ],
            vectors,
            loss=Huber(),
        ),
        _case(
            "several outputs",
            [Dense(12), Softplus(), two_heads],
            vectors,
            loss=Losses([SoftmaxCrossEntropy(), MeanSquaredError()], weights=[1.0, 0.5]),
        ),
        _case(
            "probabilities",
            [Dense(12), Sigmoid(), Dense(OUTPUTS), Softmax()],
            vectors,
            loss=CategoricalCrossEntropy(),
        ),
    ]


def optimizers() -> list[Case]:
    """Return one case per update rule, all on the same network."""
    rules: dict[str, Optimizer] = {
        "SGD": SGD(CosineDecay(0.2, steps=20), weight_decay=1e-3),
        "SGD momentum": SGD(0.05, momentum=0.9),
        "SGD nesterov": SGD(0.05, momentum=0.9, nesterov=True),
        "Adam": Adam(0.02),
        "Adam amsgrad": Adam(0.02, amsgrad=True),
        "AdamW": AdamW(0.02, weight_decay=0.1),
        "Nadam": Nadam(0.02),
        "RAdam": RAdam(0.02),
        "RMSprop": RMSprop(0.01, momentum=0.5, centered=True),
        "Adagrad": Adagrad(0.1),
        "Adadelta": Adadelta(1.0),
        "Lion": Lion(0.01),
        "Muon": Muon(0.02),
        "LBFGS": LBFGS(iterations=3),
    }
    layers = [Dense(16), Tanh(), Dense(OUTPUTS)]
    return [_case(name, layers, (6,), loss=SigmoidCrossEntropy(), optimizer=rule) for name, rule in rules.items()]


def _case(
    name: str,
    layers: list[Any],
    shape: tuple[int, ...],
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    count: int = 24,
    batch_size: int = 8,
    integers: int = 0,
) -> Case:
    """Return a case with data for its loss; with `integers`, the inputs are integers below it."""
    loss = loss or SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    x = rng.integers(0, integers, (count, *shape)) if integers else _floats(rng, (count, *shape))
    classes = np.arange(count) % OUTPUTS
    if isinstance(loss, Losses):
        y: Any = classes, _floats(rng, (count, 2))
    elif isinstance(loss, SigmoidCrossEntropy):
        y = (_floats(rng, (count, OUTPUTS)) > 0).astype(np.float32)
    elif isinstance(loss, Huber):
        y = _floats(rng, (count, OUTPUTS))
    else:
        y = classes
    config = ModelConfig(layers, shape, loss, optimizer or SGD(0.05, momentum=0.9))  # type: ignore[arg-type]
    return Case(name, config, x, y, None if config.required_optimizer.full_batch else batch_size, optimizer is None)


def _floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)

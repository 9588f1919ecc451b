"""Glorot and Bengio (2010), and He et al. (2015): signals and gradients per layer under four initializations.

A layer of n inputs starts with weights from

============  ===========================================  ==========================================
standard      U(−1/√n, 1/√n), variance 1/(3n)              Glorot and Bengio, eq. 1
small         N(0, 0.01²)                                  He et al., section 2.2: earlier practice
Glorot        variance 2/(inputs + outputs)                Glorot and Bengio, eq. 16
He            variance 2/n                                 He et al., eq. 10
============  ===========================================  ==========================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet import SGD, Dense, GlorotUniform, HeNormal, Initializer, Model, Normal, ReLU, SoftmaxCrossEntropy, Tanh
from anynet.initializers import fans
from anynet.layers import Layer, Sequential
from anynet.layers.hooks import LayerCall, with_hook

from .base import Run, Setting, Values

WIDTH = 1000
TANH_LAYERS, RELU_LAYERS = 5, 30
EXAMPLES = 300


@dataclass(frozen=True)
class Standard(Initializer):
    """Uniform distribution on ±1/√n."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        limit = 1.0 / math.sqrt(fans(shape)[0])
        return rng.uniform(-limit, limit, shape)


INITIALIZERS: dict[str, Initializer] = {
    "standard": Standard(),
    "small": Normal(0.01),
    "Glorot": GlorotUniform(),
    "He": HeNormal(),
}


def deep(activation: Layer, depth: int, width: int, weight: Initializer) -> list[Layer]:
    """Return hidden layers of equal width and a linear output layer."""
    hidden = [layer for _ in range(depth) for layer in (Dense(width, weight=weight), activation)]
    return [*hidden, Dense(10, weight=weight)]


def spread(run: Run, activation: Layer, depth: int, weight: Initializer) -> dict[str, list[float]]:
    """Return standard deviations of activations and of their gradients, per hidden layer."""
    found: dict[str, list[float]] = {"signal": [], "gradient": []}

    def record(call: LayerCall) -> None:
        if isinstance(call.layer, type(activation)):
            if call.method == "forward":
                found["signal"].append(float(np.std(call.output)))
            elif call.method == "backward":
                found["gradient"].insert(0, float(np.std(call.input)))

    network = with_hook(Sequential(deep(activation, depth, run.count(WIDTH, 20), weight)), record)
    model = Model(network, input_shape=784, loss=SoftmaxCrossEntropy(), **{**run.model, "backend": "numpy"})
    x, y = run.data.training
    model.gradients(x[:EXAMPLES], y[:EXAMPLES])
    return {name: [float(f"{value:.3g}") for value in values[-depth:]] for name, values in found.items()}


def ratio(gradients: list[float]) -> float:
    """Return the gradient at the first layer divided by that at the last."""
    return gradients[0] / gradients[-1] if gradients[-1] else 0.0


def tanh_network(run: Run) -> Values:
    """Compare the four initializations in five layers of 1000 tanh."""
    layers = {name: spread(run, Tanh(), TANH_LAYERS, weight) for name, weight in INITIALIZERS.items()}
    return {
        "value": ratio(layers["Glorot"]["gradient"]),
        "standard": ratio(layers["standard"]["gradient"]),
        "layers": layers,
    }


def relu_network(run: Run) -> Values:
    """Compare the four initializations in thirty layers of 1000 ReLU."""
    layers = {name: spread(run, ReLU(), RELU_LAYERS, weight) for name, weight in INITIALIZERS.items()}
    return {"value": ratio(layers["He"]["gradient"]), "glorot": ratio(layers["Glorot"]["gradient"]), "layers": layers}


def convergence(run: Run) -> Values:
    """Train thirty layers of ReLU from He's and from Glorot's initialization."""
    x, y = run.data.training
    count, epochs = run.count(10_000, 200), run.count(12)
    curves = {}
    for name in ("Glorot", "He"):
        layers = deep(ReLU(), RELU_LAYERS, run.count(128, 16), INITIALIZERS[name])
        optimizer = SGD(0.003, momentum=0.9)
        model = Model(layers, input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=optimizer, **run.model)
        history = model.fit(x[:count], y[:count], epochs=epochs, batch_size=128, progress=False)
        curves[name] = [round(loss, 4) for loss in history["loss"]]
    return {"value": curves["Glorot"][-1] - curves["He"][-1], "he": curves["He"][-1], "loss": curves}


def draw(results: Any) -> Any:
    """Draw gradients and signals per layer, and the training losses of the ReLU network."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
    for column, (name, title) in enumerate((("tanh", "5 layers of 1000 tanh"), ("relu", "30 layers of 1000 ReLU"))):
        rows = results.of(f"initialization/{name}")
        for ax, kind in zip(axes[:, column], ("signal", "gradient"), strict=True):
            for label in INITIALIZERS:
                values = np.array([row["layers"][label][kind] for row in rows])
                values[values == 0] = np.nan  # too small for float32
                ax.semilogy(range(1, values.shape[1] + 1), values.mean(axis=0), ".-", label=label)
            ax.set(xlabel="hidden layer", ylabel=f"standard deviation of the {kind}")
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes[0, column].set_title(title)
    axes[0, 0].legend()
    curves = [row["loss"] for row in results.of("initialization/convergence")]
    for name, color in (("Glorot", "C2"), ("He", "C3")):
        for curve in curves:
            axes[0, 2].plot(range(1, len(curve[name]) + 1), curve[name], color=color, alpha=0.6)
        axes[0, 2].plot([], [], color=color, label=name)
    axes[0, 2].set(xlabel="epoch", ylabel="training loss", title="30 layers of 128 ReLU")
    axes[0, 2].legend()
    axes[1, 2].set_axis_off()
    return figure


FIGURES = {
    "initialization": (("initialization/tanh", "initialization/relu", "initialization/convergence"), draw),
}

SETTINGS = (
    Setting(
        "initialization/tanh",
        "Glorot and Bengio 2010, figure 7",
        "gradient, layer 1 to layer 5, normalized",
        "784-1000×5-10, tanh, 300 MNIST images, at the start of training: standard deviation of the gradient at "
        "the first hidden layer divided by that at the fifth, for their normalized initialization. Theirs is a "
        "claim: with it the gradient keeps its size from layer to layer, and with the standard initialization it "
        "shrinks on its way back.",
        "about 1",
        tanh_network,
        target=1.0,
        better="near",
        unit="",
        also={"standard": "with the standard initialization"},
    ),
    Setting(
        "initialization/relu",
        "He et al. 2015, section 2.2",
        "gradient, layer 1 to layer 30, variance 2/n",
        "784-1000×30-10, ReLU, 300 MNIST images, at the start of training: the same ratio for their "
        "initialization, at the first and the thirtieth layer. Theirs is a claim for variance 2/n: the signals "
        "neither vanish nor grow; with Glorot's, each layer of ReLU halves the variance.",
        "about 1",
        relu_network,
        target=1.0,
        better="near",
        unit="",
        also={"glorot": "with Glorot's initialization"},
    ),
    Setting(
        "initialization/convergence",
        "He et al. 2015, figure 3",
        "30 layers, loss of Glorot's minus He's",
        "784-128×30-10, ReLU, 10 000 MNIST images, SGD with learning rate 0.003 and momentum 0.9 in batches of "
        "128, 12 epochs: training loss with Glorot's minus with He's initialization. Theirs is a convolutional "
        "network of 30 layers on ImageNet, which learns with He's and stalls with Glorot's initialization. With a "
        "learning rate of 0.01, one of four networks diverged with He's initialization.",
        "above 0",
        convergence,
        unit="",
        also={"he": "loss with He's"},
    ),
)

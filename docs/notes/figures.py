"""Draw the figures of the lecture notes into docs/notes/figures.

    python docs/notes/figures.py            # all figures
    python docs/notes/figures.py or_gate    # one figure

Curves and numbers are computed with anynet. ``tests/notes/test_figures.py`` checks that the committed files are up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from svg import BLUE, GRAY, GREEN, INK, ORANGE, PALE, RED, Axes, Picture

from anynet import (
    SGD,
    Dense,
    GlorotUniform,
    HalfSquaredError,
    HeNormal,
    MeanSquaredError,
    Model,
    ReLU,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    load_digits,
    load_mnist,
)

FOLDER = Path(__file__).parent / "figures"
FIGURES: dict[str, Callable[[], Picture]] = {}
X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 1])  # the OR gate


def figure(draw: Callable[[], Picture]) -> Callable[[], Picture]:
    """Register a function that draws the figure of its name."""
    FIGURES[draw.__name__] = draw
    return draw


def ticks(*values: float) -> dict[float, str]:
    """Return the labels of ticks, with a true minus sign."""
    return {value: f"{value:g}".replace("-", "−") for value in values}


def values_and_slopes(layer: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return an elementwise layer's values and derivatives."""
    x = np.asarray(x, dtype="float64")
    y, cache = layer.forward({}, x)
    return y, layer.backward({}, cache, np.ones_like(x))[0]


# -- note 000 ---------------------------------------------------------------------------------------------------------


@figure
def network_2_3_1() -> Picture:
    p = Picture(640, 330, "The 2-3-1 network with its 13 parameters")
    inputs, hidden, output = [(70, 110), (70, 230)], [(300, 60), (300, 170), (300, 280)], (510, 170)
    weights = (("ω_{11}", "ω_{12}"), ("ω_{13}", "ω_{14}"), ("ω_{15}", "ω_{16}"))
    for h, (hx, hy) in enumerate(hidden):
        for ix, iy in inputs:
            p.line(ix, iy, hx, hy, GREEN)
        p.arrow(hx + 24, hy, output[0] - 26, output[1] + 12 * (h - 1), BLUE)
        above = 12 * (h == 1)
        p.label(hx, hy - above, output[0], output[1] - above, 0.45, f"ω_{{2{h + 1}}}", color=BLUE)
    for (hx, hy), names in zip(hidden, weights, strict=True):
        for i, name in enumerate(names):
            p.label(*inputs[i], hx, hy, 0.66 if i == 0 else 0.78, name, color=GREEN)
    for i, (x, y) in enumerate(inputs):
        p.neuron(x, y, f"x_{{{i + 1}}}")
    for h, (x, y) in enumerate(hidden):
        p.neuron(x, y, f"h_{{{h + 1}}}")
        p.math(x + 8, y - 38, f"+ b_{{1{h + 1}}}, σ", 15, color=GREEN)
    p.neuron(*output, "h_{4}")
    p.math(output[0] + 6, output[1] - 38, "+ b_{2}, σ", 15, color=BLUE)
    p.arrow(534, 170, 585, 170)
    p.math(606, 170, "ŷ", 20)
    p.text(70, 305, "inputs", 16, GRAY)
    p.text(510, 240, "hidden layer:", 16, GREEN)
    p.text(510, 260, "6 weights, 3 biases", 16, GREEN)
    p.text(510, 284, "output layer:", 16, BLUE)
    p.text(510, 304, "3 weights, 1 bias", 16, BLUE)
    return p


@figure
def path_to_w11() -> Picture:
    p = Picture(640, 190, "The path from the loss back to ω11 with its five derivatives")
    names = ("ω_{11}", "o_{11}", "h_{1}", "o_{21}", "h_{4} = ŷ", "L")
    factors = ("x_{1}", "h_{1}(1 − h_{1})", "ω_{21}", "h_{4}(1 − h_{4})", "−(y − h_{4})")
    places = (45, 155, 265, 375, 485, 595)
    p.text(320, 24, "forward", 16, BLUE)
    p.text(320, 172, "backward: multiply the derivatives", 16, RED)
    for left, right, factor in zip(places, places[1:], factors, strict=False):
        p.arrow(left + 33, 78, right - 33, 78, BLUE)
        p.arrow(right, 108, left + 6, 108, RED)
        p.math((left + right) / 2 + 3, 132, factor, 16, color=RED)
    for x, name, above in zip(places, names, ("", "+ …", "σ", "+ …", "σ", "½(y − ŷ)²"), strict=True):
        p.box(x, 78, 66, 36, name, size=17, math=True)
        p.math(x, 48, above, 14, color=BLUE)
    return p


# -- note 001 ---------------------------------------------------------------------------------------------------------


@figure
def neuron() -> Picture:
    p = Picture(640, 220, "A neuron: weighted sum, then the activation function")
    for i, y in enumerate((45, 110, 175)):
        p.arrow(84, y, 236, 110 + 12 * (i - 1))
        above = 13 * (i == 1)
        p.label(84, y - above, 236, 110 - above + 12 * (i - 1), 0.45, f"w_{{{i + 1}}}", 17, GREEN)
        p.neuron(60, y, f"a_{{{i + 1}}}")
    p.neuron(264, 110, "Σ", 28, size=24)
    p.arrow(292, 110, 376, 110)
    p.math(334, 92, "z", 19)
    p.neuron(404, 110, "g", 28, size=22)
    p.arrow(432, 110, 516, 110)
    p.math(562, 110, "â = g(z)", 20)
    p.math(264, 172, "z = Σ w_{i} a_{i}", 18)
    p.text(404, 172, "σ, ReLU, …", 16, GRAY)
    return p


@figure
def multilayer_perceptron() -> Picture:
    p = Picture(640, 330, "A fully connected feed-forward network with L hidden layers")
    columns = ((70, "x", "n", "input"), (210, "a^{(1)}", "n_{1}", "layer 1"), (390, "a^{(L)}", "n_{L}", "layer L"))
    rows = (50, 115, 240)
    outputs = (95, 200)
    for y1 in rows:
        for y2 in rows:
            p.line(70, y1, 210, y2, PALE)
        for y2 in outputs:
            p.line(390, y1, 540, y2, PALE)
        for y2 in rows:
            p.line(210, y1, 255, y1 + (y2 - y1) / 4, PALE)
            p.line(390, y1, 345, y1 + (y2 - y1) / 4, PALE)
    for x, name, count, title in columns:
        base, _, upper = name.partition("^")
        for y, index in zip(rows, "12", strict=False):
            p.neuron(x, y, f"{base}_{{{index}}}")
        p.neuron(x, rows[2])
        p.math(x - 8, rows[2], base)
        p.math(x + 5, rows[2] + 6, count, 13)
        p.math(x, 178, "⋮", 24)
        p.math(x, 284, f"{count} neurons" if title != "input" else "n features", 15)
        p.text(x, 308, title, 16, GRAY)
        if upper:
            p.math(x, 14, upper.strip("{}"), 15, color=GRAY)
    for y, name in zip(outputs, ("ŷ_{1}", "ŷ_{2}"), strict=True):
        p.neuron(540, y, name)
        p.arrow(564, y, 606, y)
    p.math(300, 145, "· · ·", 24)
    p.math(140, 22, "W^{(1)}", 17, color=GREEN)
    p.math(300, 22, "W^{(2)} …", 17, color=GREEN)
    p.math(470, 22, "W^{(L+1)}", 17, color=GREEN)
    p.text(540, 308, "output", 16, GRAY)
    return p


@figure
def chain() -> Picture:
    p = Picture(640, 200, "A chain of three neurons: z and a forward, e and δ backward")
    p.math(36, 75, "x = a_{0}", 17)
    for k in (1, 2, 3):
        x = 76 + 170 * (k - 1)
        p.arrow(x if k == 1 else x + 10, 75, x + 62, 75, BLUE)
        p.math(x + 32, 56, f"w_{{{k}}}", 16, color=GREEN)
        p.box(x + 83, 75, 42, 36, f"z_{{{k}}}", size=18, math=True)
        p.arrow(x + 104, 75, x + 138, 75, BLUE)
        p.math(x + 119, 58, "g", 15, color=BLUE)
        p.box(x + 159, 75, 42, 36, f"a_{{{k}}}", size=18, math=True)
        p.math(x + 83, 122, f"δ_{{{k}}}", 18, color=RED)
        p.math(x + 159, 122, f"e_{{{k}}}", 18, color=RED)
        p.arrow(x + 144, 122, x + 98, 122, RED)
        p.math(x + 120, 144, f"g′(z_{{{k}}})", 14, color=RED)
        if k > 1:
            p.arrow(x + 66, 122, x + 4, 122, RED)
            p.math(x + 36, 144, f"w_{{{k}}}", 15, color=RED)
    p.math(618, 75, "= ŷ", 17)
    p.text(320, 20, "forward", 16, BLUE)
    p.text(320, 180, "backward", 16, RED)
    return p


@figure
def network_2_2_2() -> Picture:
    p = Picture(640, 300, "The 2-2-2 network; the error of the first hidden neuron is the sum over two paths")
    columns, rows = (80, 290, 500), (85, 205)
    for layer, (left, right) in enumerate(pairwise(columns), start=1):
        for j, y1 in enumerate(rows, start=1):
            for i, y2 in enumerate(rows, start=1):
                red = layer == 2 and j == 1
                if red:
                    p.arrow(right - 26, y2, left + 26, y1 + 8 * (i - 1), RED, 2)
                else:
                    p.line(left, y1, right, y2, INK)
                at = 0.28 if i != j else 0.5
                above = 14 if i == j else 0
                name = f"w_{{{i}{j}}}^{{({layer})}}"
                p.label(left, y1 - above, right, y2 - above, at, name, 16, RED if red else GREEN)
    for x, name in zip(columns, ("x_{%d}", "a_{%d}^{(1)}", "a_{%d}^{(2)}"), strict=True):
        for i, y in enumerate(rows, start=1):
            p.neuron(x, y, name % i, 28, size=16)
    for i, y in enumerate(rows, start=1):
        p.arrow(528, y, 575, y)
        p.math(600, y, f"ŷ_{{{i}}}", 18)
        p.math(500, y + (-46 if i == 1 else 46), f"δ_{{{i}}}^{{(2)}}", 18, color=RED)
    p.math(290, 38, "e_{1}^{(1)} = δ_{1}^{(2)} w_{11}^{(2)} + δ_{2}^{(2)} w_{21}^{(2)}", 18, color=RED)
    p.text(80, 262, "layer 0", 16, GRAY)
    p.text(290, 262, "layer 1", 16, GRAY)
    p.text(500, 280, "layer 2", 16, GRAY)
    return p


@figure
def vanishing_gradients() -> Picture:
    """The gradient's norm per layer of a deep network before training, as in examples/vanishing_gradients.py."""
    p = Picture(640, 330, "Norm of the gradient in each of eleven layers, for sigmoid, tanh and ReLU")
    axes = Axes(p, (90, 50, 400, 220), (1, 11), (1e-7, 1), log="y")
    powers = {10.0**k: f"10^{{{k}}}".replace("-", "−") for k in (-7, -5, -3, -1)}
    axes.frame(ticks(1, 3, 5, 7, 9, 11), powers, "layer", title="norm of ∂L/∂W before training", math=False)
    (x, y), _ = load_digits()
    kinds = ((ReLU(), HeNormal(), BLUE, "ReLU"), (Tanh(), GlorotUniform(), GREEN, "tanh"))
    for activation, weight, color, name in (*kinds, (Sigmoid(), GlorotUniform(), RED, "sigmoid")):
        hidden = [layer for _ in range(10) for layer in (Dense(64, weight=weight), activation)]
        model = Model([*hidden, Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), dtype="float64")
        _, grads = model.gradients(x / 16, y)
        norms = [float(np.linalg.norm(part["weight"])) for part in grads if part]
        axes.curve(range(1, 12), norms, color)
        axes.points(range(1, 12), norms, color)
        p.text(500, axes.at(11, norms[-1])[1] + {"ReLU": 22, "tanh": 3, "sigmoid": -4}[name], name, 16, color, "start")
    return p


MEASURED = (  # weights, ms by finite differences, ms by backpropagation: examples/why_backprop.py on one core, NumPy 2.4
    (13, 0.26, 0.032),
    (43, 0.67, 0.034),
    (153, 2.52, 0.036),
    (433, 7.67, 0.039),
    (1377, 28.03, 0.040),
    (4801, 127.91, 0.063),
)


@figure
def why_backprop() -> Picture:
    p = Picture(640, 330, "Measured time of one gradient by finite differences and by backpropagation")
    axes = Axes(p, (90, 50, 380, 220), (10, 10_000), (0.01, 1000), log="xy")
    x_ticks = {10: "10", 100: "100", 1000: "1 000", 10_000: "10 000"}
    y_ticks = {0.01: "0.01", 0.1: "0.1", 1: "1", 10: "10", 100: "100", 1000: "1 000"}
    axes.frame(x_ticks, y_ticks, "number of weights", title="milliseconds per gradient", math=False)
    for column, color, name in ((1, RED, "finite differences"), (2, BLUE, "backpropagation")):
        weights, times = [row[0] for row in MEASURED], [row[column] for row in MEASURED]
        axes.curve(weights, times, color)
        axes.points(weights, times, color)
        p.text(478, axes.at(1, times[-1])[1], name, 16, color, "start")
    return p


# -- note 002 ---------------------------------------------------------------------------------------------------------


@figure
def supervised() -> Picture:
    p = Picture(640, 290, "Labeled examples with a boundary; unlabeled examples in two groups")
    rng = np.random.default_rng(5)
    a, b = rng.normal([-1, 0.8], 0.45, (14, 2)), rng.normal([1, -0.8], 0.45, (14, 2))
    for left, labeled in ((40, True), (350, False)):
        axes = Axes(p, (left, 50, 250, 200), (-2.5, 2.5), (-2.2, 2.2))
        p.line(left, 250, left + 250, 250)
        p.line(left, 50, left, 250)
        for points, color in ((a, BLUE), (b, RED)):
            axes.points(*points.T, color if labeled else GRAY, 5)
        if labeled:
            axes.curve((-1.65, 1.65), (-2.2, 2.2), INK, 2, "7 5")
        else:
            for x, y in ((-1, 0.8), (1, -0.8)):
                cx, cy = axes.at(x, y)
                p.add(
                    "ellipse",
                    cx=cx,
                    cy=cy,
                    rx=58.0,
                    ry=56.0,
                    fill="none",
                    stroke=INK,
                    stroke_width=2,
                    stroke_dasharray="7 5",
                )
        p.text(left + 125, 26, "supervised: labels are given" if labeled else "unsupervised: find groups", 15)
        p.text(left + 125, 270, "predict the label" if labeled else "no labels", 16, GRAY)
    return p


@figure
def deep_learning() -> Picture:
    p = Picture(640, 230, "Deep learning within machine learning within artificial intelligence")
    for width, height, color in ((560, 200, BLUE), (400, 140, GREEN), (230, 76, ORANGE)):
        p.add(
            "ellipse",
            cx=320,
            cy=215 - height / 2,
            rx=width / 2,
            ry=height / 2,
            fill="none",
            stroke=color,
            stroke_width=2,
        )
    p.text(320, 45, "artificial intelligence", 16, BLUE)
    p.text(320, 108, "machine learning", 16, GREEN)
    p.text(320, 178, "deep learning", 16, ORANGE)
    return p


@figure
def slope_of_line() -> Picture:
    p = Picture(640, 330, "Rise over run: a line through two points, and the tangent of a parabola")
    axes = Axes(p, (45, 50, 250, 230), (-3, 5), (-2, 4))
    axes.frame(ticks(-2, 0, 2, 4), ticks(-2, 0, 2, 4), "x", "y")
    slope = 4 / 6
    axes.curve((-3, 5), (-1 - slope, 3 + slope))
    axes.curve((-2, 4), (-1, -1), ORANGE, 2, "6 4")
    axes.curve((4, 4), (-1, 3), ORANGE, 2, "6 4")
    axes.points((-2, 4), (-1, 3), RED, 5)
    axes.text(1, -1.5, "run 6", 15, ORANGE, False)
    axes.text(2.9, 0.2, "rise 4", 15, ORANGE, False)
    p.text(170, 26, "slope = 4/6 = 2/3", 15)

    axes = Axes(p, (375, 50, 250, 230), (-2.2, 2.2), (-1, 4))
    axes.frame(ticks(-2, -1, 0, 1, 2), ticks(-1, 0, 1, 2, 3, 4), "weight", math=False)
    axes.function(lambda w: np.square(w), -2, 2)
    layer = Dense(1, use_bias=False, weight=[[-1.0]])
    _, grads = Model(layer, input_shape=1, loss=MeanSquaredError(), dtype="float64").gradients([[1.0]], [0.0])
    slope = float(grads["weight"][0, 0])
    axes.curve((-2, 0), (1 - slope, 1 + slope), ORANGE, 2.2, "6 4")
    axes.points((-1,), (1,), RED, 5)
    axes.text(-0.1, 2.6, f"slope {slope:.0f}".replace("-", "−"), 15, ORANGE, False)
    p.text(500, 26, "error = weight²", 15)
    return p


def activation(layer: Any, name: str, title: str, y: tuple[float, float], y_ticks: dict[float, str]) -> Picture:
    """Draw a function and its derivative side by side."""
    p = Picture(640, 290, title)
    for left, which in ((45, 0), (365, 1)):
        axes = Axes(p, (left, 45, 250, 190), (-6, 6), y)
        axes.frame(ticks(-6, -3, 0, 3, 6), y_ticks, "z")
        for low, high in ((-6, 0), (1e-9, 6)) if isinstance(layer, ReLU) else ((-6, 6),):
            axes.function(lambda z, which=which: values_and_slopes(layer, z)[which], low, high, (BLUE, ORANGE)[which])
        p.math(left + 125, 22, (f"{name}(z)", f"{name}′(z)")[which], 18, color=(BLUE, ORANGE)[which])
    return p


@figure
def sigmoid() -> Picture:
    return activation(Sigmoid(), "σ", "The sigmoid and its derivative", (0, 1), {0: "0", 0.25: "¼", 0.5: "½", 1: "1"})


@figure
def relu() -> Picture:
    return activation(ReLU(), "ReLU", "ReLU and its derivative", (-0.25, 3), ticks(0, 1, 2, 3))


def or_inputs(weights: dict[str, str], title: str) -> Picture:
    """Draw a sigmoid neuron with named inputs and weights."""
    p = Picture(640, 90 + 60 * (len(weights) - 1), title)
    middle = p.height / 2
    for k, (name, weight) in enumerate(weights.items()):
        y = middle + 60 * (k - (len(weights) - 1) / 2)
        target, above = middle + 0.2 * (y - middle), 13 * (y == middle)
        p.arrow(84, y, 258, target)
        p.label(84, y - above, 258, target - above, 0.4, weight, 18, GREEN)
        p.neuron(60, y, name)
    p.neuron(286, middle, "z", 28, size=20)
    p.arrow(314, middle, 398, middle)
    p.neuron(426, middle, "σ", 28, size=20)
    p.arrow(454, middle, 530, middle)
    p.math(550, middle, "ŷ", 20)
    p.text(286, middle - 50, "linear", 16, GRAY)
    p.text(426, middle - 50, "activation", 16, GRAY)
    total = " + ".join(f"{weight}{name}" if name != "1" else weight for name, weight in weights.items())
    p.math(286, middle + 55, f"z = {total}", 17)
    return p


@figure
def or_neuron() -> Picture:
    weights = {"x_{1}": "w_{1}", "x_{2}": "w_{2}"}
    return or_inputs(weights, "One neuron with two inputs and a sigmoid")


@figure
def or_neuron_with_bias() -> Picture:
    weights = {"x_{1}": "w_{1}", "x_{2}": "w_{2}", "1": "b"}
    return or_inputs(weights, "One neuron with two inputs, a bias and a sigmoid")


@figure
def gradient_flow() -> Picture:
    p = Picture(640, 190, "A node multiplies the upstream gradient by its local gradient")
    p.arrow(60, 70, 252, 70, GREEN, 2)
    p.arrow(388, 70, 580, 70, GREEN, 2)
    p.arrow(580, 112, 388, 112, RED, 2)
    p.arrow(252, 112, 60, 112, RED, 2)
    p.math(150, 50, "x", 19, color=GREEN)
    p.math(484, 50, "y = f(x)", 19, color=GREEN)
    p.rect(252, 48, 136, 86, "#ffffff", radius=10)
    p.math(320, 70, "f", 22)
    p.math(320, 110, "local ∂y/∂x", 16, color=RED)
    p.math(484, 136, "upstream ∂L/∂y", 17, color=RED)
    p.math(150, 136, "∂L/∂x = ∂L/∂y · ∂y/∂x", 17, color=RED)
    p.text(90, 24, "forward", 16, GREEN)
    p.text(90, 170, "backward", 16, RED)
    return p


def computed(values: dict[str, str], gradients: dict[str, str], title: str) -> Picture:
    """Draw the computational graph of the OR neuron with the values of one pass."""
    p = Picture(640, 340, title)
    nodes = {"x_{1}": (55, 34), "w_{1}": (55, 102), "x_{2}": (55, 170), "w_{2}": (55, 238), "b": (55, 306)}
    for name, (x, y) in nodes.items():
        target = 170 + (y - 170) * 0.12
        p.arrow(x + 22, y, 266, target, GRAY)
        p.neuron(x, y, name, 20, size=17)
        middle = y + 0.18 * (170 - y)
        p.text(x + 56, middle - 13, values[name], 16, GREEN, "start")
        if name in gradients:
            p.text(x + 56, middle + 16, gradients[name], 16, RED, "start")
    for x, name, label in ((292, "z", "z"), (420, "ŷ", "σ"), (548, "L", "L")):
        p.neuron(x, 170, label, 26, size=20)
        right = 602 if name == "L" else x + 102
        p.arrow(x + 26, 170, right, 170, GRAY)
        middle = (x + 26 + right) / 2 + (10 if name == "L" else 0)
        p.text(middle, 150, values[name], 16, GREEN)
        p.text(middle, 191, gradients[name], 16, RED)
    p.math(548, 115, "½(y − ŷ)²", 15, color=GRAY)
    p.text(460, 270, "values, forward", 16, GREEN)
    p.text(460, 295, "gradients of L, backward", 16, RED)
    return p


@figure
def or_graph() -> Picture:
    """All numbers of the first example, computed by the layers."""
    weight, bias, x, y = np.array([[0.1], [0.6]]), np.zeros(1), X[:1].astype(float), np.array([[0.0]])
    z, dense_cache = Dense(1).forward({"weight": weight, "bias": bias}, x)
    y_pred, cache = Sigmoid().forward({}, z)
    loss, loss_cache = HalfSquaredError().forward(y, y_pred)
    dy = HalfSquaredError().backward(loss_cache)
    dz, _ = Sigmoid().backward({}, cache, dy)
    _, grads = Dense(1).backward({"weight": weight, "bias": bias}, dense_cache, dz)
    values = {"x_{1}": x[0, 0], "x_{2}": x[0, 1], "w_{1}": weight[0, 0], "w_{2}": weight[1, 0], "b": bias[0]}
    values |= {"z": z[0, 0], "ŷ": y_pred[0, 0], "L": float(loss)}
    gradients = {"w_{1}": grads["weight"][0, 0], "w_{2}": grads["weight"][1, 0], "b": grads["bias"][0]}
    gradients |= {"z": dz[0, 0], "ŷ": dy[0, 0], "L": 1.0}
    return computed(
        {name: f"{value:g}" for name, value in values.items()},
        {name: f"{value:g}" for name, value in gradients.items()},
        "The first example: values forward, gradients backward",
    )


@figure
def loss() -> Picture:
    p = Picture(640, 330, "The loss of the first example over the prediction, with its slope")
    axes = Axes(p, (110, 50, 380, 220), (0, 1), (0, 0.5))
    axes.frame(
        ticks(0, 0.25, 0.5, 0.75, 1),
        ticks(0, 0.125, 0.25, 0.375, 0.5),
        "ŷ",
        title="loss L = ½(0 − ŷ)² of the first example",
    )
    axes.function(lambda v: [float(HalfSquaredError().forward(np.zeros((1, 1)), np.array([[a]]))[0]) for a in v], 0, 1)
    axes.curve((0.25, 0.9), (0, 0.125 + 0.4 * 0.5), ORANGE, 2.2, "6 4")
    axes.points((0.5,), (0.125,), RED, 5)
    axes.text(0.62, 0.1, "ŷ = 0.5, L = 0.125", 15, RED, anchor="start")
    p.text(500, axes.at(0.9, 0.325)[1], "slope 0.5", 16, ORANGE, "start")
    return p


@figure
def bias() -> Picture:
    p = Picture(640, 330, "The bias shifts the sigmoid, the weight changes its steepness")
    for left, title in ((45, "σ(z + b)"), (365, "σ(w z)")):
        axes = Axes(p, (left, 50, 250, 200), (-8, 8), (0, 1))
        axes.frame(ticks(-8, -4, 0, 4, 8), {0: "0", 0.5: "½", 1: "1"}, "z", title="")
        p.math(left + 125, 24, title, 18)
        settings = ((-4, RED), (0, BLUE), (4, GREEN)) if left == 45 else ((0.5, RED), (1, BLUE), (4, GREEN))
        for k, (value, color) in enumerate(settings):
            axes.function(
                lambda z, v=value, shift=left == 45: values_and_slopes(
                    Sigmoid(), np.add(z, v) if shift else np.multiply(z, v)
                )[0],
                -8,
                8,
                color,
            )
            p.math(
                left + 45 + 80 * k, 306, f"{'b' if left == 45 else 'w'} = {value:g}".replace("-", "−"), 16, color=color
            )
    return p


@figure
def vectorized() -> Picture:
    p = Picture(640, 250, "The graph of all four examples at once, with shapes")
    for y, name, shape in ((50, "W", "1 × 2"), (125, "X_{train}", "2 × 4"), (200, "b", "1 × 1")):
        p.arrow(112, y, 228, 125 + (y - 125) * 0.15, GRAY)
        p.box(70, y, 84, 38, name, size=18, math=True)
        p.text(70, y + 31, shape, 15, GRAY)
    for x, name, shape in ((285, "Z = WX + b", "1 × 4"), (440, "Ŷ = σ(Z)", "1 × 4"), (575, "Cost", "1 number")):
        p.box(x, 125, 110 if x < 500 else 80, 42, name, size=17, math=True)
        p.text(x, 160, shape, 15, GRAY)
    p.arrow(340, 118, 385, 118, GREEN)
    p.arrow(495, 118, 535, 118, GREEN)
    p.arrow(385, 133, 340, 133, RED)
    p.arrow(535, 133, 495, 133, RED)
    p.text(440, 50, "values, forward", 16, GREEN)
    p.text(440, 74, "gradients of the cost, backward", 16, RED)
    return p


def or_model(rate: float = 1.0) -> Model:
    layers = [Dense(1, weight=[[0.1], [0.6]], bias=[0.0]), Sigmoid()]
    return Model(layers, input_shape=2, loss=HalfSquaredError(), optimizer=SGD(rate), dtype="float64")


@figure
def or_gate() -> Picture:
    p = Picture(640, 330, "The cost over 5 000 epochs, and the decision boundary")
    model = or_model()
    costs = model.fit(X, Y, epochs=5000, batch_size=None, progress=False)["loss"]
    axes = Axes(p, (75, 50, 230, 220), (1, 5000), (1e-4, 0.1), log="xy")
    powers = {10.0**k: f"10^{{−{-k}}}" for k in (-4, -3, -2, -1)}
    axes.frame({1: "1", 10: "10", 100: "100", 1000: "1 000"}, powers, "epoch", title="cost", math=False)
    epochs = np.unique(np.geomspace(1, 5000, 120).astype(int))
    axes.curve(epochs, np.array(costs)[epochs - 1])
    axes = Axes(p, (400, 50, 220, 220), (-0.5, 1.5), (-0.5, 1.5))
    axes.frame(ticks(0, 1), ticks(0, 1), "x_{1}", "x_{2}")
    p.text(520, 34, "ŷ = ½ on the line", 15)
    (w1, w2), (b,) = model.params[0]["weight"][:, 0], model.params[0]["bias"]
    axes.function(lambda x: -(w1 * np.array(x) + b) / w2, -0.5, 1.2, INK, 2)
    for (x1, x2), y in zip(X, Y, strict=True):
        axes.points((x1,), (x2,), (BLUE, RED)[y], 7)
    axes.text(-0.14, -0.26, "y = 0", 15, BLUE)
    axes.text(1.1, 0.72, "y = 1", 15, RED)
    return p


@figure
def learning_rates() -> Picture:
    """Twelve steps on a parabola, with the data of examples/learning_rates.py."""
    p = Picture(640, 330, "Twelve steps of gradient descent on a parabola for three learning rates")
    x, y = np.array([[0.5], [1.0], [1.5]]), np.array([1.0, 2.0, 3.0])
    curvature = float(np.mean(x**2))
    for k, (name, factor, color) in enumerate((("too low", 0.1, BLUE), ("right", 0.7, GREEN), ("too high", 2.1, RED))):
        axes = Axes(p, (40 + 208 * k, 70, 165, 200), (-2.4, 6.4), (0, 10.5))
        axes.frame(ticks(-2, 2, 6), ticks(0, 5, 10), "w")
        axes.function(lambda w: 0.5 * curvature * np.square(np.subtract(w, 2)), -2.2, 6.2, PALE, 4)
        layer = Dense(1, use_bias=False, weight=[[0.0]])
        model = Model(layer, input_shape=1, loss=HalfSquaredError(), optimizer=SGD(factor / curvature), dtype="float64")
        weights, costs = [], []
        for _ in range(13):
            weights.append(float(model.params["weight"][0, 0]))
            costs.append(float(model.train_step(x, y)))
        axes.curve(weights, costs, color, 1.6)
        axes.points(weights, costs, color, 3)
        axes.points(weights[:1], costs[:1], INK, 5, "none")
        p.text(122 + 208 * k, 22, name, 16, color)
        p.math(122 + 208 * k, 46, f"α = {factor / curvature:.2f}", 16)
    return p


@figure
def descent() -> Picture:
    """Paths of batch, mini-batch and stochastic descent; see examples/gradient_descent.py for the times."""
    p = Picture(640, 380, "Paths of batch, mini-batch and stochastic gradient descent on one cost")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2048, 2)) @ np.array([[1.0, 0.6], [0.0, 0.6]])
    y = x @ np.array([1.5, -1.0]) + 0.5 * rng.normal(size=2048)
    moment, cross = x.T @ x / len(x), x.T @ y / len(x)
    best = np.linalg.solve(moment, cross)
    axes = Axes(p, (60, 45, 360, 280), (-1.2, 2.4), (-1.8, 1.4))
    axes.frame(ticks(-1, 0, 1, 2), ticks(-1, 0, 1), "w_{1}", "w_{2}")
    root = np.linalg.inv(np.linalg.cholesky(moment)).T
    for level in np.geomspace(0.02, 4, 9):
        angle = np.linspace(0, 2 * np.pi, 91)
        ring = best + np.sqrt(2 * level) * np.stack([np.cos(angle), np.sin(angle)], 1) @ root.T
        inside = (np.abs(ring[:, 0] - 0.6) <= 1.8) & (np.abs(ring[:, 1] + 0.2) <= 1.6)
        for run in np.split(np.arange(91), np.flatnonzero(np.diff(inside)) + 1):
            if inside[run[0]] and len(run) > 1:
                axes.curve(*ring[run].T, PALE, 1.4)
    kinds = (
        ("stochastic", 1, 0.02, RED, 400),
        ("mini-batch", 32, 0.2, GREEN, 64),
        ("batch", 2048, 0.5, BLUE, 40),
    )
    for k, (name, size, rate, color, steps) in enumerate(kinds):
        layer = Dense(1, use_bias=False, weight=[[-0.8], [1.0]])
        model = Model(layer, input_shape=2, loss=HalfSquaredError(), optimizer=SGD(rate), dtype="float64")
        path = [model.params["weight"][:, 0].copy()]
        for step in range(steps):
            at = slice(step * size % 2048, step * size % 2048 + size)
            model.train_step(x[at], y[at])
            path.append(model.params["weight"][:, 0].copy())
        axes.curve(*np.array(path).T, color, 1.6)
        if size > 1:
            axes.points(*np.array(path).T, color, 2.2)
        p.text(440, 250 - 40 * k, f"{name}: {steps} steps", 16, color, "start")
    axes.points((-0.8,), (1.0,), INK, 6, "none")
    axes.text(-0.8, 1.2, "start", 16, INK, False)
    axes.points(best[:1], best[1:], INK, 5)
    axes.text(best[0] + 0.52, best[1], "minimum", 16, INK, False)
    return p


# -- note 003 ---------------------------------------------------------------------------------------------------------


@figure
def digit() -> Picture:
    """The first training image of MNIST, as pixels and as a row of 784 numbers."""
    p = Picture(640, 330, "An image of 28 × 28 pixels becomes a row of 784 numbers")
    (x, y), _ = load_mnist()
    image, size = np.asarray(x[0]).reshape(28, 28), 8
    p.rect(30, 40, 28 * size, 28 * size, "#ffffff")
    for row in range(28):
        for column in np.flatnonzero(image[row]):
            level = f"{255 - int(image[row, column]):02x}"
            p.rect(30 + column * size, 40 + row * size, size, size, f"#{level * 3}", "none")
    p.rect(30, 40 + 14 * size, 28 * size, size, "none", RED, line=2)
    p.text(30 + 14 * size, 22, f"label {int(y[0])}", 15)
    p.text(30 + 14 * size, 286, "28 × 28 pixels", 16, GRAY)
    p.text(442, 100, "row 15 of the image:", 16, RED)
    numbers = [int(v) for v in image[14]]
    for k in range(2):
        p.text(442, 130 + 22 * k, " ".join(map(str, numbers[14 * k : 14 * k + 14])), 13)
    p.text(442, 200, "all 28 rows one after another:", 15)
    p.math(442, 234, "x = ( 0  0  …  0  81  240  …  0 )", 17)
    p.math(442, 262, "1 × 784", 15, color=GRAY)
    return p


@figure
def network_784_10_10() -> Picture:
    p = Picture(640, 350, "784 pixels, ten hidden neurons with ReLU, ten outputs with softmax")
    inputs, hidden, outputs = (50, 90, 240, 280), (70, 110, 220, 260), (50, 90, 240, 280)
    for y1 in inputs:
        for y2 in hidden:
            p.line(90, y1, 300, y2, PALE, 1.2)
    for y1 in hidden:
        for y2 in outputs:
            p.line(300, y1, 510, y2, PALE, 1.2)
    for y, name in zip(inputs, ("x_{1}", "x_{2}", "x_{783}", "x_{784}"), strict=True):
        p.neuron(90, y, name, 19, size=14)
    for y in hidden:
        p.neuron(300, y, "", 16)
    for y, name in zip(outputs, "0189", strict=True):
        p.neuron(510, y, "", 16)
        p.arrow(526, y, 562, y)
        p.math(592, y, f"p({name})", 17)
    for x in (90, 300, 510):
        p.math(x, 165, "⋮", 26)
    p.math(195, 24, "W_{1}, b_{1}", 17, color=GREEN)
    p.math(405, 24, "W_{2}, b_{2}", 17, color=GREEN)
    for x, first, second in (
        (90, "A_{0} = X", "784 pixels"),
        (300, "Z_{1}, A_{1}", "10, ReLU"),
        (510, "Z_{2}, A_{2}", "10, softmax"),
    ):
        p.math(x, 314, first, 16)
        p.text(x, 336, second, 16, GRAY)
    return p


@figure
def softmax() -> Picture:
    p = Picture(640, 300, "Softmax turns five real numbers into probabilities")
    z = np.array([[1.0, 3.0, -1.0, 0.0, 2.0]])
    y, _ = Softmax().forward({}, z)
    for left, values, low, high, title in ((50, z[0], -1.5, 3.5, "z"), (370, y[0], 0, 0.8, "softmax(z)")):
        axes = Axes(p, (left, 50, 240, 190), (0.4, 5.6), (low, high))
        axes.frame(ticks(*range(1, 6)), ticks(*range(-1, 4)) if left == 50 else ticks(0, 0.2, 0.4, 0.6, 0.8), "i")
        color = BLUE if left == 50 else ORANGE
        for i, value in enumerate(values, start=1):
            (x, top), (_, zero) = axes.at(i, max(value, 0)), axes.at(i, 0)
            height = abs(axes.at(i, value)[1] - zero)
            p.rect(x - 14, top, 28, height, color, "none")
            text = f"{value:.2f}" if left == 370 else f"{value:g}".replace("-", "−")
            p.text(x, top - 11 if value > 0 else zero - 11, text, 13, halo=True)
        p.math(left + 120, 24, title, 18, color=color)
    return p


# -- note 004 ---------------------------------------------------------------------------------------------------------


@figure
def layers() -> Picture:
    p = Picture(640, 200, "Each layer is an object: outputs move forward, gradients backward")
    names = ("Dense", "ReLU", "Dense", "cost C")
    for k, name in enumerate(names):
        x = 130 + 140 * k
        p.arrow(x - 82, 85, x - 46, 85, GREEN)
        p.arrow(x - 46, 107, x - 82, 107, RED)
        p.box(x, 96, 90, 56, name, size=16)
        p.math(x - 64, 64, ("X", "Y_{1}", "Y_{2}", "Y")[k], 17, color=GREEN)
        p.math(x - 64, 130, ("∂C/∂X", "∂C/∂Y_{1}", "∂C/∂Y_{2}", "∂C/∂Y")[k], 14, color=RED)
    p.text(320, 26, "forward: the output of a layer is the input of the next", 16, GREEN)
    p.text(320, 170, "backward: from the gradient of its output, a layer computes that of its input", 16, RED)
    return p


@figure
def dense() -> Picture:
    p = Picture(640, 300, "A dense layer connects every input to every output")
    inputs, outputs = (45, 105, 225), (70, 200)
    for i, y1 in enumerate(inputs):
        for j, y2 in enumerate(outputs):
            color = ORANGE if j == 0 else PALE
            p.arrow(150 + 24, y1, 420 - 26, y2 + 7 * (i - 1), color)
    for i, (y, name) in enumerate(zip(inputs, ("1", "2", "i"), strict=True)):
        p.label(174, y, 394, 70 + 7 * (i - 1), 0.28, f"w_{{1{name}}}", 17, ORANGE)
        p.neuron(150, y, f"x_{{{name}}}")
    p.math(150, 165, "⋮", 24)
    p.math(420, 135, "⋮", 24)
    for y, name in zip(outputs, "1j", strict=True):
        p.neuron(420, y, f"y_{{{name}}}")
        p.math(500, y, f"+ b_{{{name}}}", 17, color=ORANGE if name == "1" else GRAY)
    p.math(320, 272, "y_{1} = w_{11}x_{1} + w_{12}x_{2} + … + w_{1i}x_{i} + b_{1}", 18, color=ORANGE)
    return p


@figure
def activation_layer() -> Picture:
    p = Picture(640, 240, "An activation layer applies F to each element")
    for y, name in ((40, "1"), (95, "2"), (200, "i")):
        p.math(150, y, f"x_{{{name}}}", 19)
        p.arrow(175, y, 260, y, GREEN)
        p.neuron(284, y, "F", 23)
        p.arrow(308, y, 393, y, GREEN)
        p.math(460, y, f"y_{{{name}}} = F(x_{{{name}}})", 19)
    for x in (150, 284, 460):
        p.math(x, 148, "⋮", 24)
    return p


def main(names: list[str]) -> None:
    for name in names or FIGURES:
        FOLDER.joinpath(f"{name}.svg").write_text(str(FIGURES[name]()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

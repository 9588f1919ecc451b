"""How `explain` names the matrices of a training step and says where each comes from.

Layers only pass arrays on, so a matrix is known by identity: what one layer returned and another took is the same object.
What a container made itself, such as the sum at the end of a residual block, is new to everybody and gets a new name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet import tree
from anynet.layers import ELU, GELU, SELU, Dense, Identity, LeakyReLU, Mish, ReLU, Sigmoid, SiLU, Softplus, Tanh
from anynet.losses import HalfSquaredError, MeanSquaredError, SoftmaxCrossEntropy
from anynet.namespace import Array
from anynet.optimizers import SGD
from anynet.trace import Event

ELEMENTWISE = (ELU, GELU, Identity, LeakyReLU, Mish, ReLU, SELU, Sigmoid, SiLU, Softplus, Tanh)
"""Layers of which δ = e ⊙ g′(z) can be said; of every other: e times the Jacobian."""

DERIVATIVES = [
    (HalfSquaredError(), "({y} − y) / N", r"\tfrac1N ({y} - y)"),
    (MeanSquaredError(), "2 / (N·O) · ({y} − y)", r"\tfrac{{2}}{{N O}} ({y} - y)"),
    (SoftmaxCrossEntropy(), "(softmax({y}) − y) / N", r"\tfrac1N (\text{{softmax}}({y}) - y)"),
]
"""∂L/∂ŷ as a formula, for the losses of the notes."""


@dataclass(frozen=True)
class Quantity:
    """A matrix of the step, with its name and where it comes from, each as text and as LaTeX."""

    name: str
    formula: str
    value: np.ndarray
    name_latex: str
    formula_latex: str


@dataclass(frozen=True)
class Part:
    """Some quantities under a heading."""

    heading: str
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True)
class Name:
    """Letter, number and primes of a matrix that passes between layers."""

    letter: str
    number: int
    primes: int = 0

    @property
    def text(self) -> str:
        return f"{self.letter}{self.number}{'′' * self.primes}"

    @property
    def latex(self) -> str:
        letter, primes = r"\delta" if self.letter == "δ" else self.letter, "'" * self.primes
        return f"{{{letter}_{{{self.number}}}{primes}}}"

    @property
    def gradient(self) -> Name:
        return Name("δ" if self.letter == "Z" else "e", self.number, self.primes)


@dataclass
class Call:
    """One use of a plain layer, with what went in and came out in both directions."""

    path: tree.Path
    layer: Any
    x: Array
    y: Array
    dy: Array = None
    dx: Array = None
    x_name: Name = Name("A", 0)
    y_name: Name = Name("A", 0)
    number: int = 0
    """Of its parameters: that of the first use where they are shared."""

    @property
    def again(self) -> bool:
        """Whether the parameters were used before."""
        return self.number != self.y_name.number

    @property
    def place(self) -> str:
        kind = type(self.layer).__name__
        return f"layer {tree.name(self.path)}, {kind}" if self.path else kind


def calls(events: list[Event]) -> list[Call]:
    """Join each backward event with its forward event: the last one at the same place that is still alone."""
    found: list[Call] = []
    for event in events:
        if event.what == "forward":
            found.append(Call(event.path, event.layer, event.input, event.output))
        else:
            call = next(c for c in reversed(found) if c.path == event.path and c.dy is None)
            call.dy, call.dx = event.input, event.output
    return found


class Story:
    """The parts of an explanation, from the calls of a step."""

    def __init__(
        self,
        calls: list[Call],
        params: Any,
        grads: Any,
        x: Array,
        y_pred: Array,
        to_numpy: Callable[[Array], np.ndarray],
    ) -> None:
        self.calls, self.params, self.grads = calls, params, grads
        self.x, self.y_pred, self.to_numpy = x, y_pred, to_numpy
        self._names: dict[int, Name] = {}
        self._made: Counter[int] = Counter()
        self._told: set[Name] = set()
        number, first = 0, dict[tree.Path, int]()
        self.x_name = self._name(x, number)
        for call in calls:
            call.x_name = self._names.get(id(call.x)) or self._name(call.x, number)
            if tree.leaves(tree.get(params, call.path)):
                number += 1
                call.y_name = self._names[id(call.y)] = Name("Z", number)
                call.number = first.setdefault(call.path, number)
            else:
                call.y_name, call.number = self._name(call.y, number), number
        self.y_name = self._names.get(id(y_pred)) or self._name(y_pred, number)
        self._uses = Counter(call.x_name for call in calls)

    def _name(self, a: Array, number: int) -> Name:
        """Give a matrix without parameters of its own the next free name: A1, A1′, A1′′."""
        name = self._names[id(a)] = Name("A", number, self._made[number])
        self._made[number] += 1
        return name

    def _quantity(self, name: str, formula: str, value: Array, name_latex: str, formula_latex: str) -> Quantity:
        return Quantity(name, formula, np.array(self.to_numpy(value)), name_latex, formula_latex)

    def _parameters(self, call: Call, values: Any) -> Iterator[tuple[str, str, Array]]:
        """Yield name, LaTeX and value of what a layer has in a tree like `params`: W1, b1, or the name it goes by."""
        if call.again:
            return
        for key in call.path:  # a frozen layer has no place among the gradients
            try:
                values = values[key]
            except (KeyError, IndexError):
                return
        for path, value in tree.places(values):
            name = tree.name(path)
            short = {"weight": "W", "bias": "b"}.get(name, name)
            escaped = short if short in "Wb" else r"\mathrm{" + short.replace("_", r"\_") + "}"
            yield f"{short}{call.number}", f"{escaped}_{{{call.number}}}", value

    def batch(self) -> Part:
        name = self.x_name
        self._told.add(name)
        return Part("The batch", (self._quantity(name.text, "X", self.x, name.latex, "X"),))

    def forward(self) -> Iterator[Part]:
        for call in self.calls:
            x, y = call.x_name, call.y_name
            formula, formula_latex = _forward_formula(call)
            quantities = self._made_by_container(x, call.x)
            for name, latex, value in self._parameters(call, self.params):
                quantities.append(self._quantity(name, "", value, latex, ""))
            quantities.append(self._quantity(y.text, formula, call.y, y.latex, formula_latex))
            self._told.add(y)
            yield Part(f"Forward: {call.place}", tuple(quantities))

    def _made_by_container(self, name: Name, value: Array) -> list[Quantity]:
        if name in self._told:
            return []
        self._told.add(name)
        return [
            self._quantity(name.text, "what the container makes", value, name.latex, r"\text{what the container makes}")
        ]

    def loss(self, loss: Any, y_true: Array, value: Array, dy: Array) -> Part:
        kind, name, e = type(loss).__name__, self.y_name, self.y_name.gradient
        formula, formula_latex = "∂L/∂{y}", r"\frac{{\partial L}}{{\partial {y}}}"
        for known, text, latex in DERIVATIVES:
            if known == loss:
                formula, formula_latex = text, latex
        self._told.add(e)
        return Part(
            "The loss",
            (
                *self._made_by_container(name, self.y_pred),
                self._quantity("y", "", y_true, "y", ""),
                self._quantity("L", f"{kind}({name.text}, y)", value, "L", rf"\text{{{kind}}}({name.latex}, y)"),
                self._quantity(e.text, formula.format(y=name.text), dy, e.latex, formula_latex.format(y=name.latex)),
            ),
        )

    def backward(self) -> Iterator[Part]:
        for call in reversed(self.calls):
            quantities = []
            e = call.y_name.gradient
            if e not in self._told:
                words = "what the container hands back" if self._uses[call.y_name] < 2 else "Σ of what comes back"
                quantities.append(self._quantity(e.text, words, call.dy, e.latex, rf"\text{{{words}}}"))
                self._told.add(e)
            for name, latex, value in self._parameters(call, self.grads):
                formula, formula_latex = _gradient_formula(call, name, latex)
                if sum(other.path == call.path for other in self.calls) > 1:
                    formula, formula_latex = (
                        "Σ over the uses of the layer",
                        r"\text{the sum over the uses of the layer}",
                    )
                quantities.append(self._quantity(f"∂{name}", formula, value, rf"\partial {latex}", formula_latex))
            if call.dx is not None:
                quantities.append(self._input_gradient(call))
            yield Part(f"Backward: {call.place}", tuple(quantities))

    def _input_gradient(self, call: Call) -> Quantity:
        """Tell ∂L/∂x: all of it where whoever made x received this very array, else the share through this layer."""
        name = call.x_name.gradient
        formula, formula_latex = _input_formula(call)
        text, latex = name.text, name.latex
        if self._uses[call.x_name] == 1 and any(other.dy is call.dx for other in self.calls):
            self._told.add(name)
        else:
            place = tree.name(call.path) or type(call.layer).__name__
            text, latex = f"{text} via {place}", rf"{latex}^{{\text{{via {place}}}}}"
        return self._quantity(text, formula, call.dx, latex, formula_latex)

    def update(self, optimizer: Any, new: Any) -> Part:
        quantities = []
        for call in self.calls:
            before = {name: value for name, _, value in self._parameters(call, self.params)}
            grads = {name: value for name, _, value in self._parameters(call, self.grads)}
            for name, latex, value in self._parameters(call, new):
                if name in grads:
                    formula, formula_latex = self._update_formula(
                        optimizer, name, latex, before[name], grads[name], value
                    )
                elif value is not before[name]:
                    formula, formula_latex = "moved by the batch", r"\text{moved by the batch}"
                else:
                    continue
                quantities.append(
                    self._quantity(f"{name} new", formula, value, rf"{latex}^{{\text{{new}}}}", formula_latex)
                )
        return Part("The update", tuple(quantities))

    def _update_formula(
        self, optimizer: Any, name: str, latex: str, before: Array, grad: Array, after: Array
    ) -> tuple[str, str]:
        """Return W − α ∂W where that is what the optimiser did, else its name."""
        rate = getattr(optimizer, "learning_rate", None)
        if isinstance(optimizer, SGD) and isinstance(rate, float):
            plain = self.to_numpy(before) - rate * self.to_numpy(grad)
            if np.allclose(plain, self.to_numpy(after), rtol=1e-5, atol=1e-7):
                return f"{name} − {rate:g}·∂{name}", rf"{latex} - {rate:g} \cdot \partial {latex}"
        kind = type(optimizer).__name__
        return f"{kind}({name}, ∂{name})", rf"\text{{{kind}}}({latex}, \partial {latex})"


def _forward_formula(call: Call) -> tuple[str, str]:
    kind, x, n = type(call.layer).__name__, call.x_name, call.number
    if not isinstance(call.layer, Dense):
        return f"{kind}({x.text})", rf"\text{{{kind}}}({x.latex})"
    if not call.layer.use_bias:
        return f"{x.text}·W{n}", rf"{x.latex} W_{{{n}}}"
    return f"{x.text}·W{n} + b{n}", rf"{x.latex} W_{{{n}}} + b_{{{n}}}"


def _gradient_formula(call: Call, name: str, latex: str) -> tuple[str, str]:
    """Return where the gradient of a parameter comes from."""
    x, y, e = call.x_name, call.y_name, call.y_name.gradient
    if isinstance(call.layer, Dense) and name.startswith("W"):
        return f"{x.text}ᵀ·{e.text}", rf"{x.latex}^T {e.latex}"
    if isinstance(call.layer, Dense):
        return f"Σ over the batch of {e.text}", rf"\sum_n {e.latex}"
    return f"{e.text} · ∂{y.text}/∂{name}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {latex}}}"


def _input_formula(call: Call) -> tuple[str, str]:
    """Return where ∂L/∂x comes from."""
    kind, x, y, e = type(call.layer).__name__, call.x_name, call.y_name, call.y_name.gradient
    if isinstance(call.layer, Dense):
        return f"{e.text}·W{call.number}ᵀ", rf"{e.latex} W_{{{call.number}}}^T"
    if isinstance(call.layer, ELEMENTWISE):
        return f"{e.text} ⊙ {kind}′({x.text})", rf"{e.latex} \odot \text{{{kind}}}'({x.latex})"
    return f"{e.text} · ∂{y.text}/∂{x.text}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {x.latex}}}"

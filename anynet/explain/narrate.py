"""How `explain` tells a training step: which matrices in which order, and where each comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.data.adapter import checked
from anynet.explain.names import Call, Name, Names, calls, joined, own_parameters
from anynet.layers import ELU, GELU, SELU, Dense, Identity, LeakyReLU, Mish, ReLU, Sigmoid, SiLU, Softplus, Tanh
from anynet.layers.hooks import LayerCall, with_hook
from anynet.losses import HalfSquaredError, Loss, MeanSquaredError, SoftmaxCrossEntropy
from anynet.optimizers import SGD
from anynet.training.step import cast, make_objective

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


def tell(model: Any, x: Any, y: Any) -> tuple[str, tuple[Part, ...], float]:
    """Return title, parts and loss of the training step that a model would take."""
    data = checked(model, "explain", model._data("explain", x, y))
    params, state, key = model._carry
    dtypes = {"dtype": model._dtype, "regularizer": model.regularizer, "compute_dtype": model._compute_dtype}
    used = model._compute_dtype or model._dtype
    events: list[LayerCall] = []
    watched = _WatchedLoss(model.loss, [])
    network = with_hook(model.layer, events.append)
    inputs = cast(data.x, used, integers=model.layer.integer_input)
    value, grads, (y_pred, _) = make_objective(network, watched, **dtypes)(params, inputs, data.y, None, key)
    loss, dy_pred = watched.seen

    called = calls(events)
    names = Names(called, params, inputs, y_pred)
    story = Story(called, params, grads, model.backend.to_numpy)
    parts = [story.batch(names.x, inputs), *story.forward()]
    parts.append(story.loss(model.loss, names.y, y_pred, data.y, loss, dy_pred))
    if model.regularizer is not None:
        parts.append(story.penalty(model.regularizer, value - loss, value))
    parts += story.backward()
    if model.optimizer is not None:
        objective, scale = make_objective(model.layer, model.loss, **dtypes), model.optimizer.loss_scale(state)
        _, (_, cache), new, _ = model.optimizer.step(
            lambda params: objective(params, inputs, data.y, None, key, scale), params, state
        )
        parts.append(story.update(model.optimizer, model.layer.update_buffers(new, cache)))
    layers = " – ".join(type(call.layer).__name__ for call in called) or type(model.layer).__name__
    title = f"One training step of {layers} on {len(data)} example{'' if len(data) == 1 else 's'}"
    return title, tuple(parts), float(value)


@dataclass(frozen=True)
class _WatchedLoss(Loss):
    """A loss that tells its value and its derivative."""

    loss: Loss
    seen: list[Any]

    def forward(self, y_pred: Any, y_true: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        value, cache = self.loss.forward(y_pred, y_true, sample_weight)
        self.seen.append(value)
        return value, cache

    def backward(self, cache: Any) -> Any:
        self.seen.append(self.loss.backward(cache))
        return self.seen[-1]


class Story:
    """The parts of an explanation, from the calls of a step."""

    def __init__(self, calls: list[Call], params: Any, grads: Any, to_numpy: Callable[[Array], np.ndarray]) -> None:
        self.calls, self.params, self.grads, self.to_numpy = calls, params, grads, to_numpy
        self._told: set[Name] = set()
        self._uses = Counter(name for call in calls for name in call.x_names)

    def _quantity(self, name: str, formula: str, value: Array, name_latex: str, formula_latex: str) -> Quantity:
        return Quantity(name, formula, np.array(self.to_numpy(value)), name_latex, formula_latex)

    def _parameters(self, call: Call, values: Any) -> Iterator[tuple[str, str, Array]]:
        """Yield name, LaTeX and value of what a layer has in a tree like `params`: W1, b1, or the name it goes by."""
        for key in call.path:  # a frozen layer has no place among the gradients
            try:
                values = values[key]
            except (KeyError, IndexError):
                return
        yield from own_parameters(values, call.number)

    def _given(self, names: tuple[Name, ...], values: Any, words: str) -> list[Quantity]:
        """Tell matrices that nobody has told yet, with words for where they come from."""
        told = []
        for name, value in zip(names, tree.leaves(values), strict=True):
            if name not in self._told:
                self._told.add(name)
                told.append(self._quantity(name.text, words, value, name.latex, rf"\text{{{words}}}"))
        return told

    def batch(self, names: tuple[Name, ...], x: Any) -> Part:
        return Part("The batch", tuple(self._given(names, x, "X")))

    def forward(self) -> Iterator[Part]:
        for call in self.calls:
            quantities = self._given(call.x_names, call.x, "what the container makes")
            if call.first:
                own = self._parameters(call, self.params)
                quantities += [self._quantity(name, "", value, latex, "") for name, latex, value in own]
            text, formula = _forward_formula(call)
            for name, value in zip(call.y_names, tree.leaves(call.y), strict=True):
                quantities.append(self._quantity(name.text, text, value, name.latex, formula))
                self._told.add(name)
            yield Part(f"Forward: {call.place}", tuple(quantities))

    def loss(self, loss: Any, names: tuple[Name, ...], y_pred: Any, y_true: Any, value: Array, dy: Any) -> Part:
        quantities = self._given(names, y_pred, "what the container makes")
        targets = tree.leaves(y_true)
        for i, target in enumerate(targets):
            name = "y" + "′" * i
            quantities.append(self._quantity(name, "", target, name.replace("′", "'"), ""))
        kind, of = type(loss).__name__, joined(names)
        quantities.append(
            self._quantity("L", f"{kind}({of[0]}, y)", value, "L", rf"\text{{{kind}}}({of[1]}, y)"),
        )
        text, formula = "∂L/∂{y}", r"\frac{{\partial L}}{{\partial {y}}}"
        for known, known_text, known_formula in DERIVATIVES:
            if known == loss:
                text, formula = known_text, known_formula
        for output, d in zip(names, tree.leaves(dy), strict=True):
            e = output.gradient
            self._told.add(e)
            quantities.append(
                self._quantity(e.text, text.format(y=output.text), d, e.latex, formula.format(y=output.latex))
            )
        return Part("The loss", tuple(quantities))

    def penalty(self, regularizer: Any, value: Array, total: Array) -> Part:
        kind = type(regularizer).__name__
        return Part(
            f"The regularizer: {kind}",
            (
                self._quantity("R", "", value, "R", ""),
                self._quantity("L + R", "", total, "L + R", ""),
            ),
        )

    def backward(self) -> Iterator[Part]:
        for call in reversed(self.calls):
            if not tree.leaves(call.dy):  # integers only passed on, which have no derivative
                continue
            once = all(self._uses[name] < 2 for name in call.y_names)
            words = "what the container hands back" if once else "Σ of what comes back"
            quantities = self._given(tuple(name.gradient for name in call.y_names), call.dy, words)
            if call.first:
                quantities += self._gradients(call)
            if call.dx is not None:
                quantities += self._input_gradients(call)
            yield Part(f"Backward: {call.place}", tuple(quantities))

    def _gradients(self, call: Call) -> Iterator[Quantity]:
        own = {name: value for name, _, value in own_parameters(call.grads, call.number)}
        for name, latex, value in self._parameters(call, self.grads):
            text, formula = _gradient_formula(call, name, latex)
            if sum(other.path == call.path for other in self.calls) > 1:
                text, formula = "Σ over the uses of the layer", r"\text{the sum over the uses of the layer}"
            elif not np.allclose(self.to_numpy(value), self.to_numpy(own[name]), rtol=1e-3, atol=0.0):
                text, formula = f"{text} + ∂R/∂{name}", rf"{formula} + \frac{{\partial R}}{{\partial {latex}}}"
            yield self._quantity(f"∂{name}", text, value, rf"\partial {latex}", formula)

    def _input_gradients(self, call: Call) -> Iterator[Quantity]:
        """Tell ∂L/∂x: all of it where whoever made x received this very array, else the share through this layer."""
        received = {id(a) for other in self.calls for a in tree.leaves(other.dy)}
        for x, value in zip(call.x_names, tree.leaves(call.dx), strict=False):
            text, formula = _input_formula(call, x)
            name, latex = x.gradient.text, x.gradient.latex
            if self._uses[x] == 1 and id(value) in received:
                self._told.add(x.gradient)
            else:
                place = tree.name(call.path) or type(call.layer).__name__
                uses = [other for other in self.calls if other.path == call.path]
                place += f", use {uses.index(call) + 1}" if len(uses) > 1 else ""
                name, latex = f"{name} via {place}", rf"{latex}^{{\text{{via {place}}}}}"
            yield self._quantity(name, text, value, latex, formula)

    def update(self, optimizer: Any, new: Any) -> Part:
        quantities = []
        for call in self.calls:
            if not call.first:
                continue
            before = {name: value for name, _, value in self._parameters(call, self.params)}
            grads = {name: value for name, _, value in self._parameters(call, self.grads)}
            for name, latex, value in self._parameters(call, new):
                if name in grads:
                    text, formula = self._update_formula(optimizer, name, latex, before[name], grads[name], value)
                elif value is not before[name]:
                    text, formula = "moved by the batch", r"\text{moved by the batch}"
                else:
                    continue
                quantities.append(self._quantity(f"{name} new", text, value, rf"{latex}^{{\text{{new}}}}", formula))
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
    kind, n = type(call.layer).__name__, call.number
    x, latex = joined(call.x_names)
    if not isinstance(call.layer, Dense):
        return f"{kind}({x})", rf"\text{{{kind}}}({latex})"
    if not call.layer.use_bias:
        return f"{x}·W{n}", rf"{latex} W_{{{n}}}"
    return f"{x}·W{n} + b{n}", rf"{latex} W_{{{n}}} + b_{{{n}}}"


def _gradient_formula(call: Call, name: str, latex: str) -> tuple[str, str]:
    """Return where the gradient of a parameter comes from."""
    x, y = call.x_names[0], call.y_names[0]
    e = y.gradient
    if isinstance(call.layer, Dense) and name.startswith("W"):
        return f"{x.text}ᵀ·{e.text}", rf"{x.latex}^T {e.latex}"
    if isinstance(call.layer, Dense):
        return f"Σ over the batch of {e.text}", rf"\sum_n {e.latex}"
    return f"{e.text} · ∂{y.text}/∂{name}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {latex}}}"


def _input_formula(call: Call, x: Name) -> tuple[str, str]:
    """Return where ∂L/∂x comes from."""
    kind, y = type(call.layer).__name__, call.y_names[0]
    e = y.gradient
    if isinstance(call.layer, Dense):
        return f"{e.text}·W{y.number}ᵀ", rf"{e.latex} W_{{{y.number}}}^T"
    if isinstance(call.layer, ELEMENTWISE):
        return f"{e.text} ⊙ {kind}′({x.text})", rf"{e.latex} \odot \text{{{kind}}}'({x.latex})"
    return f"{e.text} · ∂{y.text}/∂{x.text}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {x.latex}}}"

"""The parts of an explanation: matrices in order, with the formula of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, ArrayLike
from anynet.data.adapter import DataAdapter
from anynet.explain.inside import inside
from anynet.explain.names import LayerUse, Name, Names, joined, layer_uses, own_parameters
from anynet.layers import ELU, GELU, SELU, Dense, Identity, LeakyReLU, Mish, ReLU, Sigmoid, SiLU, Softplus, Tanh
from anynet.layers.base import Layer
from anynet.layers.hooks import LayerCall, own_params, with_hook
from anynet.losses import HalfSquaredError, Loss, MeanSquaredError, SoftmaxCrossEntropy
from anynet.optimizers import SGD, Optimizer
from anynet.regularizers import Regularizer
from anynet.training.step import cast, make_objective

if TYPE_CHECKING:
    from anynet.model import Model

ELEMENTWISE = (ELU, GELU, Identity, LeakyReLU, Mish, ReLU, SELU, Sigmoid, SiLU, Softplus, Tanh)
"""Layers with δ = e ⊙ g′(z); all others are described by e times the Jacobian."""

DERIVATIVES = [
    (HalfSquaredError(), "({y} − y) / N", r"\tfrac1N ({y} - y)"),
    (MeanSquaredError(), "2 / (N·O) · ({y} − y)", r"\tfrac{{2}}{{N O}} ({y} - y)"),
    (SoftmaxCrossEntropy(), "(softmax({y}) − y) / N", r"\tfrac1N (\text{{softmax}}({y}) - y)"),
]
"""Formulas of ∂L/∂ŷ for the losses of the notes."""


@dataclass(frozen=True)
class Quantity:
    """A matrix of the step, with name and formula as text and as LaTeX."""

    name: str
    formula: str
    value: np.ndarray
    name_latex: str
    formula_latex: str


@dataclass(frozen=True)
class Part:
    """Quantities under a heading."""

    heading: str
    quantities: tuple[Quantity, ...]


def explain_step(model: Model, x: ArrayLike, y: ArrayLike) -> tuple[str, tuple[Part, ...], float]:
    """Return title, parts and loss of the next training step of a model."""
    config, backend, (params, opt_state, key) = model.config, model.backend, model.state
    adapter = DataAdapter(config, backend, model.output_shape)
    batch = adapter.check("explain", adapter.batch("explain", x, y))
    dtype = backend.dtype(config.dtype)
    compute_dtype = None if config.compute_dtype is None else backend.half(config.compute_dtype)
    calls: list[LayerCall] = []
    loss = _RecordingLoss(config.required_loss, [])
    network = with_hook(config.layer, calls.append)
    inputs = cast(batch.x, compute_dtype or dtype, integers=config.layer.integer_input)
    objective = make_objective(network, loss, dtype, config.regularizer, compute_dtype)
    value, grads, (y_pred, _) = objective(params, inputs, batch.y, None, key)
    loss_value, dy_pred = loss.recorded

    uses = layer_uses(calls)
    names = Names(uses, params, inputs, y_pred)
    narrator = Narrator(uses, params, grads, backend.to_numpy)
    parts = [narrator.batch(names.x, inputs), *narrator.forward()]
    parts.append(narrator.loss(config.required_loss, names.y, y_pred, batch.y, loss_value, dy_pred))
    if config.regularizer is not None:
        parts.append(narrator.penalty(config.regularizer, value - loss_value, value))
    parts += narrator.backward()
    parts += narrator.containers(config.layer)
    if config.optimizer is not None:
        objective = make_objective(config.layer, config.required_loss, dtype, config.regularizer, compute_dtype)
        scale = config.optimizer.loss_scale(opt_state)
        _, (_, cache), new, _ = config.optimizer.step(
            lambda params: objective(params, inputs, batch.y, None, key, scale), params, opt_state
        )
        parts.append(narrator.update(config.optimizer, config.layer.update_buffers(new, cache)))
    layers = " – ".join(type(use.layer).__name__ for use in uses) or type(config.layer).__name__
    title = f"One training step of {layers} on {len(batch)} example{'' if len(batch) == 1 else 's'}"
    return title, tuple(parts), float(value)


@dataclass(frozen=True)
class _RecordingLoss(Loss):
    """A loss that records its value and its derivative."""

    loss: Loss
    recorded: list[Any]

    def forward(self, y_true: Any, y_pred: Any, sample_weight: Any = None, denominators: Any = None) -> tuple[Any, Any]:
        value, cache = self.loss.forward(y_true, y_pred, sample_weight, denominators)
        self.recorded.append(value)
        return value, cache

    def backward(self, cache: Any) -> Any:
        self.recorded.append(self.loss.backward(cache))
        return self.recorded[-1]


class Narrator:
    """Creates the parts of an explanation from the layer calls of a step."""

    def __init__(self, uses: list[LayerUse], params: Any, grads: Any, to_numpy: Callable[[Array], np.ndarray]) -> None:
        self.uses, self.params, self.grads, self.to_numpy = uses, params, grads, to_numpy
        self._explained: set[Name] = set()
        self._uses = Counter(name for use in uses for name in use.x_names)

    def _quantity(self, name: str, formula: str, value: Array, name_latex: str, formula_latex: str) -> Quantity:
        return Quantity(name, formula, np.array(self.to_numpy(value)), name_latex, formula_latex)

    def _parameters(self, use: LayerUse, values: Any) -> Iterator[tuple[str, str, Array]]:
        """Yield name, LaTeX and value of a layer's entries in a tree like `params`."""
        for key in use.path:  # a frozen layer has no gradients
            try:
                values = values[key]
            except (KeyError, IndexError):
                return
        yield from own_parameters(values, use.number)

    def _unexplained(self, names: tuple[Name, ...], values: Any, words: str) -> list[Quantity]:
        """Return those matrices that have not been explained yet, with words in place of a formula."""
        quantities = []
        for name, value in zip(names, tree.leaves(values), strict=True):
            if name not in self._explained:
                self._explained.add(name)
                quantities.append(self._quantity(name.text, words, value, name.latex, rf"\text{{{words}}}"))
        return quantities

    def batch(self, names: tuple[Name, ...], x: Any) -> Part:
        return Part("The batch", tuple(self._unexplained(names, x, "X")))

    def forward(self) -> Iterator[Part]:
        for use in self.uses:
            quantities = self._unexplained(use.x_names, use.x, "output of the container")
            if use.first:
                own = self._parameters(use, self.params)
                quantities += [self._quantity(name, "", value, latex, "") for name, latex, value in own]
            quantities += self._inside(use)
            text, formula = _forward_formula(use)
            for name, value in zip(use.y_names, tree.leaves(use.y), strict=True):
                quantities.append(self._quantity(name.text, text, value, name.latex, formula))
                self._explained.add(name)
            yield Part(f"Forward: {use.place}", tuple(quantities))

    def _inside(self, use: LayerUse) -> Iterator[Quantity]:
        """Yield the matrices inside a layer."""
        y = use.y_names[0]
        for letter, text, formula, value in inside(use.layer, use.params, use.cache):
            name = replace(y, letter=letter)
            yield self._quantity(name.text, text, value, name.latex, formula)

    def loss(self, loss: Loss, names: tuple[Name, ...], y_pred: Any, y_true: Any, value: Array, dy: Any) -> Part:
        quantities = self._unexplained(names, y_pred, "output of the container")
        targets = tree.leaves(y_true)
        for i, target in enumerate(targets):
            name = "y" + "′" * i
            quantities.append(self._quantity(name, "", target, name.replace("′", "'"), ""))
        kind, of = type(loss).__name__, joined(names)
        quantities.append(self._quantity("L", f"{kind}({of[0]}, y)", value, "L", rf"\text{{{kind}}}({of[1]}, y)"))
        text, formula = "∂L/∂{y}", r"\frac{{\partial L}}{{\partial {y}}}"
        for known, known_text, known_formula in DERIVATIVES:
            if known == loss:
                text, formula = known_text, known_formula
        for output, d in zip(names, tree.leaves(dy), strict=True):
            e = output.gradient
            self._explained.add(e)
            quantities.append(
                self._quantity(e.text, text.format(y=output.text), d, e.latex, formula.format(y=output.latex))
            )
        return Part("The loss", tuple(quantities))

    def penalty(self, regularizer: Regularizer, value: Array, total: Array) -> Part:
        quantities = (self._quantity(name, "", a, name, "") for name, a in (("R", value), ("L + R", total)))
        return Part(f"The regularizer: {type(regularizer).__name__}", tuple(quantities))

    def backward(self) -> Iterator[Part]:
        for use in reversed(self.uses):
            if not tree.leaves(use.dy):  # integers have no derivative
                continue
            once = all(self._uses[name] < 2 for name in use.y_names)
            words = "returned by the container" if once else "Σ over the layers that use it"
            quantities = self._unexplained(tuple(name.gradient for name in use.y_names), use.dy, words)
            if use.first:
                quantities += self._gradients(use)
            if use.dx is not None:
                quantities += self._input_gradients(use)
            yield Part(f"Backward: {use.place}", tuple(quantities))

    def _gradients(self, use: LayerUse) -> Iterator[Quantity]:
        own = {name: value for name, _, value in own_parameters(use.grads, use.number)}
        for name, latex, value in self._parameters(use, self.grads):
            text, formula = _gradient_formula(use, name, latex)
            if sum(other.path == use.path for other in self.uses) > 1:
                text, formula = "Σ over the uses of the layer", r"\text{the sum over the uses of the layer}"
            elif not np.allclose(self.to_numpy(value), self.to_numpy(own[name]), rtol=1e-3, atol=0.0):
                text, formula = f"{text} + ∂R/∂{name}", rf"{formula} + \frac{{\partial R}}{{\partial {latex}}}"
            yield self._quantity(f"∂{name}", text, value, rf"\partial {latex}", formula)

    def _input_gradients(self, use: LayerUse) -> Iterator[Quantity]:
        """Yield ∂L/∂x: in total if the layer that returned x received this array, else the share of this layer."""
        received = {id(a) for other in self.uses for a in tree.leaves(other.dy)}
        for x, value in zip(use.x_names, tree.leaves(use.dx), strict=False):
            text, formula = _input_formula(use, x)
            name, latex = x.gradient.text, x.gradient.latex
            if self._uses[x] == 1 and id(value) in received:
                self._explained.add(x.gradient)
            else:
                place = tree.name(use.path) or type(use.layer).__name__
                uses = [other for other in self.uses if other.path == use.path]
                place += f", use {uses.index(use) + 1}" if len(uses) > 1 else ""
                name, latex = f"{name} via {place}", rf"{latex}^{{\text{{via {place}}}}}"
            yield self._quantity(name, text, value, latex, formula)

    def containers(self, layer: Layer) -> Iterator[Part]:
        """Yield a part for each container with parameters of its own."""
        for path, container, own in own_params(layer, self.params):
            kind, quantities = type(container).__name__, []
            for key, value in own.items():
                name = tree.name((*path, key))
                latex = r"\text{" + name.replace("_", r"\_") + "}"
                quantities.append(self._quantity(name, "", value, latex, ""))
                try:
                    grad = tree.get(self.grads, (*path, key))
                except (KeyError, IndexError):  # a frozen layer has no gradients
                    continue
                words = "Σ over its uses"
                quantities.append(self._quantity(f"∂{name}", words, grad, rf"\partial {latex}", rf"\text{{{words}}}"))
            yield Part(f"Container: {kind}", tuple(quantities))

    def update(self, optimizer: Optimizer, new: Any) -> Part:
        quantities = []
        for use in self.uses:
            if not use.first:
                continue
            before = {name: value for name, _, value in self._parameters(use, self.params)}
            grads = {name: value for name, _, value in self._parameters(use, self.grads)}
            for name, latex, value in self._parameters(use, new):
                if name in grads:
                    text, formula = self._update_formula(optimizer, name, latex, before[name], grads[name], value)
                elif value is not before[name]:
                    text, formula = "updated from the batch", r"\text{updated from the batch}"
                else:
                    continue
                quantities.append(self._quantity(f"{name} new", text, value, rf"{latex}^{{\text{{new}}}}", formula))
        return Part("The update", tuple(quantities))

    def _update_formula(
        self, optimizer: Optimizer, name: str, latex: str, before: Array, grad: Array, after: Array
    ) -> tuple[str, str]:
        """Return W − α ∂W if the optimizer computed that, else the optimizer's name."""
        rate = getattr(optimizer, "learning_rate", None)
        if isinstance(optimizer, SGD) and isinstance(rate, float):
            plain = self.to_numpy(before) - rate * self.to_numpy(grad)
            if np.allclose(plain, self.to_numpy(after), rtol=1e-5, atol=1e-7):
                return f"{name} − {rate:g}·∂{name}", rf"{latex} - {rate:g} \cdot \partial {latex}"
        kind = type(optimizer).__name__
        return f"{kind}({name}, ∂{name})", rf"\text{{{kind}}}({latex}, \partial {latex})"


def _forward_formula(use: LayerUse) -> tuple[str, str]:
    kind, n = type(use.layer).__name__, use.number
    x, latex = joined(use.x_names)
    if not isinstance(use.layer, Dense):
        return f"{kind}({x})", rf"\text{{{kind}}}({latex})"
    if not use.layer.use_bias:
        return f"{x}·W{n}", rf"{latex} W_{{{n}}}"
    return f"{x}·W{n} + b{n}", rf"{latex} W_{{{n}}} + b_{{{n}}}"


def _gradient_formula(use: LayerUse, name: str, latex: str) -> tuple[str, str]:
    """Return the formula of the gradient of a parameter."""
    x, y = use.x_names[0], use.y_names[0]
    e = y.gradient
    if isinstance(use.layer, Dense) and name.startswith("W"):
        return f"{x.text}ᵀ·{e.text}", rf"{x.latex}^T {e.latex}"
    if isinstance(use.layer, Dense):
        return f"Σ over the batch of {e.text}", rf"\sum_n {e.latex}"
    return f"{e.text} · ∂{y.text}/∂{name}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {latex}}}"


def _input_formula(use: LayerUse, x: Name) -> tuple[str, str]:
    """Return the formula of ∂L/∂x."""
    kind, y = type(use.layer).__name__, use.y_names[0]
    e = y.gradient
    if isinstance(use.layer, Dense):
        return f"{e.text}·W{y.number}ᵀ", rf"{e.latex} W_{{{y.number}}}^T"
    if isinstance(use.layer, ELEMENTWISE):
        return f"{e.text} ⊙ {kind}′({x.text})", rf"{e.latex} \odot \text{{{kind}}}'({x.latex})"
    return f"{e.text} · ∂{y.text}/∂{x.text}", rf"{e.latex} \cdot \frac{{\partial {y.latex}}}{{\partial {x.latex}}}"

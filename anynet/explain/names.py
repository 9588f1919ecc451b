"""Names of the matrices of a training step.

Matrices are identified by object identity, because the output of one layer and the input of the next are the same object. An
array that a container computes, such as the sum at the end of a residual block, gets a new name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.layers.base import Layer
from anynet.layers.hooks import LayerCall


@dataclass(frozen=True)
class Name:
    """Letter, number and primes of a matrix that one layer passes to another."""

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
class LayerUse:
    """One use of a plain layer, with inputs and outputs of both directions."""

    path: tree.Path
    layer: Layer
    x: Any
    y: Any
    dy: Any = None
    dx: Any = None
    grads: Any = None
    params: Any = None
    cache: Any = None
    x_names: tuple[Name, ...] = ()
    y_names: tuple[Name, ...] = ()
    first: bool = True
    """Whether this is the first use of the layer's parameters."""

    @property
    def number(self) -> int:
        return self.y_names[0].number

    @property
    def place(self) -> str:
        kind = type(self.layer).__name__
        return f"layer {tree.name(self.path)}, {kind}" if self.path else kind


def layer_uses(calls: list[LayerCall]) -> list[LayerUse]:
    """Match each backward call with the last unmatched forward call at the same path."""
    uses: list[LayerUse] = []
    for call in calls:
        if call.method == "forward":
            use = LayerUse(call.path, call.layer, call.input, call.output, params=call.params, cache=call.cache)
            uses.append(use)
        else:
            use = next(use for use in reversed(uses) if use.path == call.path and use.dy is None)
            use.dy, use.dx, use.grads = call.input, call.output, call.grads
    return uses


class Names:
    """Names of all matrices of a step."""

    def __init__(self, uses: list[LayerUse], params: Any, x: Any, y_pred: Any) -> None:
        self._known: dict[int, Name] = {}
        self._counts: Counter[tuple[str, int]] = Counter()
        numbers: dict[tree.Path, int] = {}
        number = 0
        self.x = tuple(self._new(a, "A", 0) for a in tree.leaves(x))
        for use in uses:
            use.x_names = self._of(use.x, number)
            use.first = use.path not in numbers
            letter = "Z" if tree.leaves(tree.get(params, use.path)) else "A"
            if letter == "Z":
                number = numbers.setdefault(use.path, len(numbers) + 1)
            use.y_names = tuple(self._new(a, letter, number) for a in tree.leaves(use.y))
        # with half precision, the output is a cast copy of the last layer's
        last = tree.leaves(uses[-1].y) if uses else []
        for a, b in zip(tree.leaves(y_pred), last, strict=False):
            if id(a) not in self._known and a.dtype != b.dtype and a.shape == b.shape:
                self._known[id(a)] = self._known[id(b)]
        self.y = self._of(y_pred, number)

    def _of(self, values: Any, number: int) -> tuple[Name, ...]:
        """Return the names of arrays; an array without a name was computed by a container."""
        return tuple(self._known.get(id(a)) or self._new(a, "A", number) for a in tree.leaves(values))

    def _new(self, a: Array, letter: str, number: int) -> Name:
        """Name an array with the next free name: A1, A1′, A1′′."""
        name = self._known[id(a)] = Name(letter, number, self._counts[letter, number])
        self._counts[letter, number] += 1
        return name


def own_parameters(values: Any, number: int) -> Iterator[tuple[str, str, Array]]:
    """Yield name, LaTeX and value of each parameter of one layer."""
    for path, value in tree.leaves_with_paths(values):
        name = tree.name(path)
        short = {"weight": "W", "bias": "b"}.get(name, name)
        escaped = short if short in "Wb" else r"\mathrm{" + short.replace("_", r"\_") + "}"
        yield f"{short}{number}", f"{escaped}_{{{number}}}", value


def joined(names: tuple[Name, ...]) -> tuple[str, str]:
    return ", ".join(name.text for name in names), ", ".join(name.latex for name in names)

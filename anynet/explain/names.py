"""How `explain` names the matrices of a training step.

Layers only pass arrays on, so a matrix is known by identity: what one layer returned and another took is the same object.
What a container made itself, such as the sum at the end of a residual block, is new to everybody and gets a new name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anynet import tree
from anynet.arrays.namespace import Array
from anynet.layers.hooks import LayerCall


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
    x: Any
    y: Any
    dy: Any = None
    dx: Any = None
    grads: Any = None
    x_names: tuple[Name, ...] = ()
    y_names: tuple[Name, ...] = ()
    first: bool = True
    """Whether no layer with the same parameters was used before."""

    @property
    def number(self) -> int:
        return self.y_names[0].number

    @property
    def place(self) -> str:
        kind = type(self.layer).__name__
        return f"layer {tree.name(self.path)}, {kind}" if self.path else kind


def calls(events: list[LayerCall]) -> list[Call]:
    """Join each backward event with its forward event: the last one at the same place that is still alone."""
    found: list[Call] = []
    for event in events:
        if event.method == "forward":
            found.append(Call(event.path, event.layer, event.input, event.output))
        else:
            call = next(c for c in reversed(found) if c.path == event.path and c.dy is None)
            call.dy, call.dx, call.grads = event.input, event.output, event.grads
    return found


class Names:
    """Gives every matrix of a step its name."""

    def __init__(self, calls: list[Call], params: Any, x: Any, y_pred: Any) -> None:
        self._known: dict[int, Name] = {}
        self._made: Counter[tuple[str, int]] = Counter()
        numbers: dict[tree.Path, int] = {}
        number = 0
        self.x = tuple(self._new(a, "A", 0) for a in tree.leaves(x))
        for call in calls:
            call.x_names = self._of(call.x, number)
            call.first = call.path not in numbers
            letter = "Z" if tree.leaves(tree.get(params, call.path)) else "A"
            if letter == "Z":
                number = numbers.setdefault(call.path, len(numbers) + 1)
            call.y_names = tuple(self._new(a, letter, number) for a in tree.leaves(call.y))
        # where layers compute in half precision, the output is the last layer's, cast
        last = tree.leaves(calls[-1].y) if calls else []
        for a, b in zip(tree.leaves(y_pred), last, strict=False):
            if id(a) not in self._known and a.dtype != b.dtype and a.shape == b.shape:
                self._known[id(a)] = self._known[id(b)]
        self.y = self._of(y_pred, number)

    def _of(self, values: Any, number: int) -> tuple[Name, ...]:
        """Return the names of arrays; what is not known was made by a container."""
        return tuple(self._known.get(id(a)) or self._new(a, "A", number) for a in tree.leaves(values))

    def _new(self, a: Array, letter: str, number: int) -> Name:
        """Return the next free name: A1, A1′, A1′′."""
        name = self._known[id(a)] = Name(letter, number, self._made[letter, number])
        self._made[letter, number] += 1
        return name


def own_parameters(values: Any, number: int) -> Iterator[tuple[str, str, Array]]:
    """Yield name, LaTeX and value of each array of one layer."""
    for path, value in tree.leaves_with_paths(values):
        name = tree.name(path)
        short = {"weight": "W", "bias": "b"}.get(name, name)
        escaped = short if short in "Wb" else r"\mathrm{" + short.replace("_", r"\_") + "}"
        yield f"{short}{number}", f"{escaped}_{{{number}}}", value


def joined(names: tuple[Name, ...]) -> tuple[str, str]:
    return ", ".join(name.text for name in names), ", ".join(name.latex for name in names)

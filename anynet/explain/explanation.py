"""The result of `anynet.explain`: one training step as text, as Markdown and as matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anynet.explain import matrices
from anynet.explain.narrate import Part


@dataclass(frozen=True)
class Explanation:
    """One training step, told.

    Attributes
    ----------
    title : str
        What was done on what.
    parts : tuple of Part
        The story in order: the batch, each layer forward, the loss, each layer backward, the update. A part has a `heading`
        and `quantities`, each with `name`, `formula` and `value`.
    loss : float
        The loss before the update.

    Notes
    -----
    ``print(told)`` shows it in a terminal, a notebook shows it with formulas, and ``told["δ1"]`` is a matrix by its
    name, as a NumPy array; ``told.names`` lists them.
    """

    title: str
    parts: tuple[Part, ...]
    loss: float

    @property
    def names(self) -> list[str]:
        """Names of all quantities, in the order of the story."""
        return [q.name for part in self.parts for q in part.quantities]

    def __getitem__(self, name: str) -> np.ndarray:
        for part in self.parts:
            for quantity in part.quantities:
                if quantity.name == name:
                    return quantity.value
        raise KeyError(f"explain: expected one of {', '.join(self.names)}, got {name!r}")

    def text(self, *, rows: int = 8, columns: int = 8) -> str:
        """Return the story for a terminal, with matrices of at most so many rows and columns."""
        lines = [self.title]
        for part in self.parts:
            lines += ["", part.heading]
            for q in part.quantities:
                line = f"  {q.name} = {q.formula}" if q.formula else f"  {q.name}"
                if not q.value.ndim:
                    lines.append(f"{line} = {matrices.number(q.value.item())}")
                    continue
                size = ", ".join(filter(None, (matrices.shape(q.value), matrices.left_out(q.value, rows, columns))))
                lines.append(f"{line}   {size}")
                lines += ["      " + row for row in matrices.text(q.value, rows, columns)]
        return "\n".join(lines)

    def markdown(self, *, rows: int = 8, columns: int = 8) -> str:
        """Return the story as Markdown with LaTeX, with matrices of at most so many rows and columns."""
        blocks = [f"**{self.title}**"]
        for part in self.parts:
            blocks.append(f"**{part.heading}**")
            for q in part.quantities:
                left = f"{q.name_latex} = {q.formula_latex}" if q.formula_latex else q.name_latex
                if q.value.ndim:
                    right = rf"{matrices.latex(q.value, rows, columns)} \qquad \text{{{matrices.shape(q.value)}}}"
                else:
                    right = matrices.number(q.value.item())
                blocks.append(f"$$\n{left} = {right}\n$$")
                if cut := matrices.left_out(q.value, rows, columns):
                    blocks.append(f"*{cut}*")
        return "\n\n".join(blocks)

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()

"""The result of `anynet.explain`: one training step as text, as Markdown and as matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anynet.explain import matrices
from anynet.explain.narrate import Part


@dataclass(frozen=True, repr=False)
class Explanation:
    """One training step: ``print`` shows it as text, a notebook with formulas.

    ``explanation["δ1"]`` is the matrix of that name, as a NumPy array.

    Attributes
    ----------
    title : str
        Layers and number of examples.
    parts : tuple of Part
        The batch, each layer forward, the loss, each layer backward, the update. A part has a `heading` and `quantities`,
        each with `name`, `formula` and `value`.
    loss : float
        The loss before the update.
    """

    title: str
    parts: tuple[Part, ...]
    loss: float

    @property
    def names(self) -> list[str]:
        """Names of all quantities, in order."""
        return [q.name for part in self.parts for q in part.quantities]

    def __getitem__(self, name: str) -> np.ndarray:
        for part in self.parts:
            for quantity in part.quantities:
                if quantity.name == name:
                    return quantity.value
        raise KeyError(f"explain: expected one of {', '.join(self.names)}, got {name!r}")

    def text(self, *, rows: int = 8, columns: int = 8) -> str:
        """Return text for a terminal, with at most `rows` rows and `columns` columns per matrix."""
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
        """Return Markdown with LaTeX, with at most `rows` rows and `columns` columns per matrix."""
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

    def __repr__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()

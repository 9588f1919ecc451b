"""HTML for notebooks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, texts: Sequence[int] = ()) -> str:
    """Return an HTML table with a caption.

    The columns `texts` are aligned left, the others right."""

    def line(tag: str, cells: Sequence[str]) -> str:
        aligned = ("left" if index in texts else "right" for index in range(len(cells)))
        parts = (
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
            for side, cell in zip(aligned, cells, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<p>{escape(caption)}</p><table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>"


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")

"""Write the tables and draw the figures of docs/reproductions.md: ``python -m tests.reproductions.page``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .__main__ import MODULES, SETTINGS
from .base import Setting
from .results import Results, Row

PAGE = Path(__file__).parents[2] / "docs" / "reproductions.md"
FIGURES = PAGE.parent / "figures" / "reproductions"
COLORS = 128  # enough for lines, text and gray images, in a third of the size
Figure = tuple[tuple[str, ...], Callable[[Results], Any]]
"""Settings whose results a figure needs, and the function that draws it."""
NOT_RUN = "not run yet"
TEST_IMAGES = 10_000


def results_table(results: Results) -> str:
    """Return the table of all settings, and the machines below it."""
    lines = ["| paper | setting | theirs | ours | compared | CPU time per seed | machine |", "|---" * 7 + "|"]
    machines = distinct(row["machine"] for row in results.rows)
    for setting in SETTINGS:
        rows = results.of(setting.name)
        places = ", ".join(letter(machines, name) for name in distinct(row["machine"] for row in rows))
        cells = (setting.paper, setting.short, setting.theirs, ours(setting, rows), compared(setting, rows))
        lines.append(f"| {' | '.join((*cells, cpu_time(rows), places))} |")
    return "\n".join([*lines, "", *(f"Machine {letter(machines, name)}: {name}." for name in machines)])


def letter(machines: list[str], name: str) -> str:
    """Return the letter of a machine."""
    return chr(ord("A") + machines.index(name))


def settings_list(results: Results) -> str:
    """Return a list of the settings in full, with the other values of their runs."""
    return "\n".join(
        f"* `{setting.name}` ({setting.paper}): {setting.text}{others(setting, results.of(setting.name))}"
        for setting in SETTINGS
    )


def ours(setting: Setting, rows: list[Row]) -> str:
    """Return mean and standard deviation of the value over seeds."""
    if not rows:
        return NOT_RUN
    text = f"{spread([row['value'] for row in rows], setting.digits)} {setting.unit}".strip()
    return f"**{text}** ({len(rows)} seed{'s' if len(rows) > 1 else ''})"


def others(setting: Setting, rows: list[Row]) -> str:
    """Return the means and standard deviations of the other values."""
    if not rows or not setting.also:
        return ""
    parts = (f"{what} {spread([row[name] for row in rows], setting.digits)}" for name, what in setting.also.items())
    return f" *Ours: {', '.join(parts)}.*"


def spread(values: list[float], digits: int) -> str:
    """Return ``mean ± standard deviation``; one value has no deviation."""
    mean = float(np.mean(values))
    form = f".{digits}f" if round(mean, digits) or not mean else ".1e"
    return format(mean, form) + (f" ± {np.std(values, ddof=1):{form}}" if len(values) > 1 else "")


def number(value: float, digits: int) -> str:
    """Format with decimals, or a power of ten if these would all be 0."""
    return f"{value:.{digits}f}" if round(value, digits) or not value else f"{value:.1e}"


def compared(setting: Setting, rows: list[Row]) -> str:
    """Return the difference from the paper, or the number of seeds that confirm its claim."""
    if not rows:
        return "needs `--full`" if setting.full else NOT_RUN
    values = [row["value"] for row in rows]
    if setting.target is None:
        return f"confirmed by {sum(value > 0 for value in values)} of {len(values)}"
    difference = float(np.mean(values)) - setting.target
    if setting.better == "near":
        return f"differs by {number(abs(difference), setting.digits)}"
    difference *= -1 if setting.better == "lower" else 1
    if round(difference, setting.digits + 1) == 0:
        return "equal"
    if difference > 0:
        return f"better by {number(difference, setting.digits)}"
    return f"misses by {number(-difference, setting.digits)}{theirs_error(setting)}"


def theirs_error(setting: Setting) -> str:
    """Return the standard error of a percentage of 10 000 images."""
    if setting.unit != "%" or not setting.target:
        return ""
    return f" (standard error of theirs {np.sqrt(setting.target * (100 - setting.target) / TEST_IMAGES):.2f})"


def cpu_time(rows: list[Row]) -> str:
    """Return the mean processor time in seconds or minutes."""
    if not rows:
        return ""
    seconds = float(np.mean([row["cpu_seconds"] for row in rows]))
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def choices_table(results: Results) -> str:
    """Return the table of the choices among candidates, with the score of each."""
    lines = ["| choice | chosen | scores | criterion, lower is better |", "|---" * 4 + "|"]
    for row in results.rows:
        if "scores" in row and "by" in row:
            scores: dict[str, float] = row["scores"]
            best = min(scores, key=lambda name: scores[name])
            shown = ", ".join(f"{name}: {score_text(score)}" for name, score in scores.items())
            lines.append(f"| {row['setting']} | {best} | {shown} | {row['by']} |")
    return "\n".join(lines)


def score_text(score: float) -> str:
    return "failed" if score >= 1e9 else f"{score:.4g}"


def distinct(texts: Iterable[str]) -> list[str]:
    """Return the texts without repetitions, in order."""
    return list(dict.fromkeys(texts))


TABLES: dict[str, Callable[[Results], str]] = {
    "results": results_table,
    "settings": settings_list,
    "choices": choices_table,
}


def with_tables(text: str, results: Results) -> str:
    """Return the page with new tables between its comments ``<!-- name -->`` and ``<!-- end of name -->``."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"{PAGE.name}: expected {begin} and {end} once each, got another number")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table(results)}\n{end}{rest.split(end)[1]}"
    return text


def draw_figures(results: Results, folder: Path = FIGURES) -> list[Path]:
    """Draw each figure whose results exist, and return the files."""
    import matplotlib.pyplot as plt
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for module in MODULES:
        figures: dict[str, Figure] = getattr(import_module(f"tests.reproductions.{module}"), "FIGURES", {})
        for name, (needed, draw) in figures.items():
            if not all(results.of(setting) for setting in needed):
                continue
            figure = draw(results)
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=100)
            plt.close(figure)
            with Image.open(path) as image:
                small = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
            small.save(path, optimize=True)
            written.append(path)
    return written


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    found = Results.read()
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(*draw_figures(found), sep="\n")

"""Figures of the lecture notes: up to date with their script and shown on pages."""

from __future__ import annotations

import importlib.util
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

NOTES = Path(__file__).parents[2] / "docs" / "notes"
FILES = sorted((NOTES / "figures").glob("*.svg"))
PAGES = sorted(NOTES.glob("*.md"))
TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"(?<![\w#])-?\d+(?:\.\d+)?")

pytestmark = pytest.mark.skipif(not FILES, reason="the documentation is not available")


@pytest.fixture
def script(monkeypatch: Any) -> Any:
    monkeypatch.syspath_prepend(str(NOTES))  # figures.py imports svg.py, next to it
    spec = importlib.util.spec_from_file_location("figures", NOTES / "figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_file_is_drawn_and_shown(script: Any) -> None:
    shown = {
        name for page in PAGES for name in re.findall(r"!\[[^\]]+\]\(figures/(\w+)\.svg\)", page.read_text("utf-8"))
    }
    assert shown == {file.stem for file in FILES} == set(script.FIGURES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_is_up_to_date(file: Path, script: Any, monkeypatch: Any) -> None:
    """Coordinates may differ by 0.2 pixels, for platforms that round differently."""
    if file.stem == "digit" and not os.environ.get("ANYNET_DATA"):
        data = NOTES.parents[2] / "shared" / "data"
        if not data.is_dir():
            pytest.skip("MNIST is not available: set ANYNET_DATA to a folder with mnist/*.gz")
        monkeypatch.setenv("ANYNET_DATA", str(data))
    drawn, committed = str(script.FIGURES[file.stem]()), file.read_text(encoding="utf-8")
    hint = f"run python docs/notes/figures.py {file.stem}"
    assert TAG.split(drawn) == TAG.split(committed), hint
    drawn, committed = ("".join(TAG.findall(text)) for text in (drawn, committed))
    assert NUMBER.sub("0", drawn) == NUMBER.sub("0", committed), hint
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (drawn, committed)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.2), hint


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_is_within_the_picture(file: Path) -> None:
    picture = ET.parse(file).getroot()
    width, height = (float(picture.get(name, 0)) for name in ("width", "height"))
    assert picture[0].tag.endswith("title") and picture[0].text
    for element in picture[2:]:
        for name, value in element.items():
            if name in {"x", "x1", "x2", "cx"}:
                assert 0 <= float(value) <= width
            elif name in {"y", "y1", "y2", "cy"}:
                assert 0 <= float(value) <= height
            elif name == "points":
                for point in value.split():
                    x, y = map(float, point.split(","))
                    assert 0 <= x <= width
                    assert 0 <= y <= height


def test_pages_show_only_files_that_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"

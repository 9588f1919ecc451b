"""Pages and README read well as plain Markdown: no markup of Sphinx, and every figure is in the repository."""

import re

import pytest

from tests.docs.test_pages import DOCS, PAGES

README = DOCS.parent / "README.md"
FILES = [*PAGES, *([README] if README.exists() else [])]
LARGEST = 150_000  # bytes

pytestmark = pytest.mark.skipif(not FILES, reason="the documentation is not available")


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_no_markup_of_sphinx(page):
    """Only tables of contents, the reference and an included file have no equivalent in plain Markdown."""
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"\{\w+(?::\w+)?\}`|^:{3,}.*|\[\]\(", text, flags=re.M)
    assert set(re.findall(r"^```(\{.+?\})", text, flags=re.M)) <= {"{toctree}", "{eval-rst}", "{literalinclude}"}


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_figures_and_pages_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for is_figure, target in re.findall(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s#]+)[^)]*\)", text):
        if not target.startswith("http"):
            path = page.parent / target
            assert path.exists(), target
            assert not is_figure or path.stat().st_size < LARGEST, target

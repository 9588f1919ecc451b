"""Every layer and every loss has a derivation, on a page with a check that runs."""

import re
from pathlib import Path

import pytest

import anynet
from anynet import Layer, Loss

FOLDER = Path(__file__).parents[2] / "docs" / "derivations"
PAGES = {page: page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md") if page.stem != "index"}

pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not available")


@pytest.mark.parametrize("base", [Layer, Loss])
def test_each_is_derived(base):
    kinds = [getattr(anynet, name) for name in anynet.__all__]
    names = {kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, base) and kind is not base}
    assert len(names) > 10
    assert not {name for name in names if not any(re.search(rf"\b{name}\b", text) for text in PAGES.values())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_checks_itself(page):
    """The Python blocks run in test_pages.py, which compares their output."""
    assert re.search(r"^```python\n.*?^```\n+```output\n.*?(True|0\.0000000)", PAGES[page], flags=re.M | re.S)

"""The reference lists every public name once, and nothing that cannot be imported by the listed name."""

import importlib
import importlib.util
import re
from collections import Counter

import pytest

import anynet
from tests.docs.test_pages import DOCS

API = DOCS / "api"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in API.glob("*.md")}
SUMMARY = re.compile(r"autosummary::\n(?:   :.*\n)*\n((?:   .+\n)+)")

pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not available")


def listed():
    """Return the names in the summary tables, relative to ``anynet``."""
    return [name for text in PAGES.values() for names in SUMMARY.findall(text) for name in names.split()]


def value(name):
    """Return what can be imported as ``anynet.name``."""
    try:
        return importlib.import_module(f"anynet.{name}")
    except ModuleNotFoundError:
        module, _, attribute = f"anynet.{name}".rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def test_every_public_name_is_listed_once():
    assert len(anynet.__all__) > 50
    assert not {getattr(anynet, name).__name__ for name in anynet.__all__} - set(listed())  # MSE is MeanSquaredError
    assert not [name for name, count in Counter(listed()).items() if count > 1]


@pytest.mark.parametrize("name", [name for name in listed() if "." in name or name not in anynet.__all__])
def test_other_names_are_documented(name):
    if name.startswith("sklearn."):
        pytest.importorskip("sklearn")
    assert value(name).__doc__


def test_every_public_name_has_a_docstring():
    for name in anynet.__all__:
        value = getattr(anynet, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name}: the docstring that dataclass makes"


def test_every_page_is_linked_from_the_overview():
    assert not [name for name in PAGES if name != "index.md" and f"]({name})" not in PAGES["index.md"]]

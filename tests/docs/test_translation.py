"""The page for users of PyTorch and Keras: what it says to write exists."""

import re

import pytest

import anynet
from anynet import Model
from tests.docs.test_pages import DOCS

PAGE = DOCS / "howto" / "translation.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not available")


def test_every_name_is_public():
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    code = " ".join(part for *_, ours, _ in rows for part in re.findall(r"`([^`]+)`", ours))
    classes, methods = set(re.findall(r"\b([A-Z]\w+)\(", code)), set(re.findall(r"\bmodel\.(\w+)", code))
    assert len(classes) > 20 and classes <= set(anynet.__all__)
    assert len(methods) > 8 and all(hasattr(Model, name) for name in methods)

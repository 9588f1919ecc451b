"""The check of the built site finds each kind of fault."""

import importlib.util

import pytest

from tests.docs import browser

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None or browser.browser_path() is None,
    reason="needs playwright and Chromium",
)

PROSE = "<p>" + 20 * "Neural networks on arrays. " + "</p>"
WIDE = '<div style="width: 3000px">wide</div>'
FAULTS = {
    "good": ("", set()),
    "empty": (None, {"empty, 4 letters"}),
    "wide": (WIDE, {f"scrolls sideways at {width} px" for width in browser.WIDTHS}),
    "cut": (
        f'<pre style="overflow: auto">{WIDE}</pre>',
        {f"cut at {width} px: pre.: wide" for width in browser.WIDTHS},
    ),
    "phone": ('<div style="width: 800px">wide</div>', {"scrolls sideways at 400 px"}),
    "formula": (r'<span class="math">\(x\)</span>', {r"math: \(x\)"}),
    "markup": ("<p>{py:func}`fit`</p>", {"markup: {py:func}", "markup: `fit`"}),
    "image": ('<img src="missing.png">', {"images: ROOT/missing.png", "console: Failed to load resource"}),
    "link": ('<a href="missing.html">here</a>', {"leads nowhere: missing.html"}),
    "anchor": ('<a href="good.html#missing">here</a>', {"leads nowhere: good.html#missing"}),
    "script": ("<script>undefined_function()</script>", {"console: undefined_function is not defined"}),
}


def test_faults_are_found(tmp_path):
    for name, (body, _) in FAULTS.items():
        content = "None" if body is None else PROSE + body
        head = '<meta charset="utf-8"><link rel="icon" href="data:,">'
        (tmp_path / f"{name}.html").write_text(f"<!doctype html>{head}<article>{content}</article>", encoding="utf-8")
    found = browser.check(tmp_path, queries={})
    for name, (_, expected) in FAULTS.items():
        lines = [line.removeprefix(f"{name}.html: ") for line in found if line.startswith(f"{name}.html: ")]
        assert len(lines) == len(expected), (name, lines)
        for fault in expected:
            start, _, end = fault.partition("ROOT/")
            assert any(line.startswith(start) and end in line for line in lines), (fault, lines)

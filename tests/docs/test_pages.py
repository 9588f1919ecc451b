"""Python blocks in docs/ run, page by page, and print the output shown below them.

A fenced block ``python`` is run; an ``output`` block right after it must equal what it prints, to the character. Without MNIST,
blocks that load it, and those that use their results, are left out. The doctests of the package run in test_docstrings.py.
"""

import dis
import os
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
BLOCK = re.compile(r"^```(python|output)[ \t]*\n(.*?)^```", flags=re.M | re.S)

pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not available")


def blocks(page):
    """Return first line number, code and expected output (or None) of each Python block."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        if match[1] == "python":
            found.append([text.count("\n", 0, match.start(2)) + 1, match[2], None])
        else:
            assert found and found[-1][2] is None, f"{page.name}: an output block without a python block before it"
            found[-1][2] = match[2]
    return found


def names_in(code):
    """Return the names that a block uses from earlier blocks, and those that it defines."""
    used, defined = set(), set()
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME":
            defined.add(step.argval)
        elif step.opname in {"LOAD_NAME", "LOAD_GLOBAL"}:
            used |= {step.argval} - defined
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):  # a function
            used |= names_in(constant)[0] - defined
    return used, defined


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(DOCS)))
def test_page(page, capsys, monkeypatch, tmp_path):
    text = page.read_text(encoding="utf-8")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for library in ("matplotlib", "torch", "jax", "sklearn", "pandas", "onnxruntime", "keras"):
        if re.search(rf"^ *(from|import) {library}|anynet\.{library}|backend=\"{library}\"", text, flags=re.M):
            pytest.importorskip(library)
    for part, library in (
        ("plot_", "matplotlib"),
        (".plot(", "matplotlib"),
        (".to_onnx(", "onnx"),
        (".weights.h5", "h5py"),
    ):
        if part in text:
            pytest.importorskip(library)
    data = DOCS.parents[1] / "shared" / "data"
    if not os.environ.get("ANYNET_DATA") and data.is_dir():
        monkeypatch.setenv("ANYNET_DATA", str(data))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    missing, left_out = set(), 0
    for line, source, expected in blocks(page):
        code = compile("\n" * (line - 1) + source, str(page), "exec")
        used, defined = names_in(code)
        if used & missing or ("load_mnist(" in source and not os.environ.get("ANYNET_DATA")):
            missing |= defined
            left_out += 1
            continue
        missing -= defined
        exec(code, names)
        printed = capsys.readouterr().out
        if expected is not None:
            assert printed.splitlines() == expected.splitlines(), f"{page.name}, line {line}"
    if left_out:
        pytest.skip(f"{left_out} blocks need MNIST: ANYNET_DATA is unset and ../shared/data is not there")


def test_no_other_fences_hide_python():
    """Blocks with another name, such as py, would not run."""
    for page in PAGES:
        if page.stem == "errors":  # each block raises; tests/test_mistakes.py runs them
            continue
        fences = set(re.findall(r"^```([a-zA-Z{][^\s]*)", page.read_text(encoding="utf-8"), flags=re.M))
        odd = {fence for fence in fences if fence in {"py", "python3", "pycon", "ipython", "{code-block}"}}
        assert not odd, f"{page.name}: {odd}"

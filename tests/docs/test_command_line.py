"""The shell commands on the page of the command line print the output that is shown below them.

Numbers with a decimal point are compared with a tolerance, because rounding differs between processors.

``python -m tests.docs.test_command_line`` writes the output into the page.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.docs.test_pages import DOCS

PAGE = DOCS / "howto" / "command_line.md"
BLOCK = re.compile(r"```(python|sh)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", flags=re.S)
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 0.1

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not available")


def blocks():
    """Return language, code and shown output (or None) of each block."""
    return [match.groups() for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


def printed(language, code, folder):
    """Run a block in a folder, and return standard output and error together."""
    root = Path(__file__).parents[2]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    if language == "sh":
        code = f'anynet() {{ "{sys.executable}" -m anynet "$@"; }}\n{code}'
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=folder, env=variables, text=True, check=True, **pipes).stdout


@pytest.mark.timeout(600)
def test_the_output_is_what_the_commands_print(tmp_path):
    pytest.importorskip("pandas", reason="needs pandas")
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    shown = [output for *_, output in blocks() if output]
    assert len(shown) == 7
    for language, code, output in blocks():
        if output is None and language == "sh":
            continue  # `pip`, `export`, which needs onnx, and `check`, which takes as long as the others together
        found = re.sub(r"of anynet \d\S*", "of anynet", printed(language, code, tmp_path))
        output = re.sub(r"of anynet \d\S*", "of anynet", output or "")
        assert NUMBER.sub("#", found) == NUMBER.sub("#", output), code
        for number, expected in zip(NUMBER.findall(found), NUMBER.findall(output), strict=True):
            assert float(number) == pytest.approx(float(expected), rel=TOLERANCE, abs=TOLERANCE), code


def write():
    """Write what the commands print into the page."""
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for language, code, output in blocks():
            if output is not None or language == "python":
                found = printed(language, code, folder)
                text = text.replace(
                    f"```{language}\n{code}```\n\n```text\n{output}```",
                    f"```{language}\n{code}```\n\n```text\n{found}```",
                )
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()

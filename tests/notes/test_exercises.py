"""Exercises of the lecture notes: each has an answer with code and its output.

The code runs in tests/docs/test_pages.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "notes").glob("note_*.md"))

pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not available")

ANSWER = re.compile(r"<details>\n<summary>Answer</summary>\n\n(.*?)\n\n</details>\n", flags=re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_exercise_has_an_answer_with_code(page: Path) -> None:
    _, _, section = page.read_text(encoding="utf-8").partition("\n## Exercises\n")
    answers = ANSWER.findall(section)
    numbers = re.findall(r"^\*\*(\d+)\.\*\* ", ANSWER.sub("", section), flags=re.M)
    assert numbers == [str(k) for k in range(1, len(answers) + 1)]
    assert len(answers) >= 5
    for answer in answers:
        assert len(re.findall(r"^```python\n.*?^```\n\n```output\n", answer, flags=re.M | re.S)) == 1
        assert re.match(r"\S", answer)

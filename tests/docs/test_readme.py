"""Every block of Python in the README runs as it is printed there, and does what the text beside it says."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")


def blocks(language):
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.M | re.S)


def printed_by(number, capsys):
    """Run a block of Python and return what it printed."""
    exec(compile(blocks("python")[number], f"README.md, block {number}", "exec"), {})
    return capsys.readouterr().out


def test_first_block_learns(capsys):
    printed = printed_by(0, capsys)
    train, test = map(float, re.fullmatch(r"training (.*), test (.*)\n", printed).groups())
    assert train > 0.99
    assert test > 0.9
    assert blocks("output") == [printed]


def test_second_block_gives_the_same_accuracy_on_each_backend(capsys):
    accuracies = re.findall(r"'accuracy': ([\d.]+)}", printed_by(1, capsys))
    assert accuracies
    assert len(set(accuracies)) == 1


def test_there_are_no_other_blocks():
    assert len(blocks("python")) == 2
    assert [command.strip() for command in blocks("sh")] == [
        "python -m venv .venv && source .venv/bin/activate\npip install . && python examples/digits.py",
        'pip install ".[test]" && pytest -n auto',
        "anynet train customers.csv --target bought                  # writes customers.safetensors\n"
        "anynet predict customers.safetensors new.csv > bought.csv   # --proba for probabilities\n"
        "anynet check                                                # does this machine compute correctly?",
        'pip install ".[docs]" && sphinx-build docs site',
    ]

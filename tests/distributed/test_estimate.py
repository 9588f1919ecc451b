"""The estimate for many nodes, and its table in the documentation."""

from pathlib import Path

import pytest

from tests.benchmarks import scaling

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "distributed.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not available")
def test_the_table_is_that_of_the_script():
    assert scaling.table() in PAGE.read_text(encoding="utf-8")


def test_one_message_between_two_nodes():
    assert scaling.all_reduce(2, 0, 1.0, 1.0) == 1.0  # recursive doubling: one exchange
    big = scaling.all_reduce(4, 1e9, 1e-6, 1e9)
    assert big == pytest.approx(6e-6 + 1.5 + 0.075)  # a ring moves each byte 2 (p − 1)/p times

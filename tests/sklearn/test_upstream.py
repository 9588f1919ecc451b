"""scikit-learn's own tests of its estimators, run with those of anynet."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn")

from tests.sklearn.upstream import MODULE

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(importlib.util.find_spec(MODULE) is None, reason="needs the tests of scikit-learn")
def test_the_tests_of_scikit_learn_pass():
    command = [sys.executable, "-m", "tests.sklearn.upstream", "--tb=short"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 40

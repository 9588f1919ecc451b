"""Modules that need a library raise an error with the command that installs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_missing_library(name):
    code = f"import sys; sys.modules[{name!r}] = None; import anynet.interop; import anynet.interop.{name}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stderr.strip().endswith(
        f"ModuleNotFoundError: anynet.interop.{name}: expected the package {name} to be installed, got none; "
        f"run: pip install {name}"
    )

"""What the machine is said to have."""

import subprocess
import sys

import numpy as np

from anynet.backends import NAMES, available, info
from anynet.backends.report import _numpy_advice


def test_every_backend_is_there_or_says_why_not():
    found = info()
    assert list(found.backends) == list(NAMES)
    for name, facts in found.backends.items():
        assert ("missing" in facts) == (name not in available())
        assert facts.get("missing", "no text") != ""
    assert found.backends["numpy"]["version"] == np.__version__
    assert found.machine["cores"] >= 1


def test_advice_is_given_only_where_it_applies():
    zen = {"numba": "0.68", "kernels": "Zen"}
    assert "OPENBLAS_CORETYPE" in "".join(_numpy_advice(zen, {"avx512f"}))
    assert list(_numpy_advice(zen, {"avx2"})) == []
    assert list(_numpy_advice({"numba": "0.68", "kernels": "SkylakeX"}, {"avx512f"})) == []
    assert "anynet-nn[fast]" in "".join(_numpy_advice({"numba": "not installed"}, set()))


def test_the_command_prints_it():
    out = subprocess.run([sys.executable, "-m", "anynet", "info"], capture_output=True, text=True, check=True).stdout
    assert f"version {np.__version__}" in out and "processor" in out
    assert str(info().machine["python"]) in out


def test_it_can_be_asked_twice():
    import anynet

    anynet.backends.info()
    assert anynet.backends.info().backends

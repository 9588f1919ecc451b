"""The commands ``anynet check`` and ``anynet info`` without a model, and the help."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import anynet
from anynet import backends
from anynet.cli import main
from anynet.selfcheck.report import CheckReport, Row
from tests.conftest import why_missing


def report(passed, name="numpy"):
    rows = [Row("networks", "dense", "gradients", "float32", passed, 1e-7 if passed else 1e-3, 1e-6)]
    speed = {"microseconds": 12.3, "launches": None, "synchronizations": 0, "graph": "no"}
    return CheckReport(name, {"version": "2"}, rows, speed, [], 1.5)


@pytest.fixture
def checked(monkeypatch):
    """Replace the check: record its arguments, and let the backend "strict" fail."""
    calls = []

    def check(backend, *, quick=False):
        calls.append((backend.name, quick))
        return report(backend.name != "strict", backend.name)

    monkeypatch.setattr(backends, "check", check)
    return calls


# -- check -------------------------------------------------------------------------------------------------------------


def test_a_named_backend_is_checked_completely(capsys, checked):
    assert main(["check", "--backend", "strict", "numpy"]) == 1
    assert checked == [("strict", False), ("numpy", False)]
    out = capsys.readouterr().out
    assert "dense     float32  1.0e-03 > 1e-06 FAILED" in out
    assert "FAILED: networks, dense, gradients, float32: 1.0e-03 > 1e-06" in out
    assert "12 µs per step; launches per step: unknown; synchronizations per step: 0" in out
    assert main(["check", "--backend", "numpy"]) == 0


def test_without_a_name_all_backends_are_checked_quickly(capsys, checked):
    assert main(["check"]) == 1
    assert [name for name, _ in checked] == [backends.get(name).name for name in backends.available()]
    assert all(quick for _, quick in checked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "numpy: 1 comparisons, all passed, 2 s"
    assert lines.index("FAILED: networks, dense, gradients, float32: 1.0e-03 > 1e-06") > 0
    missing = {name for name in backends.NAMES if why_missing(name)}
    assert {line.partition(":")[0] for line in lines if ": not checked: " in line} == missing


def test_the_backend_with_a_wrong_operation_is_found(capsys, monkeypatch):
    if why_missing("torch"):
        pytest.skip(why_missing("torch"))
    from anynet.arrays import torch_namespace as xp

    right = xp.matmul
    monkeypatch.setattr(backends, "NAMES", ("numpy", "torch"))
    monkeypatch.setattr(xp, "matmul", lambda a, b: right(a, b) * 1.001)
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^numpy: 7 comparisons, all passed", out, flags=re.M)
    assert re.search(
        r"^FAILED: networks, normalization, predictions, float32: .*\n(FAILED.*\n)*torch: 7 comp", out, flags=re.M
    )


def test_json(capsys, checked):
    assert main(["check", "--backend", "numpy", "--json"]) == 0
    (content,) = json.loads(capsys.readouterr().out)
    assert content["passed"] and content["rows"][0]["gap"] == 1e-7 and content["speed"]["launches"] is None


def test_a_backend_that_is_not_there(capsys):
    assert main(["check", "--backend", "numpy", "numpi"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("anynet check: backend: expected one of 'numpy'")


def test_the_command_runs():
    done = subprocess.run(
        [sys.executable, "-m", "anynet", "check", "--backend", "numpy"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "comparisons, all passed" in done.stdout and f"version {np.__version__}" in done.stdout


# -- info and help -----------------------------------------------------------------------------------------------------


def test_info(capsys):
    assert main(["info"]) == 0
    assert capsys.readouterr().out == f"{backends.info()}\n"
    assert f"anynet {anynet.__version__}, python " in str(backends.info())


def test_info_as_markdown(capsys):
    assert main(["info", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("- **") for line in lines)
    assert lines[0] == f"- **anynet**: {anynet.__version__}"
    assert {re.match(r"- \*\*(.*?)\*\*: ", line)[1] for line in lines} >= {"python", *backends.NAMES}


def test_without_a_command_it_prints_the_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"    {name} " in out for name in ("info", "check"))


def test_the_help_imports_no_array_library():
    code = "import atexit, sys; from anynet.cli import main; atexit.register(lambda: print('numpy' in sys.modules)); main(['-h'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: anynet") and done.stdout.endswith("False\n")


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert (exit.value.code, capsys.readouterr().out) == (0, f"anynet {anynet.__version__}\n")

"""Every script in examples/ runs, as a function and from the command line.

An example is found by being there. Its `main` takes keywords that all have defaults; where it has one of those in `SMALL`,
it is given a small value. One that reads MNIST is skipped where the data are not at hand.
"""

import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
SMALL = {"epochs": 2, "steps": 2, "repeats": 1}
TRAINING = ("digits", "mnist")
LIBRARIES = {"torch", "jax", "cupy", "numba", "sklearn", "matplotlib", "pandas"}

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="the examples are not beside the tests")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request, monkeypatch, tmp_path):
    """Return an example's path, in an empty working folder and with MNIST at hand."""
    path = request.param
    if "load_mnist" in path.read_text(encoding="utf-8") and not os.environ.get("ANYNET_DATA"):
        data = FOLDER.parents[1] / "shared" / "data"
        if not data.is_dir():
            pytest.skip("ANYNET_DATA is unset and ../shared/data is not there")
        monkeypatch.setenv("ANYNET_DATA", str(data))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    return path


def load(path):
    """Return an example as a module; skip where a library that it wants is not installed."""
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in LIBRARIES:
            raise
        pytest.skip(f"{error.name} is not installed")
    return module


def test_main(example, capsys):
    main = load(example).main
    main(**{name: SMALL[name] for name in inspect.signature(main).parameters if name in SMALL})
    out = capsys.readouterr().out
    assert out
    if example.stem in TRAINING:
        assert all(text in out for text in ("epoch 1/2  loss", "epoch 2/2  loss", "test accuracy 0."))


def test_command_line(example):
    load(example)
    run = subprocess.run([sys.executable, "-W", "error", example, "--help"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert example.name in run.stdout

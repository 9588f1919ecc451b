"""Every script in examples/ runs, as a function and from the command line.

Every file in the folder is an example. Its `main` takes keywords that all have defaults; those in `SMALL` get a small value.
An example that reads MNIST or the plays is skipped if the data are missing.
"""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
SMALL = {"epochs": 2, "steps": 2, "repeats": 1, "iterations": 20, "count": 20}
TRAINING = {
    "digits": "test accuracy 0.",
    "mnist": "test accuracy 0.",
    "shakespeare": "validation loss ",
    "addition": "correct sums of 8 digits: ",
}
DATA = ("load_mnist(", "load_shakespeare(")
LIBRARIES = {"torch", "jax", "cupy", "llvmlite", "sklearn", "matplotlib", "pandas"}

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="the examples are not beside the tests")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request, monkeypatch, tmp_path):
    """Return an example's path, with an empty working folder and access to the data."""
    path = request.param
    if any(name in path.read_text(encoding="utf-8") for name in DATA) and not os.environ.get("ANYNET_DATA"):
        data = FOLDER.parents[1] / "shared" / "data"
        if not data.is_dir():
            pytest.skip("ANYNET_DATA is unset and ../shared/data is not there")
        monkeypatch.setenv("ANYNET_DATA", str(data))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    return path


def load(path):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(code, *arguments):
    """Run the example as a script after some code."""
    code = f"import runpy, sys; {code}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)


def test_main(example, capsys):
    main = load(example).main
    try:
        main(**{name: SMALL[name] for name in inspect.signature(main).parameters if name in SMALL})
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in LIBRARIES:
            raise
        pytest.skip(f"{error.name} is not installed")
    out = capsys.readouterr().out
    assert out
    if example.stem in TRAINING:
        assert all(text in out for text in ("epoch 1/2  loss", "epoch 2/2  loss", TRAINING[example.stem]))


def test_command_line(example):
    """The help needs none of the libraries that draw."""
    run = command("sys.modules['matplotlib'] = sys.modules['sklearn'] = None", example, "--help")
    assert run.returncode == 0, run.stderr
    assert example.name in run.stdout


def test_missing_libraries(example):
    """An example that draws says in one line, and before it computes, which library is missing."""
    if "check_output" not in example.read_text(encoding="utf-8"):
        pytest.skip("it draws nothing")
    run = command("sys.modules['matplotlib'] = None", example, "--output", "figure.png")
    assert run.returncode == 1
    assert not run.stdout
    assert re.fullmatch(rf"{example.name}: .*matplotlib.*\n", run.stderr)


@pytest.mark.parametrize("output", ["missing/figure.png", "folder", "figure.txt"])
def test_unwritable_output(example, output):
    """A figure that cannot be written is an error of one line before anything is computed."""
    if "check_output" not in example.read_text(encoding="utf-8"):
        pytest.skip("it draws nothing")
    pytest.importorskip("matplotlib")
    if "sklearn" in example.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    Path("folder").mkdir()
    run = command("pass", example, "--output", output)
    assert run.returncode == 1
    assert not run.stdout
    assert re.fullmatch(rf"{example.name}: .*{output}.*\n", run.stderr)
    assert os.listdir() == ["folder"]


@pytest.mark.parametrize(
    "name, option, value, expected",
    [
        ("vanishing_gradients", "depth", "0", "at least 1 hidden layer"),
        ("learning_rates", "steps", "0", "at least 1"),
        ("why_backprop", "repeats", "0", "at least 1"),
        ("gradient_descent", "seconds", "0", "a positive number"),
        ("digits", "epochs", "0", "at least 1"),
        ("mnist", "epochs", "0", "at least 1"),
        ("shakespeare", "epochs", "0", "at least 1"),
        ("addition", "epochs", "0", "at least 1"),
        ("shakespeare", "iterations", "0", "at least 1"),
        ("compare_learning_strategies", "epochs", "0", "at least 1"),
    ],
)
def test_numbers_out_of_range(name, option, value, expected):
    pytest.importorskip("matplotlib")
    if name == "compare_learning_strategies":
        pytest.importorskip("sklearn")
    run = command("pass", FOLDER / f"{name}.py", f"--{option}", value)
    assert run.returncode == 1
    assert not run.stdout
    assert re.fullmatch(rf"{name}\.py: {option}: expected {expected}, got {value}(\.0)?\n", run.stderr)

"""The command of an installed wheel, as a process of its own."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pandas = pytest.importorskip("pandas", reason="needs pandas")
pytest.importorskip("sklearn", reason="needs scikit-learn")
build = pytest.importorskip("hatchling.build", reason="needs hatchling")

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="anynet")
sys.exit(command.load()())
"""
FAST = ["--epochs", "4", "--hidden", "8,8"]

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the source of the package")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def start(installed, titanic):
    """Return a function that starts the command with the wheel's code, in the folder of the table."""

    def begin(*arguments, stdin=None):
        variables = {**os.environ, "PYTHONPATH": str(installed)}
        pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], env=variables, text=True, **pipes)

    return begin


def finished(process):
    """Return status, standard output and standard error."""
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def test_from_a_table_to_predictions(start, titanic):
    status, out, err = finished(start("train", titanic, "--target", "Survived", *FAST))
    assert (status, out) == (0, "") and err.endswith("wrote titanic.safetensors\n"), err
    with open(titanic) as table:
        status, out, err = finished(start("predict", "titanic.safetensors", "-", stdin=table))
    assert (status, err) == (0, "")
    predicted = pandas.read_csv(io.StringIO(out))
    assert list(predicted) == ["Survived"] and len(predicted) == 60


def test_the_help_is_that_of_the_command(start):
    status, out, err = finished(start("--help"))
    assert (status, err) == (0, "") and out.startswith("usage: anynet ")


def test_a_closed_pipe_ends_silently(start, titanic):
    assert finished(start("train", titanic, "--target", "Survived", *FAST))[0] == 0
    for arguments in (["predict", "titanic.safetensors", titanic], ["info", "titanic.safetensors"], ["--help"]):
        process = start(*arguments)
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert err == ""
        assert process.wait(timeout=240) in (
            (0, 141) if arguments == ["--help"] else (141,)
        )  # argparse ignores the error


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_ctrl_c(start, titanic):
    process = start("train", titanic, "--target", "Survived", "--epochs", "1000000", "--hidden", "8")
    assert process.stderr.readline().startswith("2 classes of 'Survived'")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    status, out, err = finished(process)
    assert (status, out) == (130, "") and "interrupted" in err and "Traceback" not in err

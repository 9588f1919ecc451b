"""What the examples of the lecture notes are there to show, and that each writes its picture."""

import os

import pytest

pytest.importorskip("matplotlib")

from tests.examples.test_examples import FOLDER, load

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the examples are not beside the tests")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run an example's main with a picture, and return its answer."""
    monkeypatch.setenv("MPLBACKEND", "agg")

    def run(name, **settings):
        picture = tmp_path / f"{name}.png"
        answer = load(FOLDER / f"{name}.py").main(output=str(picture), **settings)
        assert picture.read_bytes().startswith(b"\x89PNG")
        return answer

    return run


def test_or_gate(run):
    """After 5 000 epochs the boundary parts (0, 0) from the others."""
    answers = run("or_gate").predict([[0, 0], [0, 1], [1, 0], [1, 1]])[:, 0]
    assert (answers > 0.5).tolist() == [False, True, True, True]


def test_slopes(run):
    assert run("slopes") == pytest.approx({"error at -1": -2.0, "σ at 0": 0.25, "ReLU at 1": 1.0})


def test_learning_rates(run):
    costs = run("learning_rates")
    assert costs["right"][-1] < 1e-6 < 0.1 < costs["too low"][-1] < costs["too low"][0] < costs["too high"][-1]


def test_gradient_descent(run):
    """All three come near the smallest cost, 0.125 for noise of variance 0.25."""
    assert all(0.12 < cost < 0.2 for cost in run("gradient_descent", seconds=0.3).values())


def test_why_backprop(run):
    """The ratio of the times grows linearly with the number of weights."""
    assert run("why_backprop") == pytest.approx(1.0, abs=0.15)


def test_vanishing_gradients(run):
    norms = run("vanishing_gradients")
    assert norms["sigmoid"][0] < 1e-4 * norms["sigmoid"][-2]
    assert norms["ReLU"][0] > 0.1 * norms["ReLU"][-2]


def test_mnist(run, monkeypatch):
    """The picture of what it misreads is drawn after a short training too."""
    if not os.environ.get("ANYNET_DATA"):
        data = FOLDER.parents[1] / "shared" / "data"
        if not data.is_dir():
            pytest.skip("ANYNET_DATA is unset and ../shared/data is not there")
        monkeypatch.setenv("ANYNET_DATA", str(data))
    assert run("mnist", epochs=1) > 0.9

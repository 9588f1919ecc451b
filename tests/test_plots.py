"""Test the contents of plots, the use of given Axes, and argument checks."""

import subprocess
import sys

import numpy as np
import pytest

from anynet import Dense, Model, ReLU, SigmoidCrossEntropy, SoftmaxCrossEntropy

pytest.importorskip("matplotlib")

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from anynet import plot_decision_boundary, plot_history, plot_predictions, plot_weights
from anynet.plots import check_output, save_or_show


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def test_history(ax):
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 2.5, 2.4], "accuracy": [0.1, 0.2, 0.3]}
    assert plot_history(history, ax=ax) is ax
    loss, validation = ax.lines
    assert loss.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    assert (loss.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert loss.get_color() == validation.get_color()
    one = plot_history(history, ["accuracy"], log=True)
    assert one is not ax
    assert (one.get_ylabel(), one.get_yscale()) == ("accuracy", "log")
    with pytest.raises(KeyError, match="expected one of loss, val_loss, accuracy, got 'acuracy'"):
        plot_history(history, ["acuracy"])


def test_decision_boundary_of_one_output(ax, backend):
    """The decision boundary, at logit 0, is x₁ + x₂ = 1."""
    model = Model(
        [Dense(1, weight=[[1.0], [1.0]], bias=[-1.0])], input_shape=2, loss=SigmoidCrossEntropy(), backend=backend
    )
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert plot_decision_boundary(model, x, [0, 1, 1], steps=20, ax=ax) is ax
    lines = [path.vertices for c in ax.collections if hasattr(c, "levels") for path in c.get_paths()]
    assert lines
    np.testing.assert_allclose(np.concatenate(lines).sum(axis=1), 1.0, atol=1e-5)
    assert ax.get_xlim() == (-0.5, 1.5)


def test_decision_boundary_of_classes(ax):
    model = Model([Dense(3, weight=[[1.0, 0, -1], [0, 1, 0]])], input_shape=2, loss=SoftmaxCrossEntropy())
    plot_decision_boundary(model, np.array([[-1.0, -1.0], [1.0, 1.0]]), np.eye(3)[[2, 0]], steps=11, margin=0, ax=ax)
    shown = np.asarray(ax.images[0].get_array())
    assert shown[0].tolist() == [2] * 5 + [0] * 6 or set(shown[0].tolist()) == {0, 1, 2}
    assert ax.collections[-1].get_array().tolist() == [2, 0]
    with pytest.raises(ValueError, match=r"expected a model of input shape \(2,\), got \(3,\)"):
        plot_decision_boundary(Model([Dense(1)], input_shape=3), np.zeros((2, 3)))


def test_weights(ax, backend):
    model = Model([Dense(5)], input_shape=12, backend=backend)
    plot_weights(model, shape=(3, 4), columns=2, ax=ax)
    board = np.asarray(ax.images[0].get_array().filled(np.nan))
    weight = backend.to_numpy(model.params[0]["weight"])
    np.testing.assert_array_equal(board[1:4, 6:10], weight[:, 1].reshape(3, 4))
    assert ax.images[0].norm.vmax == -ax.images[0].norm.vmin == np.abs(weight).max()
    assert plot_weights(weight, shape=(3, 4), count=4).get_title() == "4 of 5 neurons"
    with pytest.raises(ValueError, match=r"expected weights of shape \(16, neurons\) for images of \(4, 4\)"):
        plot_weights(weight, shape=(4, 4))
    with pytest.raises(ValueError, match="expected a model with a Dense layer"):
        plot_weights(Model([ReLU()], input_shape=12), shape=(3, 4))


def test_predictions(ax):
    images = np.random.default_rng(0).random((3, 8, 8))
    plot_predictions(images, [3, 5, 1], np.eye(10)[[3, 6, 1]], columns=3, ax=ax)
    assert [t.get_text() for t in ax.texts] == ["3", "5, not 6", "1"]
    assert [t.get_color() for t in ax.texts] == ["black", "firebrick", "black"]
    np.testing.assert_array_equal(np.asarray(ax.images[0].get_array())[4:12, 1:9], images[0])
    with pytest.raises(ValueError, match="expected images of shape"):
        plot_predictions(images, [3, 5], [3, 6, 1])


def test_save_or_show(tmp_path, capsys):
    figure = plt.figure()
    save_or_show(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    save_or_show(figure)
    assert "no display" in capsys.readouterr().out
    assert not plt.get_fignums()


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import anynet\n"
        "try: anynet.plot_history({'loss': [1.0]})\n"
        "except ImportError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "anynet-nn[plots]"' in out


def test_check_output(tmp_path):
    """A file that exists keeps its content, and none is created."""
    path = tmp_path / "picture.png"
    check_output(None)
    check_output(path)
    assert not path.exists()
    path.write_bytes(b"old")
    check_output(path)
    assert path.read_bytes() == b"old"
    with pytest.raises(ValueError, match=r"expected the suffix of a figure, one of .*png.*, got \.txt"):
        check_output(tmp_path / "picture.txt")
    for missing in (tmp_path, tmp_path / "missing" / "picture.png"):
        with pytest.raises(OSError, match=str(missing)):
            check_output(missing)

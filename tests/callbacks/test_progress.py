"""Test the progress bar, in a terminal and elsewhere."""

import io
import re
import sys

import numpy as np
import pytest

from anynet import SGD, Dense, HalfSquaredError, Model


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit(epochs=3, **settings):
    x = np.linspace(-1, 1, 40)[:, None]
    model = Model([Dense(1)], input_shape=1, loss=HalfSquaredError(), optimizer=SGD(0.1))
    return model.fit(x, 2 * x, epochs=epochs, batch_size=4, **settings)


def test_prints_nothing_outside_a_terminal(capsys):
    fit()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_prints_nothing_when_one_output_goes_to_a_file(monkeypatch, name):
    other = io.StringIO()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, name, other)
    fit()
    assert terminal.getvalue() == other.getvalue() == ""


def test_prints_a_line_per_epoch_on_request(capsys):
    history = fit(epochs=10, validation_split=0.25, progress=True)
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 10
    loss, val_loss = history["loss"][0], history["val_loss"][0]
    assert re.fullmatch(rf"epoch  1/10  loss {loss:.4f}  val_loss {val_loss:.4f}  \d+\.\d\d s", lines[0])
    assert lines[9].startswith("epoch 10/10")


def test_draws_a_bar_of_the_whole_fit_in_a_terminal(monkeypatch):
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    history = fit()
    lines = [line.strip() for line in out.getvalue().replace("\r", "\n").splitlines() if line.strip()]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert f"loss {history['loss'][-1]:.4f}" in lines[-1]
    frames = err.getvalue().split("\r")
    assert any(re.search(r"epoch 1/3 +0%\|.*left", frame) for frame in frames)
    assert any("loss" in frame for frame in frames)
    assert frames[-1].strip() == ""  # the bar is cleared; the lines remain


def test_bar_closes_when_training_ends_by_an_error(monkeypatch):
    class Broken(Exception):
        pass

    from anynet.callbacks import Callback

    class Break(Callback):
        def on_epoch_end(self, run):
            raise Broken

    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(Broken):
        fit(progress=True, callbacks=[Break()])
    assert err.getvalue().split("\r")[-1].strip() == ""

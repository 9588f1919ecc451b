"""The library in a notebook, executed by nbclient, and the forms of results in notebooks and at the prompt."""

import json
import re

import numpy as np
import pytest

from anynet import SGD, Dense, History, MeanSquaredError, Model, ReLU, explain, learning_rate_test
from anynet.callbacks import LambdaCallback

X = np.linspace(-1.0, 1.0, 40)[:, None]

CELLS = [
    """
import warnings
warnings.simplefilter("error")
import numpy as np
from anynet import SGD, Dense, MeanSquaredError, Model, ReLU, explain, learning_rate_test
x = np.linspace(-1.0, 1.0, 40)[:, None]
model = Model([Dense(3), ReLU(), Dense(1)], input_shape=1, loss=MeanSquaredError(), optimizer=SGD(0.1), metrics=["mae"])
model.summary()
""",
    "history = model.fit(x, 2 * x, epochs=3)\nhistory",
    "model.fit(x, 2 * x, progress=False)",
    "explain(model, x[:2], 2 * x[:2])",
    "learning_rate_test(model, x, 2 * x)",
]


def make():
    layers = [Dense(3), ReLU(), Dense(1)]
    return Model(layers, input_shape=1, loss=MeanSquaredError(), optimizer=SGD(0.1), metrics=["mae"])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return the outputs of each cell of an executed notebook."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(
        cwd=str(tmp_path_factory.mktemp("notebook"))
    )
    return [cell["outputs"] for cell in notebook["cells"]]


def result(outputs):
    return next(output["data"] for output in outputs if output["output_type"] == "execute_result")


@pytest.mark.timeout(200)
@pytest.mark.filterwarnings("default")
def test_in_a_notebook(outputs):
    table, trained, silent, explained, tested = outputs
    assert "<td" in result(table)["text/html"] and "10 parameters" in result(table)["text/html"]
    text = "".join(output.get("text", "") for output in trained if output.get("name") == "stdout")
    shown = text + json.dumps([output.get("data", {}) for output in trained])
    lines = re.findall(r"epoch \d/3  loss \d\.\d{4}  mae \d\.\d{4}  \d+\.\d\d s", shown)
    assert len(lines) == 3
    assert "<td" in result(trained)["text/html"] and "History of 3 epochs" in result(trained)["text/html"]
    assert [output["output_type"] for output in silent] == ["execute_result"]
    assert "$$" in result(explained)["text/markdown"]
    assert "suggestion" in result(tested)["text/html"]


def test_the_summary_is_text_at_the_prompt():
    summary = make().summary()
    assert repr(summary) == str(summary) and isinstance(summary, str)
    assert summary.splitlines()[-1].endswith("as float32 on numpy")
    html = summary._repr_html_()
    assert html.count("<tr>") == 4 and "(N, 3)" in html and "float32 on numpy" in html


def test_a_history_shows_few_of_many_epochs():
    history = History({"loss": [0.5] * 100, "counts": [[[1.0]]] * 100})
    html = history._repr_html_()
    assert html.count("<tr>") == 22 and "…" in html and "counts" not in html
    assert History({"a<b": [1.0]})._repr_html_().count("a&lt;b") == 1
    assert "0 epochs" in History()._repr_html_()


def test_a_range_test_is_one_line_at_the_prompt():
    found = learning_rate_test(make(), X, 2 * X, steps=30)
    assert re.fullmatch(
        r"<RangeTest of \d+ learning rates from \S+ to \S+: minimal loss \S+, suggestion \S+>", repr(found)
    )
    assert 5 < found._repr_html_().count("<tr>") < 25


def test_an_explanation_is_text_at_the_prompt():
    explained = explain(make(), X[:1], 2 * X[:1])
    assert repr(explained) == str(explained) == explained.text()


def test_a_run_is_one_line():
    seen = []
    watch = LambdaCallback(
        on_batch_end=lambda run: seen.append(repr(run)), on_epoch_end=lambda run: seen.append(repr(run))
    )
    make().fit(X, 2 * X, callbacks=[watch], progress=False)
    assert seen[0] == "<Run: epoch 1 of 1, batch 1 of 2>"
    assert re.fullmatch(r"<Run: epoch 1 of 1, batch 2 of 2: loss=\S+, mae=\S+>", seen[-1])

"""The commands ``train``, ``predict``, ``evaluate``, ``info MODEL`` and ``export``, on a table of 60 rows."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas", reason="needs pandas")
pytest.importorskip("sklearn", reason="needs scikit-learn")

import pandas

import anynet
from anynet import backends
from anynet.checkpoint import file
from anynet.cli import main, train as train_command
from anynet.sklearn import MLPClassifier, RealMLPClassifier, TabMClassifier

pytestmark = pytest.mark.filterwarnings("default::UserWarning:anynet")
FAST = ["--epochs", "4", "--hidden", "8,8"]
METHODS = {"realmlp": RealMLPClassifier, "tabm": TabMClassifier, "mlp": MLPClassifier}


def run(capsys, *arguments):
    """Run a command, and return its exit status, standard output and lines of standard error."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as exit:
        status = exit.code
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


def trained(capsys, *arguments):
    """Train for a few epochs, and return the lines of standard error."""
    status, out, lines = run(capsys, "train", *arguments, *FAST)
    assert (status, out) == (0, ""), lines
    return lines


# -- train, predict, evaluate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_from_a_table_to_predictions(capsys, titanic, passengers, method):
    lines = trained(capsys, titanic, "--target", "Survived", "--method", method)
    missing = passengers.isna().sum().sum()
    assert (
        lines[0] == f"2 classes of 'Survived' from 5 columns (2 categorical, {missing} missing), 48 rows, 12 held out"
    )
    assert lines[1].startswith("held out: accuracy ") and lines[2:] == ["wrote titanic.safetensors"]
    assert sorted(os.listdir()) == ["titanic.csv", "titanic.safetensors"]

    status, out, lines = run(capsys, "predict", "titanic.safetensors", titanic)
    predicted = pandas.read_csv(io.StringIO(out))
    assert (status, lines, list(predicted), len(predicted)) == (0, [], ["Survived"], 60)
    assert set(predicted["Survived"]) <= {0, 1}

    status, out, lines = run(capsys, "predict", "titanic.safetensors", titanic, "--proba")
    proba = pandas.read_csv(io.StringIO(out))
    assert (status, lines, list(proba)) == (0, [], ["Survived=0", "Survived=1"])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-6)
    assert ((proba["Survived=1"] > 0.5) == (predicted["Survived"] == 1)).all()

    estimator = METHODS[method].load("titanic.safetensors")
    x = passengers.drop(columns="Survived")
    x = estimator.preprocessor_.transform(x) if method == "mlp" else x
    np.testing.assert_allclose(estimator.predict_proba(x), proba, atol=1e-6)

    status, out, lines = run(capsys, "evaluate", "titanic.safetensors", titanic, "--json")
    scores = json.loads(out)
    assert (status, lines, scores["rows"]) == (0, [], 60)
    assert scores["scores"]["accuracy"] == pytest.approx((predicted["Survived"] == passengers["Survived"]).mean())
    assert scores["guess"]["AUC"] == 0.5
    status, out, lines = run(capsys, "evaluate", "titanic.safetensors", titanic)
    assert out.startswith(
        f"accuracy {scores['scores']['accuracy']:.4f} (guess {scores['guess']['accuracy']:.4f}), log loss"
    )


@pytest.mark.parametrize("method", METHODS)
def test_numbers(capsys, titanic, passengers, method):
    lines = trained(capsys, titanic, "--target", "Fare", "--method", method, "--out", "fare.safetensors")
    assert lines[0].startswith("regression of 'Fare' from 5 columns (2 categorical, ")
    assert lines[1].startswith("held out: RMSE ") and lines[2] == "wrote fare.safetensors"
    status, out, lines = run(capsys, "predict", "fare.safetensors", titanic, "--out", "fares.csv")
    assert (status, out, lines) == (0, "", [])
    predicted = pandas.read_csv("fares.csv")["Fare"]
    scores = json.loads(run(capsys, "evaluate", "fare.safetensors", titanic, "--json")[1])["scores"]
    assert scores["RMSE"] == pytest.approx(np.sqrt(((predicted - passengers["Fare"]) ** 2).mean()), rel=1e-5)
    assert abs(predicted.mean() - passengers["Fare"].mean()) < passengers["Fare"].std()
    status, out, lines = run(capsys, "predict", "fare.safetensors", titanic, "--proba")
    assert (status, out) == (2, "") and lines == [
        "anynet predict: expected a model of classes for --proba, got a regression in fare.safetensors"
    ]


def test_it_learns(capsys, titanic):
    """The sex and a young age determine the target."""
    assert run(capsys, "train", titanic, "--target", "Survived", "--epochs", "40", "--hidden", "32,32", "--quiet") == (
        0,
        "",
        [],
    )
    assert json.loads(run(capsys, "evaluate", "titanic.safetensors", titanic, "--json")[1])["scores"]["accuracy"] > 0.9


def test_text_labels_and_words_of_classes(capsys, folder, passengers):
    passengers["Survived"] = passengers["Survived"].map({0: "no", 1: "yes"})
    passengers.to_csv("t.csv", index=False)
    trained(capsys, "t.csv", "--target", "Survived")
    assert set(run(capsys, "predict", "t.safetensors", "t.csv")[1].split()) <= {"Survived", "no", "yes"}
    assert run(capsys, "predict", "t.safetensors", "t.csv", "--proba")[1].startswith("Survived=no,Survived=yes\n")


@pytest.mark.parametrize("values", [["01", "02", "X9"], ["1.50", "2.50", "none given"], ["TRUE", "FALSE", "maybe"]])
@pytest.mark.parametrize("column", ["zip", "target"])
def test_text_stays_text_in_files_without_the_values_that_make_it_text(capsys, folder, values, column):
    """Rows have the predictions and scores that they have in a table with all values."""
    rng = np.random.default_rng(0)
    zips, x = rng.choice(values, 60), rng.normal(size=60)
    target = zips if column == "target" else np.where((zips == values[1]) | (x > 1), "yes", "no")
    table = pandas.DataFrame({"zip" if column == "zip" else "x2": zips, "x": x, "target": target})
    if column == "target":
        table["x2"] = rng.normal(size=60)
    few = table[zips != values[2]]
    table.to_csv("all.csv", index=False)
    few.to_csv("few.csv", index=False)
    trained(capsys, "all.csv", "--target", "target")
    everything = run(capsys, "predict", "all.safetensors", "all.csv", "--proba")[1].splitlines()
    status, out, lines = run(capsys, "predict", "all.safetensors", "few.csv", "--proba")
    assert (status, lines) == (0, [])
    assert out.splitlines() == [everything[0], *(everything[1 + row] for row in few.index)]
    predicted = run(capsys, "predict", "all.safetensors", "few.csv")[1].splitlines()[1:]
    status, out, lines = run(capsys, "evaluate", "all.safetensors", "few.csv", "--json")
    assert (status, lines) == (0, [])
    assert json.loads(out)["scores"]["accuracy"] == pytest.approx((np.array(predicted) == few["target"]).mean())
    lines = trained(capsys, "all.csv", "--target", "target", "--validation", "few.csv")
    assert f"60 rows, {len(few)} held out" in lines[0]


def test_whole_numbers_are_classes_or_numbers(capsys, titanic):
    assert (
        "3 classes of 'Class' (--task regression for numbers) from" in trained(capsys, titanic, "--target", "Class")[0]
    )
    assert "regression of 'Class'" in trained(capsys, titanic, "--target", "Class", "--task", "regression")[0]


def test_the_same_seed_gives_the_same_file(capsys, titanic):
    def content(seed):
        trained(capsys, titanic, "--target", "Survived", "--seed", seed)
        return file.read("test", Path("titanic.safetensors"))

    (first, _), (second, about), (third, other) = content(3), content(3), content(4)
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != third[name]).any() for name in first)
    assert about["table"]["scores"] != other["table"]["scores"]


def test_anynet_load_reads_the_file(capsys, titanic):
    trained(capsys, titanic, "--target", "Survived")
    assert anynet.load("titanic.safetensors").output_shape == (2,)


def test_the_other_backends(capsys, titanic):
    names = [name for name in backends.available() if name != "jax"]
    for name in names:
        trained(capsys, titanic, "--target", "Survived", "--backend", name)
        found = [
            run(capsys, "predict", "titanic.safetensors", titanic, "--proba", "--backend", other)[1] for other in names
        ]
        tables = [pandas.read_csv(io.StringIO(text)) for text in found]
        for table in tables:
            np.testing.assert_allclose(table, tables[0], atol=1e-5)


def test_standard_input(capsys, titanic, monkeypatch):
    def stdin():
        return io.TextIOWrapper(io.BytesIO(Path(titanic).read_bytes()))

    monkeypatch.setattr(sys, "stdin", stdin())
    assert trained(capsys, "-", "--target", "Survived")[-1] == "wrote model.safetensors"
    monkeypatch.setattr(sys, "stdin", stdin())
    assert run(capsys, "predict", "model.safetensors", "-") == run(capsys, "predict", "model.safetensors", titanic)


# -- options -----------------------------------------------------------------------------------------------------------


def test_columns_that_are_not_inputs(capsys, titanic):
    ignored = ["--ignore", "Fare", "--ignore", "Sex"]
    lines = trained(capsys, titanic, "--target", "Survived", *ignored, "--weight", "Class", "--group", "Cabin")
    assert "from 1 columns" in lines[0]
    assert RealMLPClassifier.load("titanic.safetensors").feature_names_in_.tolist() == ["Age"]


def test_a_table_for_validation(capsys, folder, passengers):
    passengers[:40].to_csv("a.csv", index=False)
    passengers[40:].to_csv("b.csv", index=False)
    lines = trained(capsys, "a.csv", "--target", "Survived", "--validation", "b.csv")
    assert "40 rows, 20 held out" in lines[0]
    scores = run(capsys, "evaluate", "a.safetensors", "b.csv")[1].strip()
    assert lines[1] == f"held out: {scores}"


def test_weights_change_the_model_and_the_scores(capsys, titanic):
    def scores(*options):
        return trained(capsys, titanic, "--target", "Survived", "--ignore", "Fare", *options)[1]

    assert scores() != scores("--weight", "Fare")


def test_groups_are_held_out_together(capsys, titanic, passengers, monkeypatch):
    seen = []
    monkeypatch.setattr(train_command.tables, "summary", lambda task, *rows: seen.extend(rows) or "")
    trained(capsys, titanic, "--target", "Survived", "--group", "Class", "--validation", "0.4")
    kept, held = (set(passengers["Class"][rows.x.index]) for rows in seen)
    assert kept and held and not kept & held


def test_progress_goes_to_standard_error(capsys, titanic, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = trained(capsys, titanic, "--target", "Survived")
    assert any("epoch 4/4" in line for line in lines)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_info_describes_the_model(capsys, titanic):
    lines = trained(capsys, titanic, "--target", "Survived")
    status, out, err = run(capsys, "info", "titanic.safetensors")
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    assert (status, err) == (0, [])
    assert facts["command"] == "anynet train titanic.csv --target Survived --epochs 4 --hidden 8,8"
    assert facts["model"] == f"RealMLPClassifier of anynet {anynet.__version__}"
    assert facts["target"] == "Survived: 2 classes, 0, 1" and facts["rows"] == "48, 12 held out"
    assert facts["inputs"] == "5 columns, Class, Sex, Age, Cabin, Fare"
    assert f"held out: {facts['held out']}" == lines[1]
    assert run(capsys, "info", "titanic.safetensors", "--markdown")[1].startswith("- **model**: RealMLPClassifier")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", ["Survived", "Fare"])
def test_export(capsys, titanic, passengers, method, target):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    trained(capsys, titanic, "--target", target, "--method", method)
    status, out, lines = run(capsys, "export", "titanic.safetensors", "titanic.onnx")
    assert (status, out) == (0, "")
    assert lines[0].startswith("wrote titanic.onnx; its input X is what preprocessor_.transform of ")
    onnx.checker.check_model("titanic.onnx", full_check=True)


# -- Ctrl-C and --resume -----------------------------------------------------------------------------------------------


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets Ctrl-C come in an epoch, or never."""

    def at(epoch):
        def on_batch_end(self, run):
            if run.epoch == epoch:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(train_command.Watch, "on_batch_end", on_batch_end)

    return at


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_writes_the_best_epoch(capsys, titanic, interrupt, method):
    interrupt(3)
    status, out, lines = run(capsys, "train", titanic, "--target", "Survived", "--method", method, *FAST)
    assert (status, out) == (130, "")
    assert lines[-2] == "wrote titanic.safetensors" and lines[-1].startswith("interrupted after 2 epochs")
    assert not any("Traceback" in line for line in lines)
    assert run(capsys, "predict", "titanic.safetensors", titanic)[0] == 0


def test_ctrl_c_in_the_first_epoch_writes_nothing(capsys, titanic, interrupt):
    interrupt(1)
    status, out, lines = run(capsys, "train", titanic, "--target", "Survived", *FAST)
    assert (status, out, lines[-1]) == (130, "", "interrupted in the first epoch; titanic.safetensors is not written")
    assert not Path("titanic.safetensors").exists()


@pytest.mark.parametrize("method", ["realmlp", "tabm"])
@pytest.mark.parametrize("target", ["Survived", "Fare"])
def test_a_resumed_run_ends_like_one_without_interruption(capsys, titanic, interrupt, method, target):
    arguments = ["train", titanic, "--target", target, "--method", method, *FAST]
    assert run(capsys, *arguments)[0] == 0
    whole = file.read("test", Path("titanic.safetensors"))
    interrupt(3)
    assert run(capsys, *arguments)[0] == 130
    interrupt(None)
    assert run(capsys, *arguments, "--resume")[0] == 0
    resumed = file.read("test", Path("titanic.safetensors"))
    assert all((whole[0][name] == resumed[0][name]).all() for name in whole[0])
    assert whole[1]["table"]["scores"] == resumed[1]["table"]["scores"]
    assert sorted(os.listdir()) == ["titanic.csv", "titanic.safetensors"]


def test_resume_without_a_checkpoint(capsys, titanic):
    status, _, lines = run(capsys, "train", titanic, "--target", "Survived", "--resume")
    assert status == 2 and lines == [
        "anynet train: expected titanic.safetensors.checkpoint, which an interrupted run writes, for --resume, got no such file"
    ]
    status, _, lines = run(capsys, "train", titanic, "--target", "Survived", "--resume", "--method", "mlp")
    assert status == 2 and lines == ["anynet train: expected --method realmlp or tabm for --resume, got mlp"]


# -- wrong arguments ---------------------------------------------------------------------------------------------------


BY_SEX = ["--target", "Survived", "--group", "Sex"]
ALL = ["Class", "Sex", "Age", "Cabin", "Fare"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "survived"], "--target to be a column of titanic.csv, got 'survived'; did you mean 'Survived'?"),
        (
            ["--target", "Survived", "--ignore", "sex"],
            "--ignore to be a column of titanic.csv, got 'sex'; did you mean 'Sex'?",
        ),
        (
            ["--target", "Survived", "--weight", "w"],
            "--weight to be a column of titanic.csv, got 'w'; the columns are 'Survi",
        ),
        (
            ["--target", "Survived", "--group", "sax"],
            "--group to be a column of titanic.csv, got 'sax'; did you mean 'Sex'?",
        ),
        (["--target", "Survived", "--ignore", *ALL], "columns to predict 'Survived' from in titanic.csv, got none"),
        (["--target", "Survived", "--validation", "1.5"], "--validation to be a table or in (0, 1), got 1.5"),
        (["--target", "Survived", "--validation", "b.csv"], "an existing file, got b.csv"),
        ([*BY_SEX, "--validation", "titanic.csv"], "--group or a table for --validation, got both"),
        (["--target", "Sex", "--task", "regression"], "numbers in 'Sex' for --task regression, got "),
        (["--target", "Survived", "--out", "no/folder"], "--out to be a file in a writable folder, got no/folder"),
        (["--target", "Survived", "--out", "."], "--out to be a file in a writable folder, got ."),
    ],
)
def test_wrong_arguments(capsys, titanic, arguments, message):
    status, out, lines = run(capsys, "train", titanic, *arguments)
    assert (status, out) == (2, "") and len(lines) == 1 and lines[0].startswith(f"anynet train: expected {message}"), (
        lines
    )


def test_wrong_weights(capsys, titanic):
    status, out, lines = run(capsys, "train", titanic, "--target", "Survived", "--weight", "Sex")
    assert (status, out) == (1, "") and lines[0].startswith("anynet train: expected weights in [0, inf) in 'Sex', got ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --target"),
        (["--target", "Survived", "--epochs", "0"], r"argument --epochs: expected an integer in [1, inf), got '0'"),
        (["--target", "Survived", "--hidden", "8,x"], r"argument --hidden: expected an integer in [1, inf), got 'x'"),
        (["--target", "Survived", "--method", "tree"], "argument --method: invalid choice: 'tree'"),
    ],
)
def test_usage(capsys, titanic, arguments, message):
    status, out, lines = run(capsys, "train", titanic, *arguments)
    assert (status, out) == (2, "") and lines[0].startswith("usage: anynet train") and message in lines[-1]


def test_a_backend_that_is_not_installed(capsys, titanic):
    status, out, lines = run(capsys, "train", titanic, "--target", "Survived", "--backend", "numpi")
    assert (status, out) == (2, "") and lines[0].startswith("anynet train: backend: expected one of 'numpy', ")
    for name in (name for name in backends.NAMES if name not in backends.available()):
        status, out, lines = run(capsys, "train", titanic, "--target", "Survived", "--backend", name)
        try:
            backends.get(name)
        except (ImportError, RuntimeError) as error:
            assert (status, out, lines) == (2, "", [f"anynet train: {error}"])


def test_rows_without_a_target(capsys, folder, passengers):
    passengers["Survived"] = passengers["Survived"].astype(float)
    passengers.loc[:9, "Survived"] = None
    passengers.to_csv("t.csv", index=False)
    lines = trained(capsys, "t.csv", "--target", "Survived")
    assert lines[0] == "anynet train: left out 10 rows without 'Survived'"
    assert "2 classes" in lines[1] and "40 rows, 10 held out" in lines[1]
    status, out, lines = run(capsys, "evaluate", "t.safetensors", "t.csv", "--json")
    assert (status, json.loads(out)["rows"], lines) == (0, 50, ["anynet evaluate: left out 10 rows without 'Survived'"])
    assert len(run(capsys, "predict", "t.safetensors", "t.csv")[1].splitlines()) == 61


def test_columns_that_are_probably_mistakes(capsys, folder, passengers):
    passengers.insert(1, "Id", range(60))
    passengers["Alive"] = passengers["Survived"].map({0: "no", 1: "yes"})
    passengers.to_csv("t.csv", index=False)
    lines = trained(capsys, "t.csv", "--target", "Survived")
    assert lines[:2] == [
        "anynet train: 'Id' has another value in every row, as an identifier has; --ignore Id leaves it out",
        "anynet train: 'Alive' equals the target 'Survived'; if it is unknown at prediction, --ignore Alive leaves it out",
    ]
    assert run(capsys, "train", "t.csv", "--target", "Survived", "--quiet", *FAST) == (0, "", [])


def test_one_class_only(capsys, folder, passengers):
    passengers.assign(Survived=1).to_csv("t.csv", index=False)
    status, out, lines = run(capsys, "train", "t.csv", "--target", "Survived")
    assert (status, out, lines) == (
        1,
        "",
        ["anynet train: expected at least two different values in 'Survived', got only 1"],
    )


def test_predict_with_other_columns(capsys, titanic, passengers):
    trained(capsys, titanic, "--target", "Survived")
    passengers.drop(columns=["Sex", "Age"]).to_csv("fewer.csv", index=False)
    status, out, lines = run(capsys, "predict", "titanic.safetensors", "fewer.csv")
    assert (status, out, len(lines)) == (1, "", 1) and "got none of 'Sex', 'Age'" in lines[0]
    passengers.drop(columns="Survived").assign(More=1).to_csv("more.csv", index=False)
    status, out, lines = run(capsys, "predict", "titanic.safetensors", "more.csv")
    assert (status, len(out.splitlines()), len(lines)) == (0, 61, 1) and "['More']; ignoring" in lines[0]
    assert out == run(capsys, "predict", "titanic.safetensors", titanic)[1]


def test_evaluate_without_the_target(capsys, titanic, passengers):
    trained(capsys, titanic, "--target", "Survived")
    passengers.drop(columns="Survived").to_csv("x.csv", index=False)
    status, out, lines = run(capsys, "evaluate", "titanic.safetensors", "x.csv")
    assert (status, out) == (2, "") and lines[0].startswith(
        "anynet evaluate: expected the target of the model to be a column of x.csv, got 'Survived'; the columns are 'Class'"
    )


@pytest.mark.parametrize("command", ["predict", "evaluate", "info"])
def test_files_that_are_not_models(capsys, titanic, command):
    data = [] if command == "info" else [titanic]
    status, out, lines = run(capsys, command, "no.safetensors", *data)
    assert (status, out, lines) == (2, "", [f"anynet {command}: expected an existing model, got no.safetensors"])
    status, out, lines = run(capsys, command, titanic, *data)
    assert (status, out, len(lines)) == (1, "", 1) and "expected a whole safetensors file, got titanic.csv" in lines[0]
    anynet.Model([anynet.Dense(1)], input_shape=1).save("plain.safetensors")
    status, out, lines = run(capsys, command, "plain.safetensors", *data)
    message = "expected a model that 'anynet train' wrote, got another one in plain.safetensors; use it from Python"
    assert (status, out, lines) == (1, "", [f"anynet {command}: {message}"])


def test_tracebacks_are_shown_on_request(capsys, folder, monkeypatch):
    monkeypatch.setattr(train_command.tables, "read", lambda *arguments: {}["key"])
    status, out, lines = run(capsys, "train", "t.csv", "--target", "y")
    assert (status, out, lines) == (1, "", ["anynet train: KeyError: 'key'; --traceback shows its origin"])
    status, out, lines = run(capsys, "train", "t.csv", "--target", "y", "--traceback")
    assert (status, out, lines[0]) == (1, "", "Traceback (most recent call last):")
    assert lines[-2:] == ["KeyError: 'key'", ""]

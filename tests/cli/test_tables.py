"""Tables: formats, tasks, splits, and sentences about columns that are probably mistakes."""

import gzip
import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas", reason="needs pandas")
pytest.importorskip("sklearn", reason="needs scikit-learn")

import pandas

from anynet.cli import reading, tables
from anynet.cli.errors import WrongArgument
from anynet.cli.tables import Task

# -- reading -----------------------------------------------------------------------------------------------------------


def write(frame, path):
    """Write a table in the format of its suffix."""
    if ".parquet" in path:
        pytest.importorskip("pyarrow", reason="needs pyarrow")
        frame.to_parquet("plain.parquet")
        content = Path("plain.parquet").read_bytes()
    else:
        content = frame.to_csv(index=False, sep="\t" if ".tsv" in path else ",").encode()
    with open(path, "wb") as file:
        file.write(gzip.compress(content) if path.endswith(".gz") else content)


@pytest.mark.parametrize("path", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.b.CSV", "a.parquet", "a.parquet.gz"])
def test_formats(folder, passengers, path):
    write(passengers, path)
    pandas.testing.assert_frame_equal(reading.read(path), passengers, check_dtype=False)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["csv", "gzip"])
def test_standard_input(passengers, monkeypatch, compress):
    content = compress(passengers.to_csv(index=False).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    assert reading.read("-").shape == passengers.shape


def test_compression_without_the_suffix(folder, passengers):
    write(passengers, "a.csv.gz")
    (folder / "a.csv.gz").rename("a.csv")
    assert reading.read("a.csv").shape == passengers.shape


def test_named_columns_are_read_as_text(folder):
    (folder / "a.csv").write_text("zip,n,flag\n01,1.50,TRUE\n02,2,FALSE\n,,\n")
    table = reading.read("a.csv", ["zip", "n", "flag", "absent"])
    assert [column.dropna().tolist() for _, column in table.items()] == [["01", "02"], ["1.50", "2"], ["TRUE", "FALSE"]]
    assert reading.text_columns(table) == ["zip", "n", "flag"]
    plain = reading.read("a.csv")
    assert plain["n"].dtype.kind == "f" and reading.text_columns(plain) == []


@pytest.mark.parametrize("rows", ["0,1,2,\n3,4,5,\n", "0,1,2\n3,4,5\n"], ids=["a comma at the end", "none"])
def test_the_first_column_is_not_taken_for_an_index(folder, rows):
    (folder / "a.csv").write_text(f"y,a,b\n{rows}")
    assert reading.read("a.csv").to_dict("list") == {"y": [0, 3], "a": [1, 4], "b": [2, 5]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"x,y\nr1,1,2\nr2,3,4\n", "expected as many values in each row of a.csv as names .*, got more; name"),
        ("a.csv", b"x,y\n1,2,,\n3,4,,\n", "expected as many values in each row of a.csv as names .*, got more; name"),
        ("a.csv", b"", "expected a table in a.csv, got an empty file"),
        ("a.csv", b"x,y\n", "expected rows in a.csv, got only the names of columns"),
        ("a.csv", b"x;y\n1;2\n", r"expected columns separated by ',' in a.csv, got one column 'x;y'; .* tr ';' ,"),
        ("a.tsv", b"x,y\n1,2\n", r"expected columns separated by '\\t' in a.tsv, got one column 'x,y'"),
        ("a.csv", b"x,y\n1,caf\xe9\n", "expected a table as .csv in UTF-8 in a.csv, got an error: .*0xe9"),
        ("a.csv", b"x,y\n1,2\n3,4,5\n", "got an error: .*Expected 2 fields in line 3, saw 3"),
        ("a.csv.gz", gzip.compress(b"x,y\n" + bytes(range(48, 58)) * 99)[:-9], "got an error: .*ended before"),
    ],
    ids=["names of rows", "two commas", "empty", "no rows", "semicolons", "commas", "Latin-1", "ragged", "truncated"],
)
def test_files_without_a_table(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        reading.read(name)


@pytest.mark.parametrize(
    ("path", "message"),
    [("a.csv", "expected an existing file, got a.csv"), ("a.xlsx", "expected a table as .csv, .*got a.xlsx; convert")],
)
def test_wrong_names_of_files(folder, path, message):
    with pytest.raises(WrongArgument, match=message):
        reading.read(path)


@pytest.mark.parametrize(("path", "package"), [("a.csv", "pandas"), ("a.parquet", "pyarrow")])
def test_missing_packages(folder, monkeypatch, path, package):
    (folder / path).touch()
    find = importlib.util.find_spec
    monkeypatch.setattr(reading, "find_spec", lambda name: None if name == package else find("json"))
    with pytest.raises(
        ImportError, match=f"{path}: expected the package {package} to be installed, got none; run: pip "
    ):
        reading.read(path)


# -- targets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "b"] * 4, None, ["a", "b"]),
        ([True, False] * 4, None, [False, True]),
        ([True, False] * 4 + [None], None, [False, True]),
        ([3, 1, 2] * 4, None, [1, 2, 3]),
        ([3.0, 1.0, np.nan] * 4, None, [1, 3]),
        (list(range(20)) * 2, None, list(range(20))),
        (list(range(21)) * 2, None, None),
        ([*range(16), *range(8)], None, None),
        (list(range(21)) * 2, "classification", list(range(21))),
        ([0.5, 1.0] * 4, None, None),
        ([0.5, 1.0] * 4, "classification", ["0.5", "1"]),
        ([3, 1, 2] * 4, "regression", None),
    ],
)
def test_tasks(values, task, classes):
    column = pandas.Series(values, name="y").dropna()
    found = tables.find_classes(column, task)
    assert found == classes and list(map(type, found or [])) == list(map(type, classes or []))
    y = Task("y", found, None, ["y"]).rows(pandas.DataFrame({"y": column})).y
    assert y.dtype.kind == {type(None): "f", str: "U", bool: "b", int: "i"}[type(classes and classes[0])]


@pytest.mark.parametrize(
    ("values", "task", "kind", "message"),
    [
        (["a", "b"] * 4, "regression", WrongArgument, "expected numbers in 'y' for --task regression, got 'a'"),
        (["a"] * 8, None, ValueError, "expected at least two different values in 'y', got only a"),
        ([1.5] * 8, None, ValueError, "expected at least two different values in 'y', got only 1.5"),
        (
            list("abcdefgh"),
            None,
            ValueError,
            "expected classes of several rows in 'y', got 8 different values in 8 rows",
        ),
    ],
)
def test_targets_that_cannot_be_learned(values, task, kind, message):
    with pytest.raises(kind, match=message):
        tables.find_classes(pandas.Series(values, name="y"), task)


def test_a_class_that_the_model_lacks():
    with pytest.raises(ValueError, match="expected the classes 0, 1 in 'y', got 2 in 3 rows"):
        Task("y", [0, 1], None, ["y"]).rows(pandas.DataFrame({"y": [0, 1, 2, 2, 2]}))


@pytest.mark.parametrize(
    ("classes", "given"),
    [
        (["0", "1", "unknown"], [0, 1, 1]),
        (["0", "1", "unknown"], [0.0, 1.0, 1.0]),
        ([*map(str, range(30)), "x"], [0, 29, 3]),
        ([0, 1], ["0", "1", "1"]),
        ([False, True], ["False", "True", "True"]),
        (["0.5", "1"], [1.0, 1.0, 1.0]),
    ],
)
def test_targets_are_of_the_kind_of_the_classes(classes, given):
    """Formats other than CSV have data types of their own."""
    y = Task("y", classes, None, ["y"]).rows(pandas.DataFrame({"y": given})).y
    assert y.dtype.kind == np.asarray(classes).dtype.kind and set(y.tolist()) <= set(classes)
    labels = [str(int(value)) if isinstance(value, float) else str(value) for value in given]
    assert list(map(str, y.tolist())) == labels


@pytest.mark.parametrize("values", [["a", "b"], [1.0, -2.0], [1.0, None]], ids=["text", "negative", "missing"])
def test_wrong_weights(values):
    table = pandas.DataFrame({"y": [0, 1], "w": values})
    with pytest.raises(ValueError, match=r"expected weights in \[0, inf\) in 'w', got (a|-2.0|nan)$"):
        Task("y", [0, 1], "w", ["y", "w"]).rows(table)


def test_infinite_numbers():
    table = pandas.DataFrame({"y": [0, 1, 0], "x": [1.0, 2.0, -np.inf], "w": [np.inf] * 3}, index=[0, 4, 7])
    with pytest.raises(ValueError, match="expected finite numbers in 'x', got -inf in row 8; leave missing ones empty"):
        Task("y", [0, 1], None, ["y", "w"]).rows(table)
    assert Task("y", [0, 1], None, ["y", "w", "x"]).rows(table).x.shape == (3, 0)


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_split_has_all_rows_and_the_same_fractions_of_classes():
    y = np.array(list("aab") * 20)
    kept, held = tables.split(y, True, None, 0.2, 0)
    assert sorted([*kept, *held]) == list(range(60)) and len(held) == 12
    assert (y[held] == "b").sum() == 4
    assert (tables.split(y, True, None, 0.2, 0)[1] == held).all()
    assert (tables.split(y, True, None, 0.2, 1)[1] != held).any()


@pytest.mark.parametrize("seed", range(20))
def test_a_class_without_rows_to_train_on_is_not_held_out(seed):
    y = np.array(["a", *"bbcc", *"d" * 25])
    kept, held = tables.split(y, True, None, 0.3, seed)
    assert sorted([*kept, *held]) == list(range(30)) and set(y[held]) <= set(y[kept])


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed, classes):
    groups = tables.groups(pandas.Series(["x", None, "y", "z", "z", None, "v", "w"] * 5))
    assert len(set(groups)) == 5 + 10
    y = np.array([*range(10), *range(10), *range(20)])
    kept, held = tables.split(y, classes, groups, 0.4, seed)
    assert not set(groups[kept]) & set(groups[held]) and sorted([*kept, *held]) == list(range(40))
    assert not classes or set(y[held]) <= set(y[kept])


def test_nothing_to_hold_out():
    with pytest.raises(ValueError, match="expected some of 4 rows to be held out, got none; increase --validation"):
        tables.split(np.array(list("abcd")), True, None, 0.25, 0)


def sentences(column, target, classes=True):
    x = pandas.DataFrame({"a b": column})
    return list(tables.notices(x, pandas.Series(target, name="y"), classes))


@pytest.mark.parametrize("classes", [True, False])
def test_columns_without_a_mistake(classes):
    rng = np.random.default_rng(0)
    target = np.tile([0, 1], 10) if classes else rng.normal(size=20)
    for column in (rng.normal(size=20), [1] * 20, ["a", "b", None, "c"] * 5, [True, False, False, True] * 5):
        assert sentences(column, target, classes) == []


def test_identifiers():
    expected = ["'a b' has another value in every row, as an identifier has; --ignore 'a b' leaves it out"]
    assert sentences(range(20), [0, 1] * 10) == expected
    assert sentences([f"name {i}" for i in range(20)], np.arange(20) ** 1.5, classes=False) == expected


def test_columns_that_equal_the_target():
    expected = ["'a b' equals the target 'y'; if it is unknown at prediction, --ignore 'a b' leaves it out"]
    y = np.random.default_rng(0).normal(size=20)
    assert sentences(["no", "yes"] * 10, [0, 1] * 10) == expected
    assert sentences(100 - 3 * y, y, classes=False) == expected
    assert sentences(100 - 3 * y + np.arange(20) % 2, y, classes=False) == []


def test_a_target_that_is_almost_constant():
    common = [*range(9), *range(9), *range(9)] * 10
    assert sentences(common, [*[0] * 269, 1]) == ["99.6% of 'y' are 0; there is little to learn from so few others"]


def test_numbers_with_a_few_texts():
    column = [*map(str, np.arange(20) // 2), "?", "?"]
    assert sentences(column, [0, 1, 1] * 7 + [0]) == [
        "'a b' is text because of 2 values such as '?'; empty them to use numbers"
    ]


def test_unknown_columns(passengers):
    for name, advice in (
        ("survived", "; did you mean 'Survived'?"),
        ("x", "; the columns are 'Survived', 'Class', 'Sex', 'Age'"),
    ):
        with pytest.raises(WrongArgument) as caught:
            tables.check_columns(passengers, "folder/t.csv", "--ignore", ["Age", name])
        assert str(caught.value).startswith(f"expected --ignore to be a column of t.csv, got {name!r}{advice}")

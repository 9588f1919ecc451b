"""A table like that of the Titanic, made on the fly."""

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def passengers():
    """60 rows with numbers, categories, missing values, and targets that depend on them."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    rng = np.random.default_rng(0)
    sex, cabin = rng.choice(["male", "female"], 60), rng.choice(["A", "B", None], 60)
    age, rank = rng.integers(1, 70, 60).astype(float), rng.integers(1, 4, 60)
    survived = ((sex == "female") | (age < 10)).astype(int)
    fare = 100.0 / rank + age / 7 + rng.normal(0, 1, 60)
    age[::7] = np.nan
    columns = {"Survived": survived, "Class": rank, "Sex": sex, "Age": age, "Cabin": cabin, "Fare": fare.round(2)}
    return pandas.DataFrame(columns)


@pytest.fixture
def titanic(folder, passengers):
    """The name of a CSV file with the table."""
    passengers.to_csv("titanic.csv", index=False)
    return "titanic.csv"

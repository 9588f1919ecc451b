"""The benchmark of tables: it continues after an interruption, and reports means over seeds."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
pandas = pytest.importorskip("pandas")

from tests.benchmarks import tables  # noqa: E402


def test_only_missing_fits_run(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    frame = pandas.DataFrame({"x": x, "color": rng.choice(["red", "blue"], 80), "Survived": (x > 0).astype(int)})
    frame.to_csv(tmp_path / "titanic.csv.gz", index=False)
    results = tmp_path / "results" / "tables.jsonl"
    arguments = ["--data", str(tmp_path), "--results", str(results), "--tables", "titanic", "--methods"]
    tables.main([*arguments, "gradient boosting", "--seeds", "1"])
    first = results.read_text()
    assert json.loads(first)["accuracy"] > 0.8
    results.write_text(first + '{"table": "titanic", "meth')  # cut off
    tables.main([*arguments, "gradient boosting", "scikit-learn's MLP", "--seeds", "2"])
    rows = tables.read(results)
    assert [(row["method"], row["seed"]) for row in rows] == [
        ("gradient boosting", 0),
        ("scikit-learn's MLP", 0),
        ("gradient boosting", 1),
        ("scikit-learn's MLP", 1),
    ]
    assert "| titanic | accuracy |" in capsys.readouterr().out


def test_the_report_shows_mean_deviation_and_number_of_seeds():
    rows = [{"table": "titanic", "method": "RealMLP", "seed": s, "accuracy": 0.8 + 0.01 * s} for s in range(5)]
    rows += [{"table": "bike", "method": "RealMLP", "seed": s, "rmse": 40.0 + s} for s in range(2)]
    rows += [{"table": "bike", "method": "TabM", "seed": 0, "rmse": 39.0}]
    assert tables.report(rows).splitlines() == [
        "| table | score | RealMLP |",
        "|---|---|---|",
        "| titanic | accuracy | 0.8200 ± 0.0141 |",
        "| bike | RMSE | 40.50 ± 0.50 (2) |",
        "",
        "| table | score | TabM |",
        "|---|---|---|",
        "| bike | RMSE | 39.00 (1) |",
    ]

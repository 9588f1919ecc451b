"""Test the history of a fit as a table and a plot."""

import numpy as np
import pytest

from anynet import SGD, Dense, HalfSquaredError, Model

rng = np.random.default_rng(0)
x = rng.integers(0, 256, (90, 6), dtype=np.uint8)
y = rng.integers(0, 3, 90)


def test_history_as_a_table_and_a_picture():
    model = Model([Dense(1)], input_shape=6, loss=HalfSquaredError(), optimizer=SGD(1e-6))
    history = model.fit(x, y, epochs=3)
    pandas = pytest.importorskip("pandas")
    table = history.to_pandas()
    assert isinstance(table, pandas.DataFrame) and table.index.tolist() == [1, 2, 3]
    assert table["loss"].tolist() == history["loss"]
    pytest.importorskip("matplotlib").use("agg")
    assert [line.get_label() for line in history.plot().lines] == ["loss"]

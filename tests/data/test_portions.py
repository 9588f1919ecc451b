"""Portions of batches for several processes: together they are the batches of one."""

from itertools import islice

import numpy as np
import pytest

from anynet import SGD, Dense, Model, SoftmaxCrossEntropy
from anynet.data.adapter import DataAdapter
from anynet.data.batch import share
from anynet.data.plan import Plan
from tests.tools import fetch

rng = np.random.default_rng(0)
x, y, weight = rng.random((23, 4)), rng.integers(0, 3, 23), rng.random(23)
PLANS = [Plan(1, 5, True, 3, 0.0), Plan(1, 2, False, 3, 0.0), Plan(1, None, False, 3, 0.0)]


def sources(backend, tmp_path):
    """Return a source of arrays and one of a mapped file."""
    model = Model([Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1), backend=backend)
    data = DataAdapter(model.config, backend, model.output_shape)
    np.save(tmp_path / "x.npy", x)
    return [data.source("fit", a, y, weight) for a in (x, np.load(tmp_path / "x.npy", mmap_mode="r"))]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.batch_size}-{plan.shuffle}")
@pytest.mark.parametrize("skip", [0, 1])
def test_portions_of_arrays_are_the_batches(plan, ranks, skip, backend, tmp_path):
    whole, *others = sources(backend, tmp_path)
    with backend.activate():
        batches = [batch for chunk in whole.chunks(plan, 4, skip) for batch in chunk.batches()]
        for source in (whole, *others):
            columns = [list(source.portions(plan, 4, skip, rank, ranks)) for rank in range(ranks)]
            assert {len(column) for column in columns} == {len(batches)}
            for batch, portions in zip(batches, zip(*columns, strict=True), strict=True):
                for i, array in enumerate(batch):
                    parts = np.concatenate([fetch(backend, portion.batch[i]) for portion in portions])
                    np.testing.assert_array_equal(parts, fetch(backend, array))
                lengths = [len(portion.batch) for portion in portions]
                assert max(lengths) - min(lengths) <= 1
                assert [portion.first for portion in portions] == [sum(lengths[:i]) for i in range(ranks)]
                assert {portion.whole for portion in portions} == {len(batch)}


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_pieces_for_evaluation_are_shared_out(ranks, backend, tmp_path):
    for source in sources(backend, tmp_path):
        with backend.activate():
            pieces = [fetch(backend, batch.y) for batch in source.eval_batches(4)]
            for rank in range(ranks):
                own = [fetch(backend, batch.y) for batch in source.eval_batches(4, rank, ranks)]
                assert [a.tolist() for a in own] == [a.tolist() for a in pieces[rank::ranks]]


@pytest.mark.parametrize(("skip", "lengths"), [(0, [9, 9, 5, 0, 0]), (2, [5, 0, 0]), (3, [0, 0]), (7, [0])])
def test_an_iterable_is_followed_by_empty_portions(skip, lengths):
    model = Model([Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1))
    data = DataAdapter(model.config, model.backend, model.output_shape)
    source = data.source("fit", ((x[i : i + 9], y[i : i + 9]) for i in range(0, 23, 9)), None)
    portions = list(islice(source.portions(PLANS[0], 0, skip, 1, 2), len(lengths)))
    assert [len(portion.batch) for portion in portions] == lengths
    assert all(portion.first is portion.whole is None for portion in portions)


def test_an_iterable_without_batches_raises():
    model = Model([Dense(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1))
    data = DataAdapter(model.config, model.backend, model.output_shape)
    with pytest.raises(ValueError, match="expected 1 batch or more, got 0"):
        next(data.source("fit", iter(()), None).portions(PLANS[0], 0, 0, 0, 2))


def test_a_mapped_file_is_read_only_where_it_is_needed(tmp_path):
    source = sources(Model([Dense(1)], input_shape=1).backend, tmp_path)[1]
    read = []
    source._read = lambda array, rows: read.append(rows) or np.asarray(array)[rows]
    list(source.portions(Plan(1, 4, False, 3, 0.0), 0, 0, 1, 2))
    assert {(rows.start, rows.stop) for rows in read} == {(2, 4), (6, 8), (10, 12), (14, 16), (18, 20), (21, 23)}


def test_shares_cover_a_range():
    for stop in range(12):
        for ranks in range(1, 6):
            ranges = [share(3, 3 + stop, rank, ranks) for rank in range(ranks)]
            assert [p for begin, end in ranges for p in range(begin, end)] == list(range(3, 3 + stop))

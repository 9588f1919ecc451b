"""Test trees of dicts, lists and tuples."""

import numpy as np
import pytest

from anynet import SGD, tree

PARAMS = [{"weight": 1, "bias": 2}, {}, [{"scale": 3, "mean": 4}, (5, 6)], None]


def test_paths_name_every_leaf():
    found = {tree.name(path): leaf for path, leaf in tree.leaves_with_paths(PARAMS)}
    assert found == {"0.weight": 1, "0.bias": 2, "2.0.scale": 3, "2.0.mean": 4, "2.1.0": 5, "2.1.1": 6}


def test_get_follows_a_path():
    for path, leaf in tree.leaves_with_paths(PARAMS):
        assert tree.get(PARAMS, path) == leaf


def test_dictionaries_are_matched_by_key_not_by_order():
    """``jax.jit`` returns dictionaries sorted."""
    a, b = {"weight": 1, "bias": 2}, {"bias": 20, "weight": 10}
    assert tree.map(lambda x, y: (x, y), a, b) == {"weight": (1, 10), "bias": (2, 20)}
    assert tree.leaves(b, like=a) == [10, 20]
    assert tree.set_leaves(b, iter([100, 200]), like=a) == {"weight": 100, "bias": 200}


def test_the_first_tree_selects_the_paths():
    assert tree.map(lambda x, y: x + y, [{"scale": 1}, {}], [{"scale": 2, "mean": 9}, {"other": 9}]) == [
        {"scale": 3},
        {},
    ]
    assert tree.set_leaves(PARAMS, iter([10]), like=[{"bias": 0}, {}, [{}, (None, None)], None]) == [
        {"weight": 1, "bias": 10},
        {},
        [{"scale": 3, "mean": 4}, (5, 6)],
        None,
    ]


def test_container_types_are_kept():
    assert tree.map(lambda x: -x, PARAMS) == [
        {"weight": -1, "bias": -2},
        {},
        [{"scale": -3, "mean": -4}, (-5, -6)],
        None,
    ]


@pytest.mark.parametrize(
    ("small", "like"), [({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 2]), ([1, 2], [1]), ([{}], [{"a": 1}])]
)
def test_a_missing_leaf_raises(small, like):
    with pytest.raises((KeyError, ValueError)):
        tree.map(lambda x, y: x, like, small)


def test_arguments_are_unchanged():
    before = repr(PARAMS)
    tree.set_leaves(PARAMS, iter(range(6)), like=PARAMS)
    assert repr(PARAMS) == before


def test_an_array_is_a_tree_of_one_leaf():
    assert tree.zip_leaves(1, 1, 2) == [(1, 2)] and tree.zip_leaves(None, None) == []
    assert tree.map(lambda a, b: a + b, 1, 2) == 3
    x = np.array([1.0, 2.0])
    new, _ = SGD(0.1).update(x, np.array([1.0, 3.0]), SGD(0.1).init(x))
    np.testing.assert_allclose(new, [0.9, 1.7])

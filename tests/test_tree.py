"""Nested dicts, lists and tuples, paired by key."""

import pytest

from anynet import tree

PARAMS = [{"weight": 1, "bias": 2}, {}, [{"scale": 3, "mean": 4}, (5, 6)], None]


def test_places_name_every_leaf():
    found = {tree.name(path): leaf for path, leaf in tree.places(PARAMS)}
    assert found == {"0.weight": 1, "0.bias": 2, "2.0.scale": 3, "2.0.mean": 4, "2.1.0": 5, "2.1.1": 6}


def test_get_follows_a_path():
    for path, leaf in tree.places(PARAMS):
        assert tree.get(PARAMS, path) == leaf


def test_dictionaries_are_paired_by_key_not_by_order():
    """A dict that has been through ``jax.jit`` comes back sorted."""
    a, b = {"weight": 1, "bias": 2}, {"bias": 20, "weight": 10}
    assert tree.map(lambda x, y: (x, y), a, b) == {"weight": (1, 10), "bias": (2, 20)}
    assert tree.leaves(b, like=a) == [10, 20]
    assert tree.replace(b, iter([100, 200]), like=a) == {"weight": 100, "bias": 200}


def test_the_first_tree_names_the_places():
    assert tree.map(lambda x, y: x + y, [{"scale": 1}, {}], [{"scale": 2, "mean": 9}, {"other": 9}]) == [
        {"scale": 3},
        {},
    ]
    assert tree.replace(PARAMS, iter([10]), like=[{"bias": 0}, {}, [{}, (None, None)], None]) == [
        {"weight": 1, "bias": 10},
        {},
        [{"scale": 3, "mean": 4}, (5, 6)],
        None,
    ]


def test_kinds_of_containers_are_kept():
    assert tree.map(lambda x: -x, PARAMS) == [
        {"weight": -1, "bias": -2},
        {},
        [{"scale": -3, "mean": -4}, (-5, -6)],
        None,
    ]


@pytest.mark.parametrize(
    ("small", "like"), [({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 2]), ([1, 2], [1]), ([{}], [{"a": 1}])]
)
def test_what_is_missing_raises(small, like):
    with pytest.raises((KeyError, ValueError)):
        tree.map(lambda x, y: x, like, small)


def test_arguments_are_unchanged():
    before = repr(PARAMS)
    tree.replace(PARAMS, iter(range(6)), like=PARAMS)
    assert repr(PARAMS) == before

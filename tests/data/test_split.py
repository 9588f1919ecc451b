"""Splitting and weighing data."""

import numpy as np
import pytest

from anynet.data.split import class_weights, stratified_split as split


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("labels", [None, np.repeat([0, 1, 2], [70, 25, 5]), np.arange(100) % 7])
def test_a_split_takes_each_example_once(fraction, labels):
    kept, held = split("fit", fraction, 100, labels, rng())
    assert len(held) == round(100 * fraction)
    assert sorted(np.concatenate([kept, held])) == list(range(100))
    assert not np.array_equal(kept, np.sort(kept))


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("counts", [[700, 250, 50], [10, 10, 980], [333, 333, 334]])
def test_each_class_is_split_alike(fraction, counts):
    labels = np.repeat(np.arange(3), counts)
    _, held = split("fit", fraction, 1000, labels, rng())
    found = np.bincount(labels[held], minlength=3)
    assert np.abs(found - fraction * np.array(counts)).max() <= 2


def test_within_a_class_chance_decides():
    labels = np.repeat([0, 1], 50)
    first, second = (set(split("fit", 0.2, 100, labels, np.random.default_rng(seed))[1]) for seed in range(2))
    assert first != second
    assert first == set(split("fit", 0.2, 100, labels, np.random.default_rng(0))[1])


def test_every_example_is_held_out_equally_often():
    labels = np.repeat([0, 1], [40, 10])
    times = np.zeros(50)
    generator = rng()
    for _ in range(2000):
        times[split("fit", 0.2, 50, labels, generator)[1]] += 1
    assert np.abs(times / 2000 - 0.2).max() < 5 * (0.2 * 0.8 / 2000) ** 0.5


def test_balanced_is_what_scikit_learn_says():
    labels = np.repeat([0, 2, 5], [6, 3, 1])
    weights = class_weights("fit", "balanced", labels)
    np.testing.assert_allclose([weights[0], weights[6], weights[9]], [10 / 18, 10 / 9, 10 / 3])
    assert weights.mean() == pytest.approx(1.0)
    utils = pytest.importorskip("sklearn.utils.class_weight", reason="needs scikit-learn")
    np.testing.assert_allclose(weights, utils.compute_sample_weight("balanced", labels))


def test_weights_by_name_default_to_one():
    np.testing.assert_array_equal(class_weights("fit", {1: 3.0}, np.array([0, 1, 1, 2])), [1.0, 3.0, 3.0, 1.0])

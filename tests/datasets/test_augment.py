"""Elastic distortions against sums and loops written out, and the iterable of distorted batches."""

import sys

import numpy as np
import pytest

from anynet import SGD, Dense, Model, SoftmaxCrossEntropy, load_digits

pytest.importorskip("scipy")

from anynet.datasets.augment import ElasticDistortions, elastic


@pytest.fixture
def digits():
    (x, y), _ = load_digits()
    return x[:50].reshape(-1, 8, 8) / 16, y[:50]


def pixel(image, row, column):
    """Return a pixel; 0 outside of the image."""
    height, width = image.shape
    return image[row, column] if 0 <= row < height and 0 <= column < width else 0.0


def bilinear(image, row, column):
    """Return the value between four pixels; 0 outside of the outermost pixels."""
    height, width = image.shape
    if not (0 <= row <= height - 1 and 0 <= column <= width - 1):
        return 0.0
    i, j = int(np.floor(row)), int(np.floor(column))
    a, b = row - i, column - j
    upper = (1 - b) * pixel(image, i, j) + b * pixel(image, i, j + 1)
    lower = (1 - b) * pixel(image, i + 1, j) + b * pixel(image, i + 1, j + 1)
    return (1 - a) * upper + a * lower


def smoothed(field, sigma):
    """Return the field, with zeros around it, after a Gaussian filter of four standard deviations."""
    distance = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    kernel = np.exp(-0.5 * (distance / sigma) ** 2)
    kernel /= kernel.sum()
    middle = len(distance) // 2
    matrices = []
    for count in field.shape:
        offset = np.arange(count)[:, None] - np.arange(count)
        matrices.append(np.where(abs(offset) <= middle, kernel[np.clip(offset + middle, 0, 2 * middle)], 0.0))
    return matrices[0] @ field @ matrices[1].T


def test_it_equals_the_definition(digits):
    images, alpha, sigma = digits[0][:3], 6.0, 1.5
    fields = np.random.default_rng(3).random((2, 3, 8, 8), dtype=np.float32) * 2 - 1
    expected = np.empty((3, 8, 8))
    for n, image in enumerate(images):
        down, right = (alpha * smoothed(field[n].astype(float), sigma) for field in fields)
        for i, j in np.ndindex(8, 8):
            expected[n, i, j] = bilinear(image, i + down[i, j], j + right[i, j])
    found = elastic(images, np.random.default_rng(3), alpha=alpha, sigma=sigma)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_without_displacement_images_are_unchanged(digits):
    np.testing.assert_array_equal(elastic(digits[0], np.random.default_rng(0), alpha=0.0), digits[0].astype(np.float32))


def test_displacements_have_the_documented_size():
    slope = np.tile(np.arange(60.0)[:, None], (20, 1, 60))
    moved = elastic(slope, np.random.default_rng(0), alpha=34.0, sigma=4.0) - slope
    assert np.std(moved[:, 20:40, 20:40]) == pytest.approx(34 / (4 * np.sqrt(12 * np.pi)), rel=0.1)


def test_an_epoch_contains_each_image_once(digits):
    x, _ = digits
    batches = ElasticDistortions(x, np.arange(50), batch_size=16)
    parts = list(batches)
    assert len(batches) == len(parts) == 4
    assert [part.shape for part, _ in parts] == [(16, 64)] * 3 + [(2, 64)]
    assert sorted(np.concatenate([y for _, y in parts])) == list(range(50))


def test_targets_follow_their_images(digits):
    x, y = digits
    for images, classes in ElasticDistortions(x, np.arange(50), alpha=0.0, flatten=False):
        np.testing.assert_array_equal(images, x[classes].astype(np.float32))
    assert y.shape == (50,)


def test_epochs_differ_and_are_a_function_of_the_seed(digits):
    first, second = (
        ElasticDistortions(*digits, batch_size=50, seed=1),
        ElasticDistortions(*digits, batch_size=50, seed=1),
    )
    a, b = next(iter(first)), next(iter(first))
    assert not np.array_equal(np.sort(a[0], axis=0), np.sort(b[0], axis=0))
    second.epoch = 1
    for one, other in zip(b, next(iter(second)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_trains_on_them(digits):
    batches = ElasticDistortions(*digits, alpha=4.0, sigma=2.0, batch_size=10)
    model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.5))
    losses = model.fit(batches, epochs=20)["loss"]
    assert batches.epoch == 20
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((50, 64))}, r"expected images of shape \(N, H, W\), got shape \(50, 64\)"),
        ({"y": np.zeros(49)}, "expected one target per image, got 49 for 50 images"),
        ({"alpha": -1.0}, r"expected alpha in \[0, inf\), got -1.0"),
        ({"sigma": 0.0}, r"expected sigma in \(0, inf\), got 0.0"),
        ({"batch_size": 0}, "expected batch_size >= 1, got 0"),
        ({"seed": -1}, "expected seed >= 0, got -1"),
    ],
)
def test_arguments_are_checked(digits, change, message):
    with pytest.raises(ValueError, match=f"ElasticDistortions: {message}"):
        ElasticDistortions(**{"x": digits[0], "y": digits[1], **change})


def test_a_missing_scipy_is_named(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(ImportError, match=r"elastic: expected SciPy, got .*pip install scipy"):
        ElasticDistortions(*digits)

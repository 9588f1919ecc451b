r"""Distorted images as a source of training data; needs SciPy (extra ``sklearn``).

`elastic` distorts images once. `ElasticDistortions` is an iterable of batches for `Model.fit`, with new distortions in every
epoch.

>>> import numpy as np
>>> from anynet.datasets import load_digits
>>> (x, y), _ = load_digits()
>>> batches = ElasticDistortions(x.reshape(-1, 8, 8) / 16, y, alpha=8.0, sigma=2.0, batch_size=100)
>>> len(batches), next(iter(batches))[0].shape
(15, (100, 64))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anynet.checks import check_int, check_number


def elastic(images: Any, rng: np.random.Generator, *, alpha: float = 34.0, sigma: float = 4.0) -> NDArray[np.float32]:
    r"""Distort images along smooth random displacement fields.

    .. math::

        y(p) = x(p + α (G_σ * u)(p)), \qquad u(p) \sim \text{U}(-1, 1)^2 \text{ independently for each pixel } p

    :math:`G_σ` is the Gaussian filter, and x between pixels is interpolated bilinearly; it is 0 outside of the image. The
    displacement has a standard deviation of about :math:`α / (σ \sqrt{12 π})` pixels per axis.

    Parameters
    ----------
    images : array (N, H, W)
        Images with a background of 0.
    rng : numpy.random.Generator
        Source of the displacements.
    alpha : float, in [0, inf)
        Scale α of the displacements, in pixels.
    sigma : float, in (0, inf)
        Standard deviation σ of the filter, in pixels: small values crumple the images, large values shift them.

    Returns
    -------
    ndarray of float32 (N, H, W)

    Raises
    ------
    ValueError
        If the images do not have three axes, or a number is out of range.
    ImportError
        If SciPy is not installed.

    Notes
    -----
    The defaults are the paper's, for images of 29×29 pixels.

    Examples
    --------
    >>> image = np.zeros((1, 4, 4))
    >>> image[0, :, 1] = 1.0
    >>> print(elastic(image, np.random.default_rng(0), alpha=2.0, sigma=1.0)[0].round(1))
    [[0.1 0.  0.  0. ]
     [0.1 0.6 0.  0. ]
     [0.3 0.5 0.  0. ]
     [0.  0.  0.  0. ]]

    References
    ----------
    Simard, Steinkraus, Platt (2003), "Best practices for convolutional neural networks applied to visual document analysis",
    section 2.
    """
    images = np.asarray(images, dtype=np.float32)
    _check("elastic", images, alpha, sigma)
    gaussian_filter, map_coordinates = _scipy()
    fields = rng.random((2, *images.shape), dtype=np.float32) * 2.0 - 1.0
    fields = gaussian_filter(fields, (0.0, 0.0, sigma, sigma), mode="constant")
    pixels = np.indices(images.shape[1:], dtype=np.float32)
    distorted = np.empty_like(images)
    for number, image in enumerate(images):
        places = pixels + np.float32(alpha) * fields[:, number]
        map_coordinates(image, places, output=distorted[number], order=1, mode="constant")
    return distorted


class ElasticDistortions:
    """Batches of images for `Model.fit`, with new distortions in every epoch.

    The order of the images is new in every epoch too. Order and distortions depend on the seed and the number of the epoch only.

    Parameters
    ----------
    x : array (N, H, W)
        Images with a background of 0, such as ``load_mnist(flatten=False)`` divided by 255.
    y : array (N, ...)
        Targets.
    alpha, sigma : float
        See `elastic`.
    batch_size : int, at least 1
        Number of images per batch; the last one of an epoch may be smaller.
    seed : int, in [0, inf)
        Seed of orders and distortions.
    flatten : bool
        Whether each image of a batch is a row of H · W pixels or an array of shape (H, W).

    Attributes
    ----------
    epoch : int
        Number of epochs begun, each by one ``iter``. It may be set, to continue an interrupted training.

    Raises
    ------
    ValueError
        If shapes or numbers are out of range.
    ImportError
        If SciPy is not installed.

    Examples
    --------
    >>> from anynet import SGD, Dense, Model, SoftmaxCrossEntropy, load_digits
    >>> (x, y), _ = load_digits()
    >>> batches = ElasticDistortions(x.reshape(-1, 8, 8) / 16, y, alpha=8.0, sigma=2.0, batch_size=100)
    >>> model = Model([Dense(10)], input_shape=64, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1))
    >>> history = model.fit(batches, epochs=2)
    >>> batches.epoch
    2
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        alpha: float = 34.0,
        sigma: float = 4.0,
        batch_size: int = 32,
        seed: int = 0,
        flatten: bool = True,
    ) -> None:
        self._x, self._y = np.asarray(x, dtype=np.float32), np.asarray(y)
        _check("ElasticDistortions", self._x, alpha, sigma)
        _scipy()
        if len(self._x) != len(self._y):
            raise ValueError(
                f"ElasticDistortions: expected one target per image, got {len(self._y)} for {len(self._x)} images"
            )
        self._batch_size = check_int("ElasticDistortions", "batch_size", batch_size, at_least=1)
        self._seed = check_int("ElasticDistortions", "seed", seed, at_least=0)
        self._alpha, self._sigma, self._flatten = alpha, sigma, flatten
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return -(-len(self._x) // self._batch_size)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        rng = np.random.default_rng((self._seed, self.epoch))
        self.epoch += 1
        return self._batches(rng)

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        order = rng.permutation(len(self._x))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            x = elastic(self._x[rows], rng, alpha=self._alpha, sigma=self._sigma)
            yield (x.reshape(len(x), -1) if self._flatten else x), self._y[rows]


def _scipy() -> tuple[Any, Any]:
    """Return SciPy's Gaussian filter and interpolation."""
    try:
        from scipy.ndimage import gaussian_filter, map_coordinates
    except ImportError as error:
        raise ImportError(f"elastic: expected SciPy, got {error}; install it with: pip install scipy") from error
    return gaussian_filter, map_coordinates


def _check(where: str, images: np.ndarray, alpha: float, sigma: float) -> None:
    if images.ndim != 3:
        raise ValueError(f"{where}: expected images of shape (N, H, W), got shape {images.shape}")
    check_number(where, "alpha", alpha, "[0, inf)")
    check_number(where, "sigma", sigma, "(0, inf)")

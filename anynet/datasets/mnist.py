"""The MNIST digits, read from a folder or downloaded once to the user's cache."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anynet.datasets.cache import cache_folder, cached
from anynet.datasets.idx import gunzip, parse_idx

# In the order in which load_mnist unpacks them. The MD5s are those of the uncompressed contents, because mirrors and local
# copies are compressed differently. MD5 is what was published; it detects damage, and https prevents forgery.
_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

# Tried in this order. pooch would verify the compressed file, so that every mirror would need its own checksums, and four
# files do not justify a dependency.
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_Labeled = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_mnist(folder: str | os.PathLike[str] | None = None, *, flatten: bool = True) -> tuple[_Labeled, _Labeled]:
    """Load the 70 000 images of MNIST, downloading them if necessary.

    Parameters
    ----------
    folder : str or path-like, optional
        Folder with the four IDX files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
        ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, each with or without ``.gz``. By default, the files come
        from the first of

        1. ``$ANYNET_DATA/mnist`` or ``$ANYNET_DATA``, if this environment variable is set and all four files exist,
        2. the user's cache: ``anynet/mnist`` in ``$XDG_CACHE_HOME``, or if that is unset, in ``~/.cache``, on macOS
           ``~/Library/Caches``, on Windows ``%LOCALAPPDATA%``,
        3. a public mirror (11 MB over https), once; the cache keeps the uncompressed files (55 MB).
    flatten : bool
        Whether each image is a row of 784 pixels (the default) or an array of shape (28, 28).

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        x_train is ``uint8`` of shape (60000, 784) or (60000, 28, 28) with values from 0 (paper) to 255 (ink); y_train
        is ``int64`` of shape (60000,) with classes 0 to 9. x_test and y_test hold the other 10 000. The order is the
        published one. Each call returns new arrays, which may be modified.

    Raises
    ------
    FileNotFoundError
        If `folder` is given and lacks one of the files.
    ValueError
        If a file in `folder` or ``ANYNET_DATA`` is damaged or does not contain 28×28 images or their labels.
    OSError
        If no mirror returns the correct contents, or the cache is not writable. The cache then contains only complete,
        verified files.

    Notes
    -----
    Downloads and the cache are verified against the published MD5s of the contents; a damaged cache file is downloaded
    again. Files in `folder` or ``ANYNET_DATA`` must contain 28×28 images and as many labels, but need not be MNIST:
    Fashion-MNIST and Kuzushiji-MNIST have the same file names and load the same way.

    References
    ----------
    LeCun, Y., Cortes, C. and Burges, C. (1998). The MNIST database of handwritten digits. CC BY-SA 3.0.

    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11), section III.A.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_mnist()  # doctest: +SKIP
    >>> x_train.shape, x_train.dtype, y_train[:5]  # doctest: +SKIP
    ((60000, 784), dtype('uint8'), array([5, 0, 4, 1, 9]))
    """
    x_train, y_train, x_test, y_test = (parse_idx(data, where=where) for where, data in _read_files(folder))
    return _labeled(x_train, y_train, "training", flatten), _labeled(x_test, y_test, "test", flatten)


def _labeled(x: NDArray[Any], y: NDArray[Any], part: str, flatten: bool) -> _Labeled:
    """Check the images and labels, and return them in their final shape and type."""
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28):
        raise ValueError(
            f"load_mnist: expected {part} images of shape (N, 28, 28) and type uint8, got {x.shape} and {x.dtype}; "
            "check which dataset the files belong to"
        )
    if y.dtype != np.uint8 or y.shape != x.shape[:1]:
        raise ValueError(
            f"load_mnist: expected {part} labels of shape {x.shape[:1]} and type uint8, one per image, "
            f"got {y.shape} and {y.dtype}; check that images and labels belong together"
        )
    return x.reshape(len(x), 784) if flatten else x, y.astype(np.int64)


def _read_files(folder: str | os.PathLike[str] | None) -> list[tuple[str, bytes]]:
    """Return the paths and uncompressed contents of the four files, from the first complete source."""
    data = os.environ.get("ANYNET_DATA")
    if folder is not None:
        places = [Path(folder)]
    elif data:
        places = [Path(data) / "mnist", Path(data)]
    else:
        places = []
    for place in places:
        # The later path of a name wins, so an uncompressed file takes precedence over a gzipped one.
        found = {name: path for name in _FILES for path in (place / f"{name}.gz", place / name) if path.is_file()}
        if len(found) == len(_FILES):
            return [(str(path), gunzip(path.read_bytes(), where=str(path))) for path in found.values()]
        if folder is not None:
            missing = ", ".join(name for name in _FILES if name not in found)
            raise FileNotFoundError(
                f"load_mnist: expected the four MNIST files, gzipped or not, in folder {str(place)!r}, "
                f"got no {missing}; correct the path, or leave folder out to have them downloaded"
            )
    cache = cache_folder("mnist")
    advice = (
        "without internet access, copy the four files to this machine and pass folder=, "
        f"or set ANYNET_DATA (now {data or 'unset'}) to a folder with mnist/*.gz"
    )

    def read(name: str, md5: str) -> bytes:
        urls = [f"{mirror}{name}.gz" for mirror in _MIRRORS]
        return cached("load_mnist", cache / name, urls, f"md5:{md5}", advice)

    return [(str(cache / name), read(name, md5)) for name, md5 in _FILES.items()]

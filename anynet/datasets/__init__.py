"""Small datasets.

``load_digits``
    1 797 images of 8×8 pixels, included in the package.
``load_mnist``
    70 000 images of 28×28 pixels, read from a folder or downloaded once.
``load_shakespeare``
    1.1 million characters of plays, read from a folder or downloaded once; an excerpt is included in the package.

The first two return NumPy arrays ``(x_train, y_train), (x_test, y_test)`` with the original ``uint8`` pixels, neither scaled
nor centered, and ``int64`` classes. `anynet.datasets.augment` distorts images for training.

>>> from anynet.datasets import load_digits
>>> (x_train, y_train), (x_test, y_test) = load_digits()
>>> x_train.shape, y_train.shape, x_test.shape, y_test.shape
((1415, 64), (1415,), (382, 64), (382,))
"""

from anynet.datasets.digits import load_digits
from anynet.datasets.mnist import load_mnist
from anynet.datasets.shakespeare import load_shakespeare

__all__ = ["load_digits", "load_mnist", "load_shakespeare"]

"""The 8×8 digits of the UCI repository; digits.idx.txt contains their license."""

from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from anynet.datasets.idx import read_idx

_FILE = Path(__file__).with_name("digits.idx.gz")  # (1797, 65): 64 pixels, then the class, as in the original rows
_N_TRAIN = 1415  # start of the twelfth of fourteen forms; see the Notes of load_digits

_Labeled = tuple[NDArray[np.uint8], NDArray[np.int64]]


@overload
def load_digits(*, flatten: bool = True, split: Literal[True] = True) -> tuple[_Labeled, _Labeled]: ...
@overload
def load_digits(*, flatten: bool = True, split: Literal[False]) -> _Labeled: ...
def load_digits(*, flatten: bool = True, split: bool = True) -> tuple[_Labeled, _Labeled] | _Labeled:
    """Load 1 797 handwritten digits of 8×8 pixels, included in the package.

    Parameters
    ----------
    flatten : bool
        Whether each image is a row of 64 pixels (the default) or an array of shape (8, 8).
    split : bool
        Whether to split the images into a training and a test set (the default), or to return all of them, for
        cross-validation or another split.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        x_train is ``uint8`` of shape (1415, 64) or (1415, 8, 8) with values from 0 (paper) to 16 (ink); y_train is
        ``int64`` of shape (1415,) with classes 0 to 9. x_test and y_test hold the other 382. With ``split=False``,
        only ``(x, y)`` with all 1 797, in the order of the file. Each call returns new arrays, which may be modified.

    Notes
    -----
    This is the test set of Alpaydin and Kaynak's data, which scikit-learn includes too; their 3 823 training images are
    not included.

    The split is fixed: the first 1 415 images for training, the last 382 for testing. The file is ordered by form: 14
    copies of the same text of about 130 digits (visible in `y`; a few digits are missing), and the split is between two
    forms. So the test set measures the accuracy on handwriting that is not in the training set, which is harder than a
    random split, where every test image has training images by the same writer. A nearest-neighbor classifier is correct
    for 95.8 % of these test images, but for 99.0 % with random splits of the same sizes; compare with published figures
    accordingly. The data do not identify the writers: with 14 forms by 13 people, one person filled in two forms,
    possibly on both sides of the split.

    References
    ----------
    Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, CC BY 4.0.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_digits(flatten=False)
    >>> for row in x_train[0]:
    ...     print("".join("-+#"[value // 6] for value in row))
    ---#+---
    --##+#--
    --#--++-
    --#--++-
    --+--++-
    --+--#+-
    --#-+#--
    --+#+---
    """
    rows = read_idx(_FILE)
    x = np.ascontiguousarray(rows[:, :64] if flatten else rows[:, :64].reshape(-1, 8, 8))
    y = rows[:, 64].astype(np.int64)
    if not split:
        return x, y
    return (x[:_N_TRAIN], y[:_N_TRAIN]), (x[_N_TRAIN:], y[_N_TRAIN:])

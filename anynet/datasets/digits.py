"""The 8×8 digits of the UCI repository, shipped as digits.idx.gz; digits.idx.txt states their origin and licence."""

from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from anynet.datasets.idx import read_idx

_FILE = Path(__file__).with_name("digits.idx.gz")  # (1797, 65): 64 pixels, then the class, as in the original's rows
_N_TRAIN = 1415  # where the twelfth of the fourteen forms begins, see the Notes of load_digits

_Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


@overload
def load_digits(*, flatten: bool = True, split: Literal[True] = True) -> tuple[_Labelled, _Labelled]: ...
@overload
def load_digits(*, flatten: bool = True, split: Literal[False]) -> _Labelled: ...
def load_digits(*, flatten: bool = True, split: bool = True) -> tuple[_Labelled, _Labelled] | _Labelled:
    """Load 1 797 handwritten digits of 8×8 pixels, without a download.

    Parameters
    ----------
    flatten : bool
        Whether an image is a row of 64 pixels (the default) or an array of shape (8, 8).
    split : bool
        Whether to part the images into a training and a test set (the default) or to return all of them, for
        cross-validation or a split of your own.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        x_train is ``uint8`` of shape (1415, 64) or (1415, 8, 8) with values from 0 (paper) to 16 (ink); y_train is
        ``int64`` of shape (1415,) with classes 0 to 9. x_test and y_test hold the other 382. With ``split=False``,
        only ``(x, y)`` with all 1 797, in the order of the file. The arrays are new at every call, so they may be
        changed in place.

    Notes
    -----
    This is the test set of Alpaydin and Kaynak's data, the part that scikit-learn ships too; their 3 823 training
    images are not included.

    The split is fixed: the first 1 415 images train, the last 382 test. The file is ordered by form, 14 times the same
    text of about 130 digits (visible in `y`; a few digits are missing here and there), and the cut falls between two
    forms. So nobody's form lies on both sides, and the test asks how well a network reads handwriting it has not seen.
    That is harder than a random split, in which every test image has siblings by the same hand: the nearest training
    image has the right class for 95.8 % of these test images, but for 99.0 % with random splits of the same sizes.
    Compare with published figures accordingly. The data do not say who wrote which form; with 14 forms by 13 people
    somebody filled in two, and whether across the cut cannot be known.

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

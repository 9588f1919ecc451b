"""Reader for the IDX format of MNIST: one array per file, often gzipped.

=============  =========================================================
bytes          contents
=============  =========================================================
0 and 1        zero
2              type code, see ``_DTYPES``
3              number of axes
4 onwards      the length of each axis, a big-endian ``uint32`` each
the rest       the values, big-endian, the last axis varying fastest
=============  =========================================================

References
----------
LeCun, Y., Cortes, C. and Burges, C. (1998). The MNIST database of handwritten digits, section "File formats".
"""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the array of an IDX file, gzipped or not.

    Parameters
    ----------
    path : str or path-like
        The file. Compression is detected from the first bytes, not from the name.

    Returns
    -------
    ndarray
        See `parse_idx`.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the contents are not exactly one IDX array.
    """
    return parse_idx(gunzip(Path(path).read_bytes(), where=str(path)), where=str(path))


def parse_idx(data: bytes, *, where: str) -> NDArray[Any]:
    """Convert the uncompressed bytes of an IDX file to an array.

    Parameters
    ----------
    data : bytes
        Header and values.
    where : str
        Name of the data in error messages, usually the file's path.

    Returns
    -------
    ndarray
        A new writable array in native byte order, with the shape and type of the header.

    Raises
    ------
    ValueError
        If the header is not an IDX header, or the number of values does not match it.

    Examples
    --------
    >>> parse_idx(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]), where="example")
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise ValueError(
            f"{where}: expected an IDX file, which starts with two zero bytes, a type code among "
            f"{', '.join(map(str, _DTYPES))} and the number of axes, got {list(data[:4])} as its first bytes; "
            "check the path"
        )
    dtype, ndim = np.dtype(_DTYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        raise ValueError(
            f"{where}: expected a header of {start} bytes for {ndim} axes, got {len(data)} bytes in all; "
            "the file is truncated; download it again"
        )
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    # Compare Python integers, which cannot overflow, before allocating the array.
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        raise ValueError(
            f"{where}: expected {expected} bytes of values for shape {shape} and type {dtype.name}, "
            f"got {len(data) - start}; the file is damaged or truncated; download it again"
        )
    # astype copies: the result of frombuffer is read-only and keeps the whole file in memory.
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def gunzip(data: bytes, *, where: str, at_most: int | None = None) -> bytes:
    """Decompress `data` if it is gzipped, and return it unchanged otherwise.

    Parameters
    ----------
    data : bytes
        The contents of a file.
    where : str
        Name of the data in the error message.
    at_most : int, optional
        Largest size of the uncompressed contents.

    Returns
    -------
    bytes
        The uncompressed contents.

    Raises
    ------
    ValueError
        If the gzip stream is damaged or truncated, or its contents are larger than `at_most`.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read() if at_most is None else file.read(at_most + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{where}: expected a complete gzip file, got {error}; download it again") from error
    if at_most is not None and len(content) > at_most:
        raise ValueError(f"{where}: expected at most {at_most} bytes of uncompressed contents, got more")
    return content

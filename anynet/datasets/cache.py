"""Files of datasets, downloaded once to the user's cache and verified by their checksums."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from anynet.datasets.idx import gunzip

TIMEOUT = 20.0
"""Seconds without receiving data after which the next mirror is tried."""

MAX_BYTES = 2**26
"""Largest size of a file, which is unpacked before its checksum is known; the largest, of MNIST, has 47 MB."""


def cache_folder(name: str) -> Path:
    """Return the folder of a dataset in the user's cache."""
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        root = Path(xdg)
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path.home() / ".cache"
    return root / "anynet" / name


def cached(where: str, path: Path, urls: Sequence[str], checksum: str, advice: str) -> bytes:
    """Read a file from the cache, after downloading it if it is missing or damaged.

    Parameters
    ----------
    where : str
        Prefix of error messages.
    path : Path
        The file, with a name in `cache_folder`.
    urls : sequence of str
        Addresses to try in this order; each may return the file gzipped.
    checksum : str
        Algorithm and hexadecimal digest of the uncompressed contents, such as ``"md5:6bbc..."``.
    advice : str
        End of the error message if no address returns the file.

    Raises
    ------
    OSError
        If no address returns contents with this checksum, or the cache is not writable.
    """
    if path.is_file():
        data = path.read_bytes()
        if _digest(data, checksum) == checksum:
            return data
    data = _download(where, path.name, urls, checksum, advice)
    try:
        _write_atomically(path, data)
    except OSError as error:
        raise OSError(
            f"{where}: expected a writable cache folder, got {error}; "
            "set XDG_CACHE_HOME to another, or load with folder= or ANYNET_DATA"
        ) from error
    return data


def _digest(data: bytes, like: str) -> str:
    """Return the checksum of data by the algorithm of another checksum."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}"


def _shown(checksum: str) -> str:
    algorithm, _, digest = checksum.partition(":")
    return f"{algorithm.upper()} {digest}"


def _download(where: str, name: str, urls: Sequence[str], checksum: str, advice: str) -> bytes:
    """Return the uncompressed contents of a file from the first address with the correct checksum."""
    # Imported here because they would double the import time of anynet.datasets.
    from http.client import HTTPException
    from urllib.request import urlopen

    failures = []
    for url in urls:
        try:
            with urlopen(url, timeout=TIMEOUT) as response:
                data = response.read(MAX_BYTES + 1)
                if len(data) > MAX_BYTES:
                    raise ValueError(f"the response: expected at most {MAX_BYTES} bytes, got more")
                response.read()  # raises if the response was cut short
            data = gunzip(data, where="the response", at_most=MAX_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        if _digest(data, checksum) == checksum:
            return data
        failures.append(f"{url}: contents with {_shown(_digest(data, checksum))}")
    raise OSError(
        f"{where}: expected {name} with {_shown(checksum)} from one of {len(urls)} mirrors, got {'; '.join(failures)}; {advice}"
    )


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that other processes see either all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise

"""Checksummed safetensors files, written atomically.

A file is an ordinary safetensors file (8 bytes with the length of the header, the header as JSON, the arrays) whose
``__metadata__`` has two entries: ``anynet``, JSON that describes the arrays, and ``sha256``, a digest of the whole file with the
64 characters of the digest itself set to zero. safetensors detects a wrong length, but not a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from anynet import files

FORMAT = 1
BLOCK = 2**20
_DIGEST = b'"sha256":"'
_BLANK = "0" * 64


def write(path: Path, tensors: Mapping[str, np.ndarray], description: dict[str, Any]) -> None:
    """Write arrays and their description; `anynet.files.replace` documents errors."""
    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **description}, allow_nan=False)
    content = save(dict(tensors), metadata={"anynet": text, "sha256": _BLANK})
    start, stop = _digest_place(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    files.replace(path, [memoryview(content)[:start], digest, memoryview(content)[stop:]])


def read(where: str, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a file and their description.

    The digest is verified block by block before anything is parsed, so memory is limited to that of the arrays.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it was not written by anynet, is damaged or incomplete, or has a later format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise FileNotFoundError(f"{where}: expected an existing file, got {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{where}: expected a file, got the folder {path}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{where}: expected a file, got {path}, which is a pipe or a device")
    while True:
        with path.open("rb") as file:
            metadata = _verified(where, path, file)
            try:
                tensors = load_file(path)
            except (SafetensorError, KeyError, TypeError) as error:
                raise ValueError(f"{where}: expected a whole safetensors file, got {path} ({error})") from None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # otherwise the file was replaced meanwhile
                break
    try:
        description = json.loads(metadata["anynet"])
        version = description.pop("format")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise _foreign(where, path) from None
    if version != FORMAT:
        raise ValueError(
            f"{where}: expected format {FORMAT}, got {version!r} in {path}; use the version of anynet that wrote it"
        )
    return tensors, description


def _foreign(where: str, path: Path) -> ValueError:
    return ValueError(f"{where}: expected a file that anynet wrote, got {path} without its description{_OTHER}")


_OTHER = "; Model.load_weights reads the weights of other libraries"


def _verified(where: str, path: Path, file: BinaryIO) -> dict[str, Any]:
    """Verify the digest of a file, and only then parse and return its metadata."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= size - 8:
        claimed = f", whose header claims {length}" if len(prefix) == 8 else ""
        hint = "" if path.suffix in ("", ".safetensors") else _OTHER
        raise ValueError(f"{where}: expected a whole safetensors file, got {path} of {size} bytes{claimed}{hint}")
    head = file.read(length)
    try:
        start, stop = _digest_place(head)
    except ValueError:
        raise _foreign(where, path) from None
    digest = hashlib.sha256(prefix)
    for part in (memoryview(head)[:start], _BLANK.encode(), memoryview(head)[stop:]):
        digest.update(part)
    while block := file.read(BLOCK):
        digest.update(block)
    if digest.hexdigest().encode() != head[start:stop]:
        raise ValueError(
            f"{where}: expected a file whose content matches its digest, got {path}, which is damaged; use an earlier "
            "checkpoint or another copy"
        )
    try:
        return json.loads(head)["__metadata__"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise _foreign(where, path) from None


def _digest_place(content: bytes) -> tuple[int, int]:
    """Return the position of the digest's 64 characters, or raise ValueError.

    The key is unambiguous: quotation marks in the other entry, JSON within JSON, are escaped.
    """
    start = content.index(_DIGEST) + len(_DIGEST)
    return start, start + len(_BLANK)

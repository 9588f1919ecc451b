"""One safetensors file that no crash can lose and no damage can pass for whole.

A file of ours is an ordinary safetensors file (8 bytes with the header's length, the header as JSON, the arrays) whose
``__metadata__`` has two entries: ``anynet``, JSON that says what the arrays are, and ``sha256``, a digest of the whole file
with the digest's own 64 characters taken as zeros. safetensors itself notices a wrong length, not a flipped bit.

Writing goes to a file beside the old one, which takes its name only when all of it is on the disk: whatever happens, the
old content or the new one is there, whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

FORMAT = 1
BLOCK = 2**20
_DIGEST = b'"sha256":"'
_BLANK = "0" * 64


def write(path: Path, tensors: Mapping[str, np.ndarray], description: dict[str, Any]) -> None:
    """Write arrays and what they are, atomically and durably.

    Raises
    ------
    IsADirectoryError, FileNotFoundError, PermissionError, OSError
        If the path is a folder, its folder is missing or read-only, or the disk is full; an earlier file stays as it is.
    """
    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **description}, allow_nan=False)
    content = save(dict(tensors), metadata={"anynet": text, "sha256": _BLANK})
    start, stop = _digest_place(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    replace(path, [memoryview(content)[:start], digest, memoryview(content)[stop:]])


def replace(path: Path, parts: list[Any]) -> None:
    """Put the bytes of `parts` in the place of the file at `path`, atomically and durably."""
    if path.is_dir():
        raise IsADirectoryError(f"save: expected the path of a file, got the folder {path}; add a file name")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected a folder, got {path.parent}, which is not there; make it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":  # the new name is durable only when its folder is
            _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise _explained(error, path) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that became read-only keeps it; the error that led here says so
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, path: Path) -> OSError:
    """Return an error of the same kind that says what to do."""
    kept = f"; the file that was there is as before: {path}" if path.exists() else f": {path}"
    wanted = "a folder that can be written to"
    if not isinstance(error, PermissionError):
        wanted = "room on a disk that can be written to"
    said = type(error)(f"save: expected {wanted}, got {error.strerror or error}{kept}")
    said.errno = error.errno
    return said


def discard_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` have left beside it."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        _remove(leftover)


def read(where: str, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a file and their description.

    Never holds more than the arrays: the digest is taken block by block before anything is believed.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it is not one of ours, is damaged or cut short, or comes from a later version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise FileNotFoundError(f"{where}: expected a file, got {path}, which is not there")
    if path.is_dir():
        raise IsADirectoryError(f"{where}: expected a file, got the folder {path}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{where}: expected a file, got {path}, which is a pipe or a device")
    with path.open("rb") as file:
        metadata = _verified(where, path, file)
    try:
        description = json.loads(metadata["anynet"])
        version = description.pop("format")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise _foreign(where, path) from None
    if version != FORMAT:
        raise ValueError(
            f"{where}: expected format {FORMAT}, got {version!r} in {path}; use the version of anynet that wrote it"
        )
    try:
        return load_file(path), description
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: expected a whole safetensors file, got {path} ({error})") from None


def _foreign(where: str, path: Path) -> ValueError:
    return ValueError(f"{where}: expected a file that anynet wrote, got {path} without its description")


def _verified(where: str, path: Path, file: BinaryIO) -> dict[str, Any]:
    """Return the metadata of a file whose digest is right; nothing of it is parsed before."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= size - 8:
        claimed = f", whose header claims {length}" if len(prefix) == 8 else ""
        raise ValueError(f"{where}: expected a whole safetensors file, got {path} of {size} bytes{claimed}")
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
            f"{where}: expected a file as it was written, got {path}, which is damaged: its digest is not the one it "
            "was given; use an earlier checkpoint or another copy"
        )
    try:
        return json.loads(head)["__metadata__"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise _foreign(where, path) from None


def _digest_place(content: bytes) -> tuple[int, int]:
    """Return where the 64 characters of a file's digest stand, or raise ValueError if there is none.

    Nothing else can look like it: in the other entries, JSON within JSON, quotation marks are escaped.
    """
    start = content.index(_DIGEST) + len(_DIGEST)
    return start, start + len(_BLANK)

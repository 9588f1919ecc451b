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
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
BLOCK = 2**20
SUFFIX = ".partial"
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
    """Replace the file at `path`, or that a link there points to, by the bytes of `parts`, atomically and durably."""
    if path.is_dir():
        raise IsADirectoryError(f"save: expected the path of a file, got the folder {path}; add a file name")
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected a folder, got {path.parent}, which is not there; make it first")
    mode = path.stat().st_mode if path.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        raise ValueError(f"save: expected the path of a file, got {path}, which is a pipe or a device")
    temporary = temporary_path(path)
    try:
        with open(temporary, "xb") as file:
            _lock(file)
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
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


def link(old: Path, new: Path) -> None:
    """Make `new` a second name of the file `old`, or a copy if the file system has no hard links, atomically."""
    old, temporary = Path(os.path.realpath(old)), temporary_path(new)
    try:
        os.link(old, temporary)
    except OSError:
        shutil.copyfile(old, temporary)
    os.replace(temporary, new)
    _remove(temporary)  # os.replace leaves it where both were names of one file


def temporary_path(path: Path) -> Path:
    """Return a path next to `path` that no other thread, process or container uses."""
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}{SUFFIX}")


def _prefix(path: Path) -> str:
    """Return the beginning of temporary names, which have at most 255 bytes."""
    name = os.fsencode(path.name)
    return f".{path.name}." if len(name) <= 220 else f".{hashlib.sha256(name).hexdigest()}."


def _lock(file: BinaryIO) -> None:
    """Mark a file as being written for as long as it is open, where the file system has locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_being_written(path: Path) -> bool:
    if fcntl is None:
        return False  # Windows refuses to remove an open file
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
    path = Path(os.path.realpath(path))
    prefix = _prefix(path)
    for name in os.listdir(path.parent):
        token = name.removeprefix(prefix).removesuffix(SUFFIX)
        if name == f"{prefix}{token}{SUFFIX}" and token.isalnum():
            leftover = path.with_name(name)
            if not _is_being_written(leftover):
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
    while True:
        with path.open("rb") as file:
            metadata = _verified(where, path, file)
            try:
                tensors = load_file(path)
            except (SafetensorError, KeyError, TypeError) as error:
                raise ValueError(f"{where}: expected a whole safetensors file, got {path} ({error})") from None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # or it has been replaced by a newer one
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

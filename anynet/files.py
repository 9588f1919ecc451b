"""Atomic and durable replacement of files.

Content is written to a temporary file in the same folder, which takes the file's name only after all of it is on the disk.
At any time the folder therefore contains the complete old file or the complete new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".partial"


def replace(path: Path, parts: list[Any]) -> None:
    """Replace a file, or the target of a link, by the bytes of `parts`.

    Raises
    ------
    IsADirectoryError, FileNotFoundError, PermissionError, OSError
        If the path is a folder, its folder is missing or read-only, or the disk is full. The old file is kept.
    """
    if path.is_dir():
        raise IsADirectoryError(f"save: expected the path of a file, got the folder {path}; add a file name")
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected an existing folder, got {path.parent}; create it first")
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
        if os.name == "posix":  # the new name is durable only once its folder is
            _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise _explained(error, path) from error
    except BaseException:
        _remove(temporary)
        raise


def link(old: Path, new: Path) -> None:
    """Make `new` a hard link to `old`, or a copy if links are unsupported."""
    old, temporary = Path(os.path.realpath(old)), temporary_path(new)
    try:
        os.link(old, temporary)
    except OSError:
        shutil.copyfile(old, temporary)
    os.replace(temporary, new)
    _remove(temporary)  # os.replace keeps it if both names already link to one file


def temporary_path(path: Path) -> Path:
    """Return a path next to `path` that no other thread, process or container uses."""
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}{SUFFIX}")


def _prefix(path: Path) -> str:
    """Return the prefix of temporary names, which have at most 255 bytes."""
    name = os.fsencode(path.name)
    return f".{path.name}." if len(name) <= 220 else f".{hashlib.sha256(name).hexdigest()}."


def _lock(file: BinaryIO) -> None:
    """Lock a file while it is open, if the file system has locks."""
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
    with contextlib.suppress(OSError):  # the folder may have become read-only, which the original error reports
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, path: Path) -> OSError:
    """Return an error of the same type with the action to take."""
    kept = f"; the earlier file is unchanged: {path}" if path.exists() else f": {path}"
    expected = "a writable folder"
    if not isinstance(error, PermissionError):
        expected = "free space on a writable disk"
    explained = type(error)(f"save: expected {expected}, got {error.strerror or error}{kept}")
    explained.errno = error.errno
    return explained


def discard_leftovers(path: Path) -> None:
    """Remove temporary files of processes that were killed while writing `path`."""
    path = Path(os.path.realpath(path))
    prefix = _prefix(path)
    for name in os.listdir(path.parent):
        token = name.removeprefix(prefix).removesuffix(SUFFIX)
        if name == f"{prefix}{token}{SUFFIX}" and token.isalnum():
            leftover = path.with_name(name)
            if not _is_being_written(leftover):
                _remove(leftover)

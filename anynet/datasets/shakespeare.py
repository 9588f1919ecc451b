"""Plays by Shakespeare as one text, read from a folder or downloaded once."""

import os
from pathlib import Path

from anynet.datasets.cache import cache_folder, cached

_NAME = "input.txt"
_URLS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
)
_CHECKSUM = "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_EXCERPT = Path(__file__).with_name("shakespeare.txt")  # its first speeches, up to a whole one
_TRAINING = 0.9


def load_shakespeare(folder: str | os.PathLike[str] | None = None, *, excerpt: bool = False) -> tuple[str, str]:
    """Load 1.1 million characters of Shakespeare's plays, downloading them if necessary.

    Parameters
    ----------
    folder : str or path-like, optional
        Folder with a text ``input.txt``. By default, it comes from the first of

        1. ``$ANYNET_DATA/shakespeare`` or ``$ANYNET_DATA``, if this environment variable is set and the file exists,
        2. the user's cache: ``anynet/shakespeare`` in the cache folder that `load_mnist` describes,
        3. a public mirror (1.1 MB over https), once.
    excerpt : bool
        Whether to load only the first 16 thousand characters, which the package includes.

    Returns
    -------
    training, validation : str
        The first 90 % of the characters and the rest, 1 003 854 and 111 540. The text has 65 different characters, all of them
        ASCII.

    Raises
    ------
    FileNotFoundError
        If `folder` is given and has no ``input.txt``.
    ValueError
        If both `folder` and `excerpt` are given, or a file in `folder` or ``ANYNET_DATA`` is not UTF-8.
    OSError
        If no mirror returns the correct contents, or the cache is not writable.

    Notes
    -----
    Downloads and the cache are verified by their SHA-256. A file in `folder` or ``ANYNET_DATA`` may be any other text. The text
    is in the public domain.

    References
    ----------
    Karpathy (2015), "The unreasonable effectiveness of recurrent neural networks", whose char-rnn has the file; nanoGPT splits it
    in the same way.

    Examples
    --------
    >>> training, validation = load_shakespeare(excerpt=True)
    >>> print(len(training), len(validation), training[:50])
    14787 1644 First Citizen:
    Before we proceed any further, hear
    """
    if excerpt:
        if folder is not None:
            raise ValueError(f"load_shakespeare: expected folder or excerpt, got both, folder {os.fspath(folder)!r}")
        text = _EXCERPT.read_text(encoding="utf-8")
    else:
        text = _decoded(*_read(folder))
    count = int(len(text) * _TRAINING)
    return text[:count], text[count:]


def _decoded(where: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: expected a text in UTF-8, got {error}; check the file") from error


def _read(folder: str | os.PathLike[str] | None) -> tuple[str, bytes]:
    """Return the path and the contents of the text, from the first place that has it."""
    data = os.environ.get("ANYNET_DATA")
    if folder is not None:
        places = [Path(folder)]
    elif data:
        places = [Path(data) / "shakespeare", Path(data)]
    else:
        places = []
    for place in places:
        if (path := place / _NAME).is_file():
            return str(path), path.read_bytes()
    if folder is not None:
        raise FileNotFoundError(
            f"load_shakespeare: expected {_NAME} in folder {str(folder)!r}, got no such file; correct the path, or leave "
            "folder out to have it downloaded"
        )
    path = cache_folder("shakespeare") / _NAME
    advice = (
        "without internet access, use excerpt=True, or copy the file to this machine and pass folder=, or set ANYNET_DATA "
        f"(now {data or 'unset'}) to a folder with shakespeare/{_NAME}"
    )
    return str(path), cached("load_shakespeare", path, _URLS, _CHECKSUM, advice)

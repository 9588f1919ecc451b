import hashlib
import os
from pathlib import Path

import pytest

from anynet.datasets import load_shakespeare, shakespeare


@pytest.fixture
def surroundings(monkeypatch, tmp_path):
    """Set up an empty cache, and no data and no mirror."""
    monkeypatch.delenv("ANYNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shakespeare, "_URLS", ())
    return monkeypatch


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def test_the_real_text():
    data = Path(os.environ.get("ANYNET_DATA") or Path(__file__).parents[3] / "shared" / "data") / "shakespeare"
    if not data.is_dir():
        pytest.skip(f"needs the plays: set ANYNET_DATA to a folder with shakespeare/input.txt; there is none in {data}")
    training, validation = load_shakespeare(data)
    text = training + validation
    assert (len(training), len(validation), len(set(text))) == (1_003_854, 111_540, 65) and text.isascii()
    assert f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" == shakespeare._CHECKSUM
    assert text.startswith("".join(load_shakespeare(excerpt=True)))


def test_the_excerpt_needs_no_data(surroundings):
    training, validation = load_shakespeare(excerpt=True)
    text = training + validation
    assert text.startswith("First Citizen:\n") and text.endswith("no blood!\n") and text.isascii()
    assert len(training) == int(0.9 * len(text)) > 14_000


def test_folder_then_anynet_data_then_the_cache(surroundings, tmp_path):
    write(tmp_path / "cache" / "anynet" / "shakespeare", "in the cache")
    surroundings.setattr(shakespeare, "_CHECKSUM", f"sha256:{hashlib.sha256(b'in the cache').hexdigest()}")
    surroundings.setenv("ANYNET_DATA", str(tmp_path / "data"))
    assert load_shakespeare() == ("in the cac", "he")
    write(tmp_path / "data", "in the data!")
    assert load_shakespeare() == ("in the dat", "a!")
    write(tmp_path / "data" / "shakespeare", "in its own folder of data")
    assert "".join(load_shakespeare()) == "in its own folder of data"
    assert "".join(load_shakespeare(write(tmp_path / "folder", "été"))) == "été"


def test_it_is_downloaded_once(surroundings, tmp_path):
    mirror = write(tmp_path / "mirror", "a play") / "input.txt"
    surroundings.setattr(shakespeare, "_CHECKSUM", f"sha256:{hashlib.sha256(b'a play').hexdigest()}")
    surroundings.setattr(shakespeare, "_URLS", (mirror.as_uri(),))
    assert load_shakespeare() == ("a pla", "y")
    mirror.unlink()
    assert load_shakespeare() == ("a pla", "y")


def test_another_text_from_a_mirror_is_refused(surroundings, tmp_path):
    mirror = write(tmp_path / "mirror", "no play") / "input.txt"
    surroundings.setattr(shakespeare, "_URLS", (mirror.as_uri(),))
    message = (
        r"^load_shakespeare: expected input.txt with SHA256 86c4.* from one of 1 mirrors, got file.* with SHA256 .*"
    )
    with pytest.raises(OSError, match=message + r"; without internet access, use excerpt=True, or .* \(now unset\)"):
        load_shakespeare()
    assert not (tmp_path / "cache").exists()


def test_wrong_arguments(surroundings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"load_shakespeare: expected input.txt in folder 'nowhere', got no such"
    ):
        load_shakespeare("nowhere")
    with pytest.raises(ValueError, match="load_shakespeare: expected folder or excerpt, got both, folder 'here'"):
        load_shakespeare("here", excerpt=True)
    with pytest.raises(ValueError, match=r"input.txt: expected a text in UTF-8, got .* can't decode"):
        load_shakespeare(write(tmp_path / "data", b"\xff"))

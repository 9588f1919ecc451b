import gzip
import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anynet.datasets import cache, load_mnist, mnist

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


# Real data ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    data = Path(os.environ.get("ANYNET_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (data / "mnist").is_dir():
        pytest.skip(f"needs MNIST: set ANYNET_DATA to a folder with mnist/*.gz; there is none in {data}")
    return data / "mnist"


def test_real_mnist(real):
    (x_train, y_train), (x_test, y_test) = load_mnist(real)
    assert x_train.shape == (60000, 784) and x_test.shape == (10000, 784)
    assert x_train.dtype == x_test.dtype == np.uint8 and (x_train.min(), x_train.max()) == (0, 255)
    assert y_train.dtype == y_test.dtype == np.int64
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The mean and standard deviation commonly used to normalize MNIST.
    assert x_train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert x_train.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    images = load_mnist(real, flatten=False)[1][0]
    np.testing.assert_array_equal(images, x_test.reshape(-1, 28, 28), strict=True)


def test_real_mnist_has_the_published_checksums(real):
    for (_, data), md5 in zip(mnist._read_files(real), mnist._FILES.values(), strict=True):
        assert hashlib.md5(data).hexdigest() == md5


# Generated data, a few images each ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)

    def labeled(n):
        return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)

    return dict(zip(NAMES, [*labeled(7), *labeled(3)], strict=True))


@pytest.fixture(scope="module")
def contents(arrays, idx_bytes):
    return {name: idx_bytes(array) for name, array in arrays.items()}


@pytest.fixture
def surroundings(monkeypatch, tmp_path, contents):
    """Set up an empty cache, no mirror, and the checksums of the generated files."""
    monkeypatch.delenv("ANYNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mnist, "_MIRRORS", ())
    monkeypatch.setattr(mnist, "_FILES", {name: hashlib.md5(data).hexdigest() for name, data in contents.items()})
    return SimpleNamespace(cache=tmp_path / "cache" / "anynet" / "mnist", monkeypatch=monkeypatch, tmp_path=tmp_path)


def write(folder, contents, *, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return folder


def check(result, arrays):
    for (x, y), images, labels in zip(result, NAMES[::2], NAMES[1::2], strict=True):
        np.testing.assert_array_equal(x, arrays[images].reshape(-1, 784), strict=True)
        np.testing.assert_array_equal(y, arrays[labels].astype(np.int64), strict=True)
        assert x.flags.writeable and y.flags.writeable


@pytest.mark.parametrize("zipped", [True, False])
def test_folder(surroundings, contents, arrays, zipped):
    folder = write(surroundings.tmp_path / "data", contents, zipped=zipped)
    check(load_mnist(folder), arrays)
    check(load_mnist(str(folder)), arrays)
    np.testing.assert_array_equal(load_mnist(folder, flatten=False)[0][0], arrays[NAMES[0]], strict=True)
    assert not surroundings.cache.exists()


def test_folder_may_hold_another_dataset_of_the_same_form(surroundings, contents, arrays):
    surroundings.monkeypatch.setattr(mnist, "_FILES", dict.fromkeys(NAMES, "not its checksum"))
    check(load_mnist(write(surroundings.tmp_path / "fashion", contents)), arrays)


def test_uncompressed_takes_precedence_over_gzipped(surroundings, contents, arrays):
    folder = write(surroundings.tmp_path / "data", dict.fromkeys(NAMES, b"unread"))
    check(load_mnist(write(folder, contents, zipped=False)), arrays)


def test_a_folder_lacking_files_is_an_error_that_names_them(surroundings, contents):
    folder = write(surroundings.tmp_path / "data", {name: contents[name] for name in NAMES[:2]})
    surroundings.monkeypatch.setenv("ANYNET_DATA", str(write(surroundings.tmp_path / "other", contents)))
    with pytest.raises(FileNotFoundError, match=f"data', got no {NAMES[2]}, {NAMES[3]}; correct the path"):
        load_mnist(folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist("nowhere")


@pytest.mark.parametrize("below", ["", "mnist"])
def test_anynet_data(surroundings, contents, arrays, below):
    write(surroundings.tmp_path / "data" / below, contents)
    surroundings.monkeypatch.setenv("ANYNET_DATA", str(surroundings.tmp_path / "data"))
    check(load_mnist(), arrays)


def test_folder_then_anynet_data_then_the_cache(surroundings, contents, arrays):
    other = dict(contents)
    other[NAMES[1]] = contents[NAMES[1]][:-1] + b"\x63"
    write(surroundings.cache, contents, zipped=False)
    surroundings.monkeypatch.setenv("ANYNET_DATA", str(surroundings.tmp_path / "data"))
    check(load_mnist(), arrays)  # ANYNET_DATA is empty, the cache is not
    write(surroundings.tmp_path / "data" / "mnist", other)
    assert load_mnist()[0][1][-1] == 0x63
    check(load_mnist(surroundings.cache), arrays)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (NAMES[0], np.zeros((7, 28, 27), "u1"), r"expected training images .*, got \(7, 28, 27\) and uint8"),
        (NAMES[2], np.zeros((3, 28, 28), "f4"), r"expected test images .*, got \(3, 28, 28\) and float32"),
        (NAMES[2], np.zeros((3, 784), "u1"), r"expected test images of shape \(N, 28, 28\)"),
        (NAMES[3], np.zeros(4, "u1"), r"expected test labels of shape \(3,\) .*, got \(4,\) and uint8"),
        (NAMES[1], np.zeros(7, "f8"), r"expected training labels .*, got \(7,\) and float64"),
    ],
)
def test_well_formed_files_of_something_else(surroundings, contents, idx_bytes, name, array, message):
    folder = write(surroundings.tmp_path / "data", contents | {name: idx_bytes(array)})
    with pytest.raises(ValueError, match=f"^load_mnist: {message}"):
        load_mnist(folder)


def test_damaged_files_are_named(surroundings, contents):
    folder = write(surroundings.tmp_path / "data", contents)
    path = folder / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: expected a complete gzip file"):
        load_mnist(folder)


# The download, from a server on this machine --------------------------------------------------------------------------


@pytest.fixture
def server(surroundings, contents):
    """Run a mirror; `files` maps paths to responses, and `asked` lists the requested paths."""
    files = {f"/mnist/{name}.gz": gzip.compress(data) for name, data in contents.items()}
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in files:
                self.send_error(404)
                return
            body = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}/"
        surroundings.monkeypatch.setattr(mnist, "_MIRRORS", (url + "mnist/",))
        yield SimpleNamespace(url=url, files=files, asked=asked)
        httpd.shutdown()
        thread.join()


def test_downloads_once(surroundings, server, arrays, contents):
    check(load_mnist(), arrays)
    assert server.asked == [f"/mnist/{name}.gz" for name in NAMES]
    check(load_mnist(), arrays)
    assert len(server.asked) == 4
    assert {path.name: path.read_bytes() for path in surroundings.cache.iterdir()} == contents


def test_a_mirror_may_send_uncompressed_files(server, arrays, contents):
    server.files.update({f"/mnist/{name}.gz": data for name, data in contents.items()})
    check(load_mnist(), arrays)


def test_only_missing_or_damaged_files_are_downloaded(surroundings, server, arrays):
    load_mnist()
    (surroundings.cache / NAMES[1]).unlink()
    (surroundings.cache / NAMES[2]).write_bytes(b"cut short")
    server.asked.clear()
    check(load_mnist(), arrays)
    assert server.asked == [f"/mnist/{NAMES[1]}.gz", f"/mnist/{NAMES[2]}.gz"]


def test_the_next_mirror_is_tried(surroundings, server, arrays):
    broken, elsewhere = f"{server.url}nothing/", f"{server.url}mnist/"
    surroundings.monkeypatch.setattr(mnist, "_MIRRORS", (broken, elsewhere))
    check(load_mnist(), arrays)
    assert server.asked[:2] == [f"/nothing/{NAMES[0]}.gz", f"/mnist/{NAMES[0]}.gz"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (gzip.compress(b"not MNIST", mtime=0), "contents with MD5 [0-9a-f]{32}"),
        (b"<html>log in to the network</html>", "contents with MD5 [0-9a-f]{32}"),
        (gzip.compress(bytes(1000), mtime=0)[:-3], "the response: expected a complete gzip file"),
        (b"", "contents with MD5 d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_wrong_contents_are_not_cached(surroundings, server, answer, reason):
    server.files[f"/mnist/{NAMES[0]}.gz"] = answer
    with pytest.raises(OSError, match=f"expected {NAMES[0]} with MD5 .* from one of 1 mirrors, got http.*: {reason}"):
        load_mnist()
    assert not surroundings.cache.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_response_is_read_and_unpacked_up_to_a_limit(surroundings, server, zipped):
    surroundings.monkeypatch.setattr(cache, "MAX_BYTES", 100_000)
    content = bytes(2**24)
    server.files[f"/mnist/{NAMES[0]}.gz"] = gzip.compress(content) if zipped else content
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=r"the response: expected at most 100000 bytes"):
            load_mnist()
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_failure_keeps_the_verified_files(surroundings, server, arrays, contents):
    answer = server.files.pop(f"/mnist/{NAMES[1]}.gz")
    with pytest.raises(OSError, match="HTTP Error 404"):
        load_mnist()
    assert {path.name: path.read_bytes() for path in surroundings.cache.iterdir()} == {NAMES[0]: contents[NAMES[0]]}
    server.files[f"/mnist/{NAMES[1]}.gz"] = answer
    server.asked.clear()
    check(load_mnist(), arrays)
    assert server.asked == [f"/mnist/{name}.gz" for name in NAMES[1:]]


def test_a_truncated_response_is_rejected(surroundings, server):
    class Shortened(bytes):
        def __len__(self):  # the header announces more bytes than it sends
            return super().__len__() + 10

    server.files[f"/mnist/{NAMES[0]}.gz"] = Shortened(gzip.compress(b"x"))
    with pytest.raises(OSError, match="IncompleteRead"):
        load_mnist()
    assert not surroundings.cache.exists()


def test_an_unreachable_mirror_raises_with_advice(surroundings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # closed below, so that the port refuses connections
    surroundings.monkeypatch.setattr(mnist, "_MIRRORS", (f"http://127.0.0.1:{port}/",))
    surroundings.monkeypatch.setenv("ANYNET_DATA", "nowhere")
    advice = r"pass folder=, or set ANYNET_DATA \(now nowhere\) to a folder"
    with pytest.raises(
        OSError,
        match=f"^load_mnist: .* got http://127.0.0.1:{port}/{NAMES[0]}.gz: .*; without internet access, .*{advice}",
    ):
        load_mnist()
    assert not surroundings.cache.exists()


def test_a_silent_mirror_times_out(surroundings):
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, but never responds
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        surroundings.monkeypatch.setattr(mnist, "_MIRRORS", (url,))
        surroundings.monkeypatch.setattr(cache, "TIMEOUT", 0.1)
        with pytest.raises(OSError, match="timed out"):
            load_mnist()


def test_a_cache_that_cannot_be_written(surroundings, server):
    (surroundings.tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"expected a writable cache folder, got .*; set XDG_CACHE_HOME"):
        load_mnist()


def test_an_interrupted_write_leaves_nothing(surroundings, server):
    def interrupted(*args):
        raise KeyboardInterrupt

    surroundings.monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert list(surroundings.cache.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/anynet/mnist"),
        ("linux", {}, "~/.cache/anynet/mnist"),
        ("darwin", {}, "~/Library/Caches/anynet/mnist"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/x/anynet/mnist"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/anynet/mnist"),
        ("win32", {}, "~/AppData/Local/anynet/mnist"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ["XDG_CACHE_HOME", "LOCALAPPDATA"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder("mnist") == Path(expected).expanduser()


def test_importing_is_cheap():
    code = "import sys, anynet.datasets.mnist; print(*{'urllib.request', 'http.client', 'sklearn'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""

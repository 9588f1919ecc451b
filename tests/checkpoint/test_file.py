"""Test that damaged files are detected, and that a failed write keeps the earlier file."""

import errno
import hashlib
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors import safe_open

from anynet import EMA, Adam, Dense, Dropout, Layer, Model, ReLU, SoftmaxCrossEntropy, files, load, tree
from anynet.callbacks import Callback, Checkpoint
from anynet.checkpoint import file as storage


def make(**changes):
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.01), "metrics": ["accuracy"], "seed": 3}
    return Model([Dense(5), ReLU(), Dropout(0.5), Dense(3)], input_shape=4, **(arguments | changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def data(count=30):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 4)), rng.integers(0, 3, count)


def arrays(model):
    return {tree.name(p): model.backend.to_numpy(a) for p, a in tree.leaves_with_paths(list(model.state))}


def same(one, other):
    one, other = arrays(one), arrays(other)
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and one[k].tobytes() == other[k].tobytes() for k in one
    )


def test_digest_is_of_the_file_with_zeros_in_its_place(tmp_path):
    path = tmp_path / "model.safetensors"
    make().save(path)
    with safe_open(path, framework="numpy") as file:
        digest = file.metadata()["sha256"]
    content = path.read_bytes()
    assert content.count(digest.encode()) == 1
    assert hashlib.sha256(content.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the bytes of a checkpoint in the middle of an epoch, and a path to put damaged ones at."""
    path = tmp_path_factory.mktemp("files") / "run.safetensors"

    class Save(Callback):
        def on_batch_end(self, run):
            if run.epoch == 2 and run.batch == 3:
                run.model.save(path)

    make().fit(*data(), epochs=2, batch_size=5, callbacks=[Save()])
    return path.read_bytes(), path.with_name("damaged.safetensors")


@st.composite
def damage(draw, content):
    """Return the content with some of it changed, cut off, repeated or claiming another size."""
    size = len(content)
    kind = draw(st.sampled_from(["flip", "flip", "flip", "cut", "grow", "length", "zeros", "swap", "number", "random"]))
    at = draw(st.integers(0, size - 1))
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if kind == "cut":
        return content[:at]
    if kind == "grow":
        return content + draw(st.binary(min_size=1, max_size=100))
    if kind == "length":
        length = draw(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2 * size), st.integers(2**62, 2**64 - 1)))
        return length.to_bytes(8, "little") + content[8:]
    if kind == "zeros":
        return content[:at] + bytes(min(100, size - at)) + content[at + 100 :]
    if kind == "swap":
        return content[at:] + content[:at]
    if kind == "number":  # a number of the header, such as a shape or an offset, becomes absurd
        header = 8 + int.from_bytes(content[:8], "little")
        places = [i for i in range(8, header) if content[i : i + 1].isdigit()]
        i = draw(st.sampled_from(places))
        new = content[:i] + str(draw(st.integers(10, 10**30))).encode() + content[i + 1 :]
        length = int.from_bytes(content[:8], "little") + len(new) - len(content)
        return length.to_bytes(8, "little") + new[8:]
    return draw(st.binary(max_size=200))


@settings(max_examples=2000, deadline=2000, database=None)
@given(st.data())
def test_damaged_file_is_a_value_error(whole, data):
    content, path = whole
    damaged = data.draw(damage(content))
    if damaged == content:
        return
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"^load: expected a .*, got .*damaged\.safetensors"):
        load(path)


def test_every_byte_of_the_file_matters(whole):
    content, path = whole
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match=r"^load: expected a "):
            storage.read("load", path)


def test_damaged_file_leaves_the_model_untouched(whole):
    content, path = whole
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    model = make()
    model.fit(*data(), epochs=1, batch_size=5)
    before = arrays(model)
    with pytest.raises(ValueError, match=r"^fit: resume: expected a file whose content matches its digest.*earlier"):
        model.fit(*data(), epochs=2, batch_size=5, resume=path)
    assert all(before[k].tobytes() == array.tobytes() for k, array in arrays(model).items())
    assert model.epoch == 1


MEMORY = """
import resource, sys
from anynet.checkpoint import file as storage
from pathlib import Path
import safetensors.numpy, hashlib, json
path = Path(sys.argv[1])
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
try:
    storage.read("load", path)
except ValueError as error:
    print(error, file=sys.stderr)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["all header", "brackets", "flipped"])
def test_damaged_file_takes_no_more_memory_than_twice_itself(tmp_path, kind):
    path, size = tmp_path / "large.safetensors", 40_000_000
    make().save(path)
    content = path.read_bytes()
    if kind == "flipped":
        storage.write(path, {"a": np.zeros(size // 8)}, {})
        content = path.read_bytes()[:-1] + b"\1"
    elif kind == "all header":
        content = size.to_bytes(8, "little") + content[8:] + bytes(size - len(content) + 8)
    else:  # JSON that would be twenty times as large as Python objects
        content = size.to_bytes(8, "little") + (b'{"sha256":"' + b"0" * 64 + b'","a":[' + b"[]," * (size // 3))[:size]
    path.write_bytes(content)
    run = subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True)
    assert "expected a " in run.stderr
    assert int(run.stdout) < 2 * path.stat().st_size


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x80\x04K\x01.", b"x" * 500, b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"]
)
def test_not_a_model(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^load: expected .*, got .*model\.safetensors"):
        load(path)


def test_truncated_anywhere(path):
    make().save(path)
    whole = path.read_bytes()
    for length in [*range(40), *range(40, len(whole) - 1, 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(
            ValueError,
            match=r"^load: expected a (whole safetensors file|file whose content matches its digest), got .*model\.safetensors",
        ):
            load(path)


def test_other_files(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match=r"load: expected an existing file, got .*file"):
        load(path)
    with pytest.raises(IsADirectoryError, match="load: expected a file, got the folder"):
        load(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected a whole safetensors file, got .* of 0 bytes"):
        load(path)
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"expected a file that anynet wrote, got .* without its description"):
        load(path)
    storage.write(path, {}, {"format": 99})
    with pytest.raises(ValueError, match=r"expected format 1, got 99 in .*; use the version of anynet that wrote it"):
        load(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="a pipe or a device"):
            load(tmp_path / "pipe")


HOSTILE = """
import resource, sys
from anynet import Adam, BatchNorm, Constant, Dense, LBFGS, Model, Orthogonal, load
from anynet.checkpoint import file as storage
from pathlib import Path
path = Path(sys.argv[1])
Model([Dense(2, weight=eval(sys.argv[2])), BatchNorm()], input_shape=3, optimizer=eval(sys.argv[3])).save(path)
tensors, description = storage.read("load", path)
description["model"]["layer"]["layers"][0]["units"] = 20000
description["model"]["input_shape"] = [10000]
storage.write(path, tensors, description)
resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))
try:
    load(path)
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
@pytest.mark.parametrize("weight", ["Orthogonal()", "Constant(1.0)"])
@pytest.mark.parametrize("optimizer", ["Adam()", "LBFGS()"])
def test_small_file_that_describes_a_large_model_takes_no_memory(tmp_path, weight, optimizer):
    command = [sys.executable, "-c", HOSTILE, tmp_path / "file", weight, optimizer]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "expected" in run.stdout and run.stdout.startswith("load: "), run.stderr
    assert "params.0.weight of shape (10000, 20000), got (3, 2)" in run.stdout


@pytest.mark.parametrize("copy", ["load", "to", "averaged", "pickle"])
def test_nothing_is_drawn_for_a_model_whose_state_is_given(tmp_path, monkeypatch, copy):
    model = make(optimizer=EMA(Adam(0.01)))
    model.fit(*data(), epochs=2)
    model.save(tmp_path / "file")
    content = pickle.dumps(model)

    def fail(*args, **kwargs):
        raise AssertionError("an initial weight was drawn")

    for initializer in ("GlorotUniform", "HeNormal", "HeUniform", "Zeros"):
        monkeypatch.setattr(f"anynet.initializers.{initializer}.__call__", fail)
    monkeypatch.setattr(np.random, "default_rng", fail)
    made = {
        "load": lambda: load(tmp_path / "file"),
        "to": lambda: model.to("numpy"),
        "averaged": lambda: model.averaged(),
        "pickle": lambda: pickle.loads(content),
    }[copy]()
    monkeypatch.undo()
    assert same(made, model) == (copy != "averaged")
    made.fit(*data())


@dataclass(frozen=True)
class Drawing(Layer):
    """A layer that draws its weights itself."""

    units: int

    def init(self, rng, input_shape):
        weight = rng.normal(size=(*input_shape, self.units)) * np.sqrt(2.0 / input_shape[0])
        weight += rng.uniform(-0.1, 0.1, weight.shape)
        weight[:, 0] = 1.0
        return {"weight": weight, "scale": np.ones_like(weight), "shift": rng.uniform()}, (self.units,)

    def forward(self, params, x, *, key=None):
        return x @ (params["weight"] * params["scale"]) + params["shift"], x

    def backward(self, params, cache, dy, *, need_dx=True):
        dw = cache.T @ dy
        grads = {"weight": dw * params["scale"], "scale": dw * params["weight"], "shift": dy.sum()}
        return (dy @ (params["weight"] * params["scale"]).T if need_dx else None), grads


def test_layer_that_draws_itself_is_loaded_without_its_memory(tmp_path):
    model = Model([Drawing(3)], input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=Adam())
    model.fit(*data())
    model.save(tmp_path / "file")
    assert same(load(tmp_path / "file", custom=[Drawing]), model)
    tensors, description = storage.read("load", tmp_path / "file")
    description["model"]["layer"]["layers"][0]["units"] = 10**12
    storage.write(tmp_path / "file", tensors, description)
    with pytest.raises(ValueError, match=r"expected params\.0\.weight of shape \(4, 1000000000000\), got \(4, 3\)"):
        load(tmp_path / "file", custom=[Drawing])


@dataclass(frozen=True)
class Named(Layer):
    names: tuple = ("a",)

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(name.upper() for name in self.names))


def nested(depth):
    return [] if depth == 0 else [nested(depth - 1)]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(epoch=float("1e308") * 10),
        lambda content: content.update(history={"loss": nested(900)}),
        lambda content: content["model"].update(input_shape=nested(900)),
        lambda content: content["model"].update(input_shape=[10**30]),
        lambda content: content["model"].update(input_shape=[2**62]),
        lambda content: content["model"].update(seed=nested(900)),
        lambda content: content["model"].update(layer={"class": "Named", "names": [3]}),
        lambda content: content["model"]["layer"]["layers"][0].update(units=10**30),
        lambda content: content["model"].update(dtype=["float32"]),
        lambda content: content["model"].update(optimizer={"class": "LBFGS", "history": 10**15}),
        lambda content: content["model"].update(metrics={"dict": 3}),
        lambda content: content["model"].update(loss={"array": [1], "dtype": "U1000000000"}),
        lambda content: content["model"].update(loss={"array": [1], "dtype": "no"}),
    ],
    ids=range(13),
)
def test_impossible_header_with_a_right_digest_is_a_value_error(tmp_path, monkeypatch, change):
    path = tmp_path / "file"
    make().save(path)
    tensors, description = storage.read("load", path)
    change(description)
    dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda value, **_: dumps(value))
    storage.write(path, tensors, description)
    with pytest.raises(ValueError, match=r"expected .*, got "):
        load(path, custom=[Named])


@pytest.mark.parametrize(
    "change",
    [
        lambda fit: fit.pop("settings"),
        lambda fit: fit.pop("stop"),
        lambda fit: fit.update(callbacks=3),
        lambda fit: fit["totals"].update(batches="x"),
        lambda fit: fit["totals"].update(sums=[{"tensor": "gone"}]),
    ],
    ids=range(5),
)
def test_impossible_position_with_a_right_digest_is_a_value_error(whole, change):
    content, path = whole
    path.write_bytes(content)
    tensors, description = storage.read("load", path)
    change(description["fit"])
    storage.write(path, tensors, description)
    model = make()
    before = arrays(model)
    with pytest.raises(ValueError, match=r"^fit: resume: expected .*, got "):
        model.fit(*data(), epochs=2, batch_size=5, resume=path)
    assert all(before[k].tobytes() == array.tobytes() for k, array in arrays(model).items()) and model.epoch == 0


# -- writing ----------------------------------------------------------------------------------------------------------


def test_saves_over_an_older_file_and_leaves_no_other(path):
    for _ in range(2):
        make().save(path)
        make().save(str(path))
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("fsync", errno.ENOSPC),
        ("fsync", errno.EIO),
        ("replace", errno.EACCES),
        ("replace", None),
        ("open", errno.EROFS),
    ],
)
def test_failure_at_any_step_keeps_the_earlier_file(tmp_path, monkeypatch, name, number):
    path = tmp_path / "model.safetensors"
    model = make()
    model.save(path)
    before = path.read_bytes()
    model.fit(*data())

    def fail(*args, **kwargs):
        raise OSError("disk full") if number is None else OSError(number, os.strerror(number))

    monkeypatch.setattr("builtins.open" if name == "open" else f"os.{name}", fail)
    with pytest.raises(OSError, match=r"save: expected .*; the earlier file is unchanged") as caught:
        model.save(path)
    monkeypatch.undo()
    assert caught.value.errno == number
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


LIMITED = """
import resource, signal, sys
from anynet import load
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    model.save(sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_disk_that_takes_no_more(tmp_path):
    path = tmp_path / "model.safetensors"
    make().save(path)
    before = path.read_bytes()
    run = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("save: expected free space on a writable disk, got ")
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_paths_that_cannot_be_written(tmp_path):
    model = make()
    with pytest.raises(
        IsADirectoryError, match=r"save: expected the path of a file, got the folder .*; add a file name"
    ):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"save: expected an existing folder, got .*missing; create it"):
        model.save(tmp_path / "missing" / "model.safetensors")
    with pytest.raises(IsADirectoryError, match="Checkpoint: expected the path of a file, got the folder"):
        model.fit(*data(), callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(FileNotFoundError, match=r"Checkpoint: expected an existing folder, got .*missing"):
        model.fit(*data(), callbacks=[Checkpoint(tmp_path / "missing" / "model.safetensors")])
    assert model.epoch == 0


def test_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod does not stop root
    with pytest.raises(PermissionError, match="Checkpoint: expected a writable folder, got "):
        make().fit(*data(), callbacks=[Checkpoint(tmp_path / "model.safetensors")])
    monkeypatch.undo()
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="save: expected a writable folder, got Permission denied"):
            make().save(tmp_path / "model.safetensors")
        tmp_path.chmod(0o700)


def test_content_is_on_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    steps, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (steps.append("fsync " + os.readlink(f"/proc/self/fd/{f}")), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("rename"), replace(a, b)))
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("reads /proc")
    make().save(tmp_path / "model.safetensors")
    first, second, third = steps
    assert first.endswith(".partial") and second == "rename" and third == f"fsync {tmp_path}"


def test_threads_that_save_to_one_path_leave_whole_files_to_readers(tmp_path):
    path, errors, done = tmp_path / "model.safetensors", [], threading.Event()
    models = [make(seed=seed) for seed in (1, 2)]
    for epoch, model in enumerate(models):
        model.epoch = epoch
    weights = [model.params[0]["weight"] for model in models]
    models[0].save(path)

    def save(model):
        try:
            for _ in range(40):
                model.save(path)
        except OSError as error:
            errors.append(error)

    def read():
        while not done.is_set():
            try:
                found = load(path)
            except (OSError, ValueError) as error:
                errors.append(error)
            else:
                if found.params[0]["weight"].tobytes() != weights[found.epoch].tobytes():
                    errors.append("the header of one file with the arrays of another")

    writers = [threading.Thread(target=save, args=(model,)) for model in (*models, *models)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert errors == []
    assert list(tmp_path.iterdir()) == [path]


def test_processes_with_one_number_use_different_names(tmp_path, monkeypatch):
    names, monkeypatched = [], storage.os.replace
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in two containers that share a folder
    monkeypatch.setattr(os, "replace", lambda a, b: (names.append(os.fspath(a)), monkeypatched(a, b)))
    for _ in range(2):
        make().save(tmp_path / "model.safetensors")
    assert len(set(names)) == 2


def test_save_follows_links_and_keeps_the_mode(tmp_path):
    (tmp_path / "folder").mkdir()
    target, path = tmp_path / "folder" / "target", tmp_path / "model.safetensors"
    path.symlink_to(target)
    make().save(path)
    target.chmod(0o640)
    make(seed=4).save(path)
    assert path.is_symlink() and not target.is_symlink() and load(target).seed == 4
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    make().fit(*data(), epochs=3, callbacks=[Checkpoint(path, keep=2)])
    assert path.is_symlink() and load(path).epoch == 3
    assert load(tmp_path / "model.1.safetensors").epoch == 2
    assert sorted(file.name for file in target.parent.iterdir()) == ["target"]


def test_mode_of_a_new_file_is_that_of_any_new_file(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    make().save(tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_save_refuses_pipes_and_devices(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("pipe", "null"):
        with pytest.raises(ValueError, match=r"save: expected the path of a file, got .*, which is a pipe or a device"):
            make().save(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["m" * 255, "\N{SNOWMAN}" * 85])
def test_names_as_long_as_the_file_system_takes(tmp_path, name):
    path = tmp_path / name
    model = make()
    model.fit(*data(), callbacks=[Checkpoint(path)])
    leftover = files.temporary_path(path)
    leftover.write_bytes(b"half")
    model.fit(*data(), epochs=2, resume=path)
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_those_of_the_path_alone_and_none_that_is_being_written(tmp_path):
    paths = [tmp_path / name for name in ("run[1].st", "run1.st", "run1.st.1", "run1", "*")]
    leftovers = {path: files.temporary_path(path) for path in paths}
    for leftover in leftovers.values():
        leftover.write_bytes(b"half")
    while leftovers:
        path, leftover = leftovers.popitem()
        files.discard_leftovers(path)
        assert not leftover.exists() and all(other.exists() for other in leftovers.values())
    saved = []
    fsync = os.fsync

    def look(handle):
        files.discard_leftovers(paths[0])
        saved.append(len(list(tmp_path.iterdir())))
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", look)
        files.replace(paths[0], [b"whole"])
    assert saved[0] == 1 and paths[0].read_bytes() == b"whole"


def test_leftovers_of_killed_runs_go_when_one_is_resumed(tmp_path):
    path = tmp_path / "model.safetensors"
    model = make()
    model.fit(*data(), callbacks=[Checkpoint(path)])
    (tmp_path / ".model.safetensors.123.partial").write_bytes(b"half")
    model.fit(*data(), epochs=2, resume=path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

"""Communicators, their errors, and the protocol of sums."""

import builtins
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import anynet
from anynet import SGD, BatchNorm, Dense, Dropout, Frozen, Layer, Model, Repeat, SoftmaxCrossEntropy, Tanh, distributed
from anynet.callbacks import Checkpoint, CSVLogger, EarlyStopping, LambdaCallback, StopOnNaN
from anynet.distributed import NCCL, Communicator, RankError, device_of
from anynet.distributed.turns import FLAGS, Stopped, Turns
from tests.distributed.cases import X, Y, difference, outcome
from tests.distributed.tools import Threads, together

NUMPY = anynet.backends.get("numpy")


def make(communicator, layers=None, **changes):
    arguments = {"loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.1), "distributed": communicator}
    return Model(layers or [Dense(10)], input_shape=64, **(arguments | changes))


# Names and devices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("dask", ValueError, "distributed: expected one of 'mpi', 'nccl', 'torch', got 'dask'"),
        (3, TypeError, "distributed: expected a name or a Communicator, got 3"),
    ],
)
def test_unknown_engines(name, error, message):
    with pytest.raises(error, match=message):
        make(name)


@pytest.mark.parametrize(
    ("engine", "package", "command"),
    [("MPI", "mpi4py", "pip install mpi4py mpich"), ("Torch", "torch", "pip install torch")],
)
def test_an_engine_that_is_not_installed(engine, package, command, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=f"expected the package {package} to be installed, got none; run: {command}"):
        getattr(distributed, engine)()


def test_torch_needs_torchrun(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="expected a process that torchrun started"):
        distributed.Torch()


class Two(Communicator):
    """The second of two processes on a host."""

    rank, size, local_rank = 1, 2, 1


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("numpy", None, None),
        ("cupy", None, "1"),
        ("cupy:0", None, None),
        ("cupy", "0", "0"),
        ("torch:cuda", None, "cuda:1"),
        ("torch", "cuda", "cuda:1"),
        ("torch:cuda:0", None, None),
        ("torch", None, None),
    ],
)
def test_each_process_takes_its_own_gpu(name, device, expected, monkeypatch):
    cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 4), device_count=lambda: 4)
    for library in ("cupy", "torch"):
        module = types.ModuleType(library)
        module.cuda, module.__spec__ = cuda, types.SimpleNamespace()
        monkeypatch.setitem(sys.modules, library, module)
    assert device_of(Two(), name, device) == expected
    assert device_of(Communicator(), name, device) == device


def test_nccl_needs_cupy():
    with pytest.raises(ValueError, match="distributed 'nccl': expected backend='cupy', got 'numpy'"):
        make(NCCL(Two()))


def fake_cupy(monkeypatch, bus):
    """Install a fake of CuPy with NCCL; return its calls and its arrays by address."""
    calls, arrays = [], {}

    class FakeCommunicator:
        def __init__(self, size, identifier, rank):
            calls.append((size, identifier, rank))

        def allReduce(self, source, target, count, kind, operation, stream):
            calls.append((source == target, count, kind, operation, stream))
            arrays[target] *= 2

    nccl = types.SimpleNamespace(
        get_unique_id=lambda: "id", NcclCommunicator=FakeCommunicator, NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=0
    )
    cuda = types.ModuleType("cupy.cuda")
    cuda.nccl, cuda.runtime = nccl, types.SimpleNamespace(deviceGetPCIBusId=bus)
    cuda.get_current_stream = lambda: types.SimpleNamespace(ptr=5)
    cupy = types.ModuleType("cupy")
    cupy.cuda = cuda
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    return calls, arrays


class FakeDevice:
    id = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None


FAKE = types.SimpleNamespace(name="cupy", device=FakeDevice())


def test_nccl_sums_in_place_on_the_current_stream(monkeypatch):
    """Against a fake of CuPy's module: no GPU is needed, and none is tested."""
    calls, arrays = fake_cupy(monkeypatch, bus=lambda device: object())

    def work(communicator):
        nccl = NCCL(communicator)
        nccl.attach(FAKE)
        nccl.attach(FAKE)  # has no effect
        values = np.ones(3, np.float32)
        arrays[communicator.rank] = values
        array = types.SimpleNamespace(
            data=types.SimpleNamespace(ptr=communicator.rank), size=3, dtype=np.dtype("float32")
        )
        assert nccl.sum(array) is array and values.tolist() == [2.0] * 3
        assert nccl.sum(np.ones(2)).tolist() == [2.0, 2.0]  # on the host
        return True

    assert together(2, work)[1] == [True, True]
    assert sorted(call for call in calls if len(call) == 3) == [(2, "id", 0), (2, "id", 1)]
    assert [call for call in calls if len(call) == 5] == [(True, 3, 7, 0, 5)] * 2


def test_nccl_refuses_two_processes_on_one_gpu(monkeypatch):
    fake_cupy(monkeypatch, bus=lambda device: "0000:01")
    _, results = together(2, lambda communicator: NCCL(communicator).attach(FAKE))
    assert all("expected one GPU per process, got the same one on ranks 0, 1" in str(error) for error in results)


def test_jax_refuses_random_numbers_and_batch_statistics():
    pytest.importorskip("jax")
    for layer in (Dropout(0.5), BatchNorm()):
        with pytest.raises(ValueError, match=r"without random numbers or batch statistics on jax.*device='all'"):
            Model([Dense(3), layer], input_shape=2, backend="jax", distributed=Two())


def test_one_process_runs_as_without():
    model = make(Communicator())
    expected = outcome(*[other := make(None), other.fit(X, Y)])
    found = outcome(model, model.fit(X, Y))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert type(model._compiled) is type(other._compiled)


def test_copies_are_local():
    model = make(Two())
    assert model.distributed.rank == 1
    assert model.to("numpy").distributed is None and model.to("numpy", distributed=model.distributed).distributed
    assert "distributed" not in model.__getstate__()


# The protocol -----------------------------------------------------------------------------------------------------------


def turns(communicator):
    found = Turns(communicator, NUMPY, "float64")
    found.arrays(lambda: np.zeros(2 + FLAGS))
    return found


def test_a_process_that_stops_is_joined():
    def work(communicator):
        found = turns(communicator)
        if communicator.rank == 1:
            return found.stop(True)
        with pytest.raises(Stopped) as stopped:
            found.arrays(lambda: np.ones(2 + FLAGS))
        return stopped.value.interrupted

    assert together(2, work)[1] == [True, True]


def test_an_error_in_a_part_is_raised_on_all():
    def work(communicator):
        def part():
            if communicator.rank == 1:
                raise KeyError("a part")
            return np.ones(2 + FLAGS)

        return turns(communicator).arrays(part)

    group, results = together(3, work)
    assert [type(error) for error in results] == [RankError, KeyError, RankError]
    assert "got an error on rank 1: KeyError: 'a part'" in str(results[0])
    assert all(calls == group.calls[0] for calls in group.calls)


# Data, callbacks and files ----------------------------------------------------------------------------------------------


def batches(rank, count):
    """Yield batches of one process: those of rank 1 are smaller."""
    for i in range(count):
        rows = slice(i * 20 + 8 * rank, i * 20 + 8 + 12 * rank)
        yield X[rows], Y[rows]


@pytest.mark.parametrize("counts", [(6, 6), (6, 4), (2, 6)])
def test_iterables_of_different_lengths(counts):
    """The batch of a step consists of the portions of those that have one."""

    def merged():
        for i in range(max(counts)):
            rows = [np.arange(i * 20, i * 20 + 8), np.arange(i * 20 + 8, i * 20 + 20)]
            rows = np.concatenate([part for part, count in zip(rows, counts, strict=True) if i < count])
            yield X[rows], Y[rows]

    layers = [Dense(8), Dropout(0.3), Dense(10)]
    arguments = {"input_shape": 64, "loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.1), "dtype": "float64"}
    alone = Model(layers, **arguments)
    expected = alone.fit(merged())

    def work(communicator):
        model = Model(layers, **arguments, distributed=communicator)
        return model, model.fit(batches(communicator.rank, counts[communicator.rank]))

    group, results = together(2, work)
    for model, history in results:
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-12)
        np.testing.assert_allclose(model.params[0]["weight"], alone.params[0]["weight"], rtol=0, atol=1e-12)
    assert group.calls[0] == group.calls[1]


@dataclass(frozen=True)
class RunningMean(Layer):
    """A layer with a buffer, the mean of the last batch."""

    uses_key = False
    buffers = ("mean",)

    def init(self, rng, input_shape):
        return {"mean": np.zeros(input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        return x, x

    def backward(self, params, cache, dy, *, need_dx=True):
        return dy, {}

    def update_buffers(self, params, cache):
        return {"mean": cache.mean(axis=0)} if len(cache) else params


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("rows", [2, 31])
def test_buffers_are_averaged_by_share(size, rows):
    layers = [RunningMean(), Repeat([RunningMean(), Tanh()], 2), Frozen([RunningMean()]), Dense(10)]
    arguments = {"input_shape": 64, "loss": SoftmaxCrossEntropy(), "optimizer": SGD(0.1), "dtype": "float64"}
    alone = Model(layers, **arguments)
    expected = outcome(alone, alone.fit(X[:rows], Y[:rows], batch_size=20, epochs=2))

    def work(communicator):
        model = Model(layers, **arguments, distributed=communicator)
        return outcome(model, model.fit(X[:rows], Y[:rows], batch_size=20, epochs=2))

    for found in together(size, work)[1]:
        assert difference(found, expected) <= 1e-12
    assert expected["0.0.mean"].any() and not expected["0.2.layer.0.mean"].any()


def test_train_step_takes_the_whole_batch():
    alone = make(None, dtype="float64")
    losses = [float(alone.train_step(X[:31], Y[:31])) for _ in range(12)]

    def work(communicator):
        model = make(communicator, dtype="float64")
        return [float(model.train_step(X[:31], Y[:31])) for _ in range(12)]

    for found in together(3, work)[1]:
        np.testing.assert_allclose(found, losses, rtol=1e-12)


def test_inference_is_local():
    def work(communicator):
        model = make(communicator)
        model.fit(X, Y)
        if communicator.rank == 0:
            model.predict(X), model.evaluate(X, Y), model.gradients(X, Y), model.averaged
        return True

    assert together(2, work)[1] == [True, True]


def test_only_the_first_process_writes(tmp_path):
    def work(communicator):
        folder = tmp_path / str(communicator.rank)
        if communicator.rank == 0:
            folder.mkdir()  # the others need none
        callbacks = [Checkpoint(folder / "a.safetensors"), CSVLogger(folder / "a.csv")]
        return make(communicator).fit(X, Y, epochs=2, callbacks=callbacks)

    _, results = together(2, work)
    assert results[0] == results[1]
    assert sorted(file.name for file in tmp_path.rglob("*.*")) == ["a.csv", "a.safetensors"]


def test_resuming_reads_the_file_on_the_first_process_alone(tmp_path):
    def work(communicator, resume, epochs):
        model = make(communicator, dtype="float64")
        path = tmp_path / ("a.safetensors" if communicator.rank == 0 else "none")
        keep = Checkpoint(path, every_n_epochs=None, every_n_seconds=1e-9)
        model.fit(X, Y, epochs=epochs, callbacks=[keep], resume=path if resume else None)
        return outcome(model, model.history)

    _, expected = together(2, lambda c: work(c, False, 3))
    together(2, lambda c: work(c, False, 1))
    _, results = together(2, lambda c: work(c, True, 3))
    assert isinstance(results[0], dict), results
    assert all(np.array_equal(results[1][name], expected[0][name]) for name in expected[0])


@pytest.mark.parametrize("rank", [None, 1])
def test_a_callback_that_stops(rank):
    """If it stops on one process alone, the others stop at the same batch."""
    seen = [[], []]

    def work(communicator):
        def stop(run):
            seen[communicator.rank].append(run.batch)
            run.stop = run.batch == 3 and rank in (None, communicator.rank)

        model = make(communicator)
        model.fit(X, Y, epochs=3, callbacks=[LambdaCallback(on_batch_end=stop)])
        return outcome(model, model.history)

    _, results = together(2, work)
    assert isinstance(results[0], dict), results
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize("batch", [2, 4, 7, 8])
@pytest.mark.parametrize("rank", [None, 1])
@pytest.mark.parametrize("layer", [Tanh(), BatchNorm()])
@pytest.mark.parametrize("change", ["freeze", "unfreeze"])
def test_a_callback_that_freezes_and_one_that_stops(change, layer, rank, batch):
    """The second batch is the last whose sums have their former length; batch normalization sums as well, unless frozen."""

    def fit(communicator, stops):
        def on_batch_end(run):
            if (run.epoch, run.batch) == (1, 2):
                getattr(run.model, change)(0, 1)
            run.stop = 7 * (run.epoch - 1) + run.batch == batch and stops

        model = make(communicator, layers=[Dense(8), layer, Dense(10)], dtype="float64")
        if change == "unfreeze":
            model.freeze(0, 1)
        model.fit(X, Y, epochs=2, callbacks=[LambdaCallback(on_batch_end=on_batch_end)])
        return outcome(model, model.history)

    expected = fit(None, True)
    group, results = together(2, lambda c: fit(c, rank in (None, c.rank)))
    assert isinstance(results[0], dict), results
    assert all(difference(found, expected) <= 1e-12 for found in results)
    assert group.calls[0] == group.calls[1]


def test_early_stopping_decides_alike():
    _, results = together(
        2, lambda c: make(c).fit(X, Y, epochs=30, callbacks=[EarlyStopping("loss", patience=1, min_delta=0.05)])
    )
    assert results[0] == results[1] and results[0].epochs < 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda rank: {"seed": rank}, "expected the same seed on every process, got 0 on rank 0 and 1 on ranks 1, 2"),
        (
            lambda rank: {"batch_size": 8 + (rank > 0)},
            "expected the same batch_size .* got 8 on rank 0 and 9 on ranks 1, 2",
        ),
        (lambda rank: {"rows": 50 + (rank > 0)}, "expected the same examples .* got 50 on rank 0 and 51 on ranks 1, 2"),
        (
            lambda rank: {"weighted": rank > 0},
            "expected the same sample_weight .* got False on rank 0 and True on ranks 1, 2",
        ),
        (lambda rank: {"optimizer": SGD(0.1 if rank == 0 else 0.2)}, "expected the same optimizer"),
    ],
)
def test_different_arguments(changes, message):
    def work(communicator):
        given = changes(min(communicator.rank, 1))
        rows, size, weighted = given.pop("rows", 60), given.pop("batch_size", 8), given.pop("weighted", False)
        weight = np.ones(rows) if weighted else None
        make(communicator, **given).fit(X[:rows], Y[:rows], batch_size=size, sample_weight=weight)

    for error in together(3, work)[1]:
        with pytest.raises(ValueError, match=message):
            raise error


def test_parameters_that_differ_after_an_epoch():
    def work(communicator):
        def change(run):
            if communicator.rank == 2:
                run.model.params = [{"weight": run.model.params[0]["weight"] + 1, "bias": run.model.params[0]["bias"]}]

        make(communicator).fit(X, Y, callbacks=[LambdaCallback(on_epoch_end=change)])

    for error in together(3, work)[1]:
        with pytest.raises(RuntimeError, match=r"expected the same parameters on every process, got .* on ranks? 2"):
            raise error


def test_the_engine_of_threads_is_a_communicator():
    assert issubclass(Threads, Communicator)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_stop_on_nan_names_the_place_on_some_process():
    """The process that finds it names the place; the others name that process."""
    x = X.copy()
    x[4] = 1e200  # of the last process

    def work(communicator):
        make(communicator, dtype="float64", optimizer=SGD(1e150)).fit(
            x[:6], Y[:6], batch_size=None, epochs=5, callbacks=[StopOnNaN()]
        )

    group, results = together(2, work)
    assert isinstance(results[1], FloatingPointError) and "first in the" in str(results[1]), results
    assert isinstance(results[0], (FloatingPointError, RankError)), results
    assert group.calls[0] == group.calls[1]

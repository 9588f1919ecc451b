"""The array libraries that tests run on.

A test that takes `backend` runs once per backend. `backend` is an `anynet.backends.Backend`, for use in
``Model(backend=backend)``, ``backend.asarray`` and ``backend.compile(function)``, which is ``jax.jit`` for jax-jit.

==================  ==================================================================================================
numpy, strict       always tested; a missing array-api-strict is an error
numpy-readonly      arrays that a test creates are read-only, so writing to an argument raises
strict:device1      a device whose arrays NumPy cannot see, so a hidden transfer to the host raises
torch, jax-jit      skipped if not installed
jax                 the same functions without ``jax.jit``
cupy, torch:cuda    skipped without a GPU
cupy:1              a device that is not the current one; skipped without a second GPU
==================  ==================================================================================================

Unavailable backends are not parametrized; the report header and one skipped test per backend give the reason.

Models and public functions are tested from outside their device: they activate it if it is not CuPy's current one. Tests of
pure functions, those in `PURE`, run on the backend's device.

``pytestmark = pytest.mark.without("jax")`` excludes JAX without jit, which is slow and not used for training.

``pytest --backend numpy,jax`` runs only these; a library's name includes its variants, so ``jax`` includes ``jax-jit``.
"""

import importlib.util
import os
import signal
import sys
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from threading import Lock

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # arrays are small here, and waiting for threads is slow
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # arrays are small here, and compilation dominates
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"  # products of float32 may otherwise use TF32 on GPUs
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other libraries need memory of the same GPU
os.environ["JAX_ENABLE_X64"] = "1"  # for float64 checks; one test runs without it in a separate process

import array_api_strict

from anynet import backends
from anynet.backends.base import Backend
from anynet.backends.numpy import NumpyBackend

array_api_strict.set_array_api_strict_flags(api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False)

KINDS = (
    "numpy",
    "numpy-readonly",
    "strict",
    "strict:device1",
    "torch",
    "jax",
    "jax-jit",
    "cupy",
    "cupy:1",
    "torch:cuda",
)

TESTS = Path(__file__).parent
PURE = {"arrays", "layers", "losses", "metrics", "notes", "optimizers", "schedules"} | {
    f"test_{name}.py"
    for name in ("adapter", "backends", "batch", "portions", "random", "regularizers", "state", "torch_layer")
}
"""Folders and files with tests of pure functions, which compute on the current device as CuPy's own functions do."""


class ReadOnlyNumpy(NumpyBackend):
    """NumPy with read-only arrays, except explicit copies, and with replay as early as possible."""

    replayable = True
    warmup_steps = 1

    def asarray(self, x, dtype=None, *, copy=None):
        array = super().asarray(x, dtype, copy=copy)
        if not copy:
            array = array.view()
            array.flags.writeable = False
        return array


@cache
def make(kind):
    """Return the backend of a kind."""
    if kind == "numpy-readonly":
        return ReadOnlyNumpy()
    if kind == "jax":
        from anynet.backends.jax import JaxBackend

        class EagerJax(JaxBackend):
            steps_per_call = 1
            compile, compile_step, loop = Backend.compile, Backend.compile_step, Backend.loop

        return EagerJax()
    return backends.get("jax" if kind == "jax-jit" else kind)


@cache
def why_missing(kind):
    """Return the reason why a backend cannot run, or None; numpy and strict must run."""
    try:
        make(kind)
    except (ImportError, RuntimeError) as error:
        if library(kind) in ("numpy", "strict"):
            raise
        return str(error)
    except ValueError as error:  # a device that is not there
        if kind != "cupy:1":
            raise
        return str(error)
    return None


def library(kind):
    """Return the library of a kind: ``"jax"`` for ``"jax-jit"``."""
    return kind.partition(":")[0].partition("-")[0]


def pytest_addoption(parser):
    parser.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="NAMES",
        help=f"run only on these backends, separated by commas: {', '.join(KINDS)}",
    )


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited from a shell that runs pytest in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "without(*kinds): run on all backends except these")
    wanted = [name for names in config.getoption("--backend") for name in names.split(",")]
    for name in wanted:
        if name not in KINDS:
            raise pytest.UsageError(f"--backend: expected one of {', '.join(KINDS)}, got {name!r}")
    config.kinds = [kind for kind in KINDS if not wanted or kind in wanted or library(kind) in wanted]


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        out = [kind for mark in metafunc.definition.iter_markers("without") for kind in mark.args]
        kinds = [kind for kind in metafunc.config.kinds if kind not in out and why_missing(kind) is None]
        metafunc.parametrize("backend", kinds, indirect=True)


def pytest_report_header(config):
    missing = {kind: why_missing(kind) for kind in config.kinds if why_missing(kind) is not None}
    here = ", ".join(kind for kind in config.kinds if kind not in missing)
    return [f"backends: {here}", *(f"skipped {kind}: {why}" for kind, why in missing.items())]


@pytest.fixture
def backend(request):
    """Yield each backend in turn; see the module's docstring."""
    found = make(request.param)
    with found.activate() if PURE & set(request.path.relative_to(TESTS).parts) else nullcontext():
        yield found


@pytest.fixture(params=["torch", "jax"])
def autodiff(request):
    """Return ``autodiff(f, at, v)``, vᵀ ∂f/∂at of a function of one tree, computed by torch and by JAX."""
    if request.param not in map(library, request.config.kinds):
        pytest.skip(f"--backend excludes {request.param}")
    if why_missing(request.param):
        pytest.skip(why_missing(request.param))
    from tests import tools

    return getattr(tools, f"{request.param}_vjp")


@pytest.fixture(autouse=True, scope="session")
def one_thread_at_a_time_on_an_emulated_gpu():
    """Let the thread that reads batches ahead wait while a graph runs.

    The module `fakegpu` runs the kernels of one thread at a time, except those of graphs.
    """
    if importlib.util.find_spec("fakegpu") is None or why_missing("cupy"):
        yield
        return
    from anynet.backends import cupy_graph
    from anynet.data import sources

    lock, run, prefetch, end = Lock(), cupy_graph.Recording.run, sources.prefetch, object()

    def locked_run(self, *args):
        with lock:
            return run(self, *args)

    def locked(items):
        def following():
            with lock:
                return next(items, end)

        return iter(following, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy_graph.Recording, "run", locked_run)
        patch.setattr(sources, "prefetch", lambda items, context: prefetch(locked(items), context))
        yield


@pytest.fixture(autouse=True)
def no_graphs_beside_other_threads(request, monkeypatch):
    """Launch no graphs on an emulated GPU in tests of threads, for the same reason."""
    threads = request.path.name in ("test_threads.py", "test_devices.py")
    if threads and importlib.util.find_spec("fakegpu") is not None and not why_missing("cupy"):
        from anynet.backends import cupy_graph

        monkeypatch.setattr(cupy_graph.GraphLoop, "__call__", lambda self, *args: self._plain(*args))


@pytest.fixture(autouse=True)
def few_compiled_programs():
    """Let JAX forget its programs from time to time: among thousands, compiling another takes over ten times as long."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None and len(jax.devices()[0].client.live_executables()) > 1000:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def nothing_global_changes():
    """Assert that no test turns off JAX's float64, which the others need."""
    yield
    if sys.modules.get("jax") is not None:
        assert sys.modules["jax"].config.jax_enable_x64

"""What the machine is said to have."""

import importlib.util
import subprocess
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from anynet.arrays.blas import openblas
from anynet.backends import NAMES, available, info, product_rates
from anynet.backends.numpy import NumpyBackend
from anynet.backends.report import MEASURE_KERNELS, Processor, _numpy_advice, describe, processor


def test_every_backend_is_there_or_says_why_not():
    found = info()
    assert list(found.backends) == list(NAMES)
    for name, facts in found.backends.items():
        assert ("missing" in facts) == (name not in available())
        assert facts.get("missing", "no text") != ""
    assert found.backends["numpy"]["version"] == np.__version__
    assert found.machine["cores"] >= 1


@pytest.mark.skipif(openblas() is None, reason="needs NumPy with OpenBLAS's own threads")
def test_the_threads_of_products_are_reported_for_numpy():
    facts = info().backends["numpy"]
    assert facts["threads"] == openblas().get_threads()
    assert facts["products"] == "one thread below 8 million multiplications, else in blocks"
    assert describe(NumpyBackend(threads=5))["threads"] == 5
    with NumpyBackend().activate():
        assert describe(NumpyBackend())["threads"] == facts["threads"]


def test_the_threads_of_another_blas_are_its_own(monkeypatch):
    monkeypatch.setattr("anynet.backends.report.loaded_blas", lambda: None)
    assert info().backends["numpy"]["products"] == "threads set by the library"


def test_the_precision_of_products_is_reported_for_jax():
    jax = pytest.importorskip("jax", reason="needs jax")
    assert jax.config.jax_default_matmul_precision == "highest"  # set in conftest.py
    assert info().backends["jax"]["matmul precision"] == "highest"
    with jax.default_matmul_precision(None):
        assert "TF32 (JAX_DEFAULT_MATMUL_PRECISION=highest)" in info().backends["jax"]["matmul precision"]


@pytest.mark.parametrize(
    "variables", [{"MPI_LOCALNRANKS": "2"}, {"LOCAL_WORLD_SIZE": "2"}, {"SLURM_TASKS_PER_NODE": "2(x3)"}], ids=str
)
def test_advice_on_threads_of_several_processes(variables, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert not any("compete" in line for line in info().advice)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert any("set OPENBLAS_NUM_THREADS=4 before they start" in line for line in info().advice)


class DriverWithoutCompiler(ModuleType):
    """Stands for CuPy on a machine with a driver and a GPU, but without CUDA's headers."""

    def __init__(self):
        super().__init__("cupy")
        runtime = SimpleNamespace(getDeviceCount=lambda: 1)
        self.cuda = SimpleNamespace(is_available=lambda: True, runtime=runtime, Device=lambda number: nullcontext())

    def ElementwiseKernel(self, *args):
        raise OSError('cannot open source file "cuda_fp16.h"\nand more')


def test_cupy_is_there_only_if_it_can_compile(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", DriverWithoutCompiler())
    assert "cupy" not in available()
    reason = info().backends["cupy"]["missing"]
    assert reason.startswith("expected CuPy to compile and run a kernel on device 0, got 'cannot open source file")
    assert "cuda_fp16.h" in reason and "and more" not in reason and 'pip install "cupy-cuda13x[ctk]"' in reason


def test_reasons_for_slower_ways_are_there_while_they_hold(monkeypatch):
    from anynet.arrays import fallbacks
    from anynet.backends.report import _slower

    monkeypatch.setattr(fallbacks, "_noted", {})
    assert _slower() == {}
    fallbacks.note("one thing", ValueError("a reason\nand more"))
    fallbacks.note("another", "too large")
    assert _slower() == {"slower in this process": "one thing (ValueError: a reason), another (too large)"}
    fallbacks.forget("one thing")
    assert _slower() == {"slower in this process": "another (too large)"}


def test_advice_is_given_only_where_it_applies():
    assert "anynet-nn[fast]" in "".join(_numpy_advice({"llvmlite": "not installed"}, Processor("any")))


ZEN3, ZEN4 = (Processor("an EPYC", "AuthenticAMD", "25", frozenset(flags)) for flags in ({"avx2"}, {"avx2", "avx512f"}))
ZEN5 = Processor("an EPYC", "AuthenticAMD", "26", frozenset({"avx2", "avx512f"}))
XEON = Processor("a Xeon", "GenuineIntel", "6", frozenset({"avx2", "avx512f"}))


@pytest.mark.parametrize(
    ("kernels", "cpu", "other"),
    [
        ("Zen", ZEN5, "SkylakeX"),
        ("Haswell", XEON, "SkylakeX"),
        ("SkylakeX", ZEN4, "Haswell"),
        ("Cooperlake", ZEN4, "Haswell"),
        ("SkylakeX", ZEN5, None),
        ("SkylakeX", XEON, None),
        ("Haswell", ZEN4, None),
        ("Zen", ZEN3, None),
        ("unknown", XEON, None),
    ],
)
def test_other_kernels_are_to_be_measured_where_they_may_be_faster(kernels, cpu, other):
    """On Zen 5 those for AVX-512 were faster, on Zen 4 those for AVX2; elsewhere nobody knows, and no more is said."""
    advice = "".join(_numpy_advice({"llvmlite": "0.68", "kernels": kernels}, cpu))
    if other is None:
        assert advice == ""
    else:
        assert f"OPENBLAS_CORETYPE={other}" in advice and kernels in advice and advice.endswith(MEASURE_KERNELS)


@pytest.mark.skipif("avx512f" not in processor().flags, reason="needs AVX-512 for one of the two kinds of kernels")
def test_the_command_that_measures_runs():
    quick = MEASURE_KERNELS.replace("timeit", "timeit -n1 -r1").replace("python", f"'{sys.executable}'")
    out = subprocess.run(["sh", "-c", quick], capture_output=True, text=True, check=True).stdout
    assert out.count("per loop") == 2


def test_the_processor_is_read_from_linux(tmp_path):
    text = (
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx512f\n"
    )
    (tmp_path / "cpuinfo").write_text(text)
    cpu = processor(tmp_path / "cpuinfo")
    assert cpu == Processor("AMD EPYC", "AuthenticAMD", "25", frozenset({"fpu", "avx512f"})) and cpu.is_zen4
    assert processor(tmp_path / "no such file").flags == frozenset()


def test_the_command_prints_it():
    out = subprocess.run([sys.executable, "-m", "anynet", "info"], capture_output=True, text=True, check=True).stdout
    assert f"version {np.__version__}" in out and "processor" in out
    assert str(info().machine["python"]) in out


def test_it_can_be_asked_twice():
    import anynet

    anynet.backends.info()
    assert anynet.backends.info().backends


def test_products_are_measured_on_request(monkeypatch):
    monkeypatch.setattr(product_rates, "SECONDS", 0.01)
    found = info(products=[(64, 32, 16), (8, 8, 8)])
    assert found.products["numpy"].keys() == {"64×32×16", "8×8×8"}
    assert all(rate > 0 for rates in found.products.values() for rate in rates.values())
    assert ("torch" in found.products) == (importlib.util.find_spec("torch") is not None)
    assert "products by numpy, GFLOP/s: 64×32×16" in str(found)
    assert not info().products


@pytest.mark.parametrize("size", [(1, 2), (0, 1, 1), (1, 2, 3.5), "abc"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=r"^info: products: expected sizes \(m, k, n\) of positive integers, got "):
        info(products=[size])


def test_advice_names_the_fastest_library_over_all_sizes():
    kernels = "numpy, OPENBLAS_CORETYPE=Haswell"
    assert product_rates.advice({"numpy": [10.0, 10.0], "torch": [20.0, 5.0]}) == []
    assert "set OPENBLAS_CORETYPE=Haswell before" in product_rates.advice({"numpy": [10.0], kernels: [20.0]})[0]
    assert "built with MKL" in product_rates.advice({"numpy": [10.0], "mkl": [20.0]})[0]
    assert product_rates.advice({"torch": [1.0]}) == []


def test_a_library_that_does_not_run_is_left_out(monkeypatch):
    monkeypatch.setattr(product_rates, "SECONDS", 0.01)
    monkeypatch.setattr(
        product_rates, "candidates", lambda: [("numpy", "numpy", {}, []), ("mkl", "mkl", {}, ["absent.so"])]
    )
    assert product_rates.measure([(8, 8, 8)]).keys() == {"numpy"}

"""Compiled elementwise functions have the bits of NumPy's, whenever they take over."""

import importlib.util
import os
import pkgutil
import sys
import threading
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

import anynet
from anynet.arrays import background, compiling, programs
from anynet.arrays.compiling import LARGE, Elementwise
from anynet.arrays.fused import fused
from anynet.arrays.namespace import namespace
from anynet.arrays.programs import Program, address, layout
from anynet.arrays.symbols import UntraceableFormulaError
from anynet.layers import smooth

needs_llvm = pytest.mark.skipif(not compiling.is_available(), reason="llvmlite, the extra 'fast', is not installed")
FLOATS = ("float32", "float64")
ARGUMENTS = {
    "_encrypt": ["int32"] * 4,
    "_child": ["int32", 3],
    "_next": ["int32"],
    "_halves": ["int32"],
    "_upper_24_bits": ["int32"],
    "_larger": ["int32", None, 1, None, None],
    "_where_equal": [None, "int32", 1, 2],
    "_minus_one_at": [None, "int32", "int32"],
    "_masked": [None, "bool", 2.0],
    "moved": [None, None, 0.1],
    "batch_dx": [None] * 6 + [0.25],
    "_shifted_exp": [None, None, -1e30],
    "scale_and_unbiased": [None, 1e-5, 1.1],
}
"""Dtypes of the arrays (None for floats) and numbers that functions take, if not only floats."""
NOT_COMPILED = {"scale_and_unbiased"}
"""Functions that use `**`."""


def formulas():
    """Return all functions of the library with the decorator `fused`, as written."""
    found = {}
    for module in pkgutil.walk_packages(anynet.__path__, "anynet."):
        source = Path(importlib.util.find_spec(module.name).origin).read_text(encoding="utf-8")
        if "@fused" not in source or "cupy" in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if type(value) is FunctionType and hasattr(value, "__wrapped__") and value.__module__ == module.name:
                found[f"{module.name}.{name}"] = value.__wrapped__
    return found


def arguments(function, dtype):
    """Return the arguments of a function, with dtypes in place of arrays."""
    count = function.__code__.co_argcount
    given = ARGUMENTS.get(function.__name__, [None] * count)
    return [np.dtype(a or dtype) if a is None or isinstance(a, str) else a for a in given]


def numbers(rng, dtype, shape):
    """Return numbers of all magnitudes, with infinities, NaN, subnormal numbers and zeros of both signs."""
    if dtype.kind in "ib":
        return rng.integers(0, 2 if dtype.kind == "b" else 2**31 - 1, shape).astype(dtype)
    exponents = rng.uniform(-330, 308, shape) if dtype == "float64" else rng.uniform(-46, 38, shape)
    x = np.where(rng.random(shape) < 0.3, 10.0**exponents, rng.normal(0, 3, shape)) * rng.choice([-1.0, 1.0], shape)
    odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0], shape)
    return np.where(rng.random(shape) < 0.05, odd, x).astype(dtype)


def assert_same_bits(made, expected):
    for found, wanted in zip(*[x if isinstance(x, tuple) else (x,) for x in (made, expected)], strict=True):
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        np.testing.assert_array_equal(found, wanted)
        if found.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found) | np.isnan(found), np.signbit(wanted) | np.isnan(wanted))


def compiled(function, *args):
    """Return the function after it has been compiled for these arguments."""
    run = Elementwise(function)
    with np.errstate(all="ignore"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "WORTHWHILE", 0.0)
        run(*args)
    background.wait()
    assert any(pending.program for pending in run.pending.values())
    return run


@needs_llvm
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", formulas().values(), ids=formulas())
def test_a_program_has_the_bits_of_numpy(function, dtype):
    given = arguments(function, dtype)
    changes = [(True, True)] * sum(isinstance(a, np.dtype) for a in given)
    if function.__name__ in NOT_COMPILED:
        with pytest.raises(TypeError):
            Program(function, given, changes)
        return
    program = Program(function, given, changes)
    rng = np.random.default_rng(1)
    for size in (0, 1, 17, programs.TILE_NUMBERS - 1, 2 * programs.TILE_NUMBERS + 3):
        args = [numbers(rng, a, (size,)) if isinstance(a, np.dtype) else a for a in given]
        outs = [np.empty(size, d) for d in program.dtypes]
        with np.errstate(all="ignore"):
            program.run(1, size, [address(a) for a in args if isinstance(a, np.ndarray)], [*map(address, outs)])
            expected = function(*args)
        assert_same_bits(tuple(outs), expected if isinstance(expected, tuple) else (expected,))


@needs_llvm
@pytest.mark.parametrize(
    "shapes",
    [
        ((200, 100), (100,)),
        ((200, 100), (200, 1)),
        ((200, 100), (1, 100)),
        ((200, 100), ()),
        ((40, 50, 10), (10,)),
        ((40, 50, 10), (50, 10)),
        ((40, 50, 10), (40, 1, 1)),
        ((100,), (200, 100)),
        ((20_000, 1), (20_000, 1)),
        ((3, 10_000), (1, 10_000)),
    ],
    ids=str,
)
def test_arrays_that_broadcast(shapes):
    def function(x, y):
        return x * namespace(x).exp(-y * y), x + y

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    if arrays[0].size < LARGE:
        function, arrays = (lambda y, x: (x * namespace(x).exp(-y * y), x + y)), arrays[::-1]
    assert_same_bits(compiled(function, *arrays)(*arrays), function(*arrays))


def test_a_layout_of_rows_and_columns_or_none():
    assert layout([(4, 3), (4, 3)]).rows == 1
    assert layout([(4, 3), (3,)]).changes == ((True, True), (False, True))
    assert layout([(4, 3, 2), (4, 1, 2)]) is None
    assert layout([(4, 1), (1, 3)]).shape == (4, 3)
    assert layout([(5,), (1,)]).changes == ((True, True), (False, False))
    assert layout([(2, 3), (1, 1), (2, 3)]).changes == ((True, True), (False, False), (True, True))


def cubed(x):
    return x * x * x + 1.0


def is_compiled(function, x):
    run = compiled(function, np.ones(LARGE, "float32"))
    expected = function(x)
    seen = []
    original = Program.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "run", lambda *args: seen.append(1) or original(*args))
        found = run(x)
    assert found.strides == expected.strides
    assert_same_bits(found, expected)
    return bool(seen)


@needs_llvm
def test_other_arrays_run_as_written():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 200)).astype("float32")
    assert is_compiled(cubed, x)
    assert not is_compiled(cubed, x.T)
    assert not is_compiled(cubed, x[:, ::2])
    assert not is_compiled(cubed, x[:10])
    assert not is_compiled(cubed, x[0, 0])
    assert not is_compiled(cubed, x.astype("float16"))
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view("float32")
    unaligned[...] = x.ravel()
    assert not unaligned.flags.aligned and not is_compiled(cubed, unaligned)
    assert not is_compiled(cubed, x.astype(x.dtype.newbyteorder()))


@needs_llvm
def test_float16_is_never_compiled_and_keeps_its_dtype(monkeypatch):
    run, x = Elementwise(smooth._softplus.__wrapped__), np.ones(2 * LARGE, "float16")
    monkeypatch.setattr(compiling, "WORTHWHILE", 0.0)
    assert run(x).dtype == "float16"
    background.wait()
    assert not any(pending.program for pending in run.pending.values())


@needs_llvm
def test_errors_that_numpy_raises_are_raised():
    run, x = compiled(cubed, np.ones(LARGE, "float32")), np.full(LARGE, 1e30, "float32")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        run(x)


@needs_llvm
def test_numbers_among_the_arguments_have_programs_of_their_own():
    def scaled(x, factor):
        return x * factor + 1.0

    run, x = compiled(scaled, np.ones(LARGE, "float32"), 2.0), np.ones(LARGE, "float32")
    for factor in (2.0, 3.0, 0.0, -0.0, np.nan, np.float32(4.0)):
        assert_same_bits(run(x, factor), scaled(x, factor))
        assert_same_bits(run(-0.0 * x, factor), scaled(-0.0 * x, factor))


@needs_llvm
def test_a_program_that_differs_from_numpy_is_not_used(monkeypatch):
    monkeypatch.setattr(programs, "_identical", lambda made, found: False)
    with pytest.raises(UntraceableFormulaError, match="differs"):
        Program(cubed, [np.dtype("float32")], [(True, True)])


@needs_llvm
def test_several_threads_share_a_program():
    x = np.random.default_rng(0).normal(size=(4, 3 * programs.TILE_NUMBERS)).astype("float32")
    run, found = compiled(smooth._softplus.__wrapped__, x[0]), {}

    def work(i):
        for _ in range(20):
            found[i] = run(x[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert_same_bits(found[i], smooth._softplus.__wrapped__(x[i]))


@needs_llvm
def test_subnormal_numbers_flushed_to_zero():
    """A program computes with the processor's current mode, as NumPy does."""
    torch = pytest.importorskip("torch")
    rng, found = np.random.default_rng(0), []
    x = (10.0 ** rng.uniform(-45, -36, 2 * LARGE)).astype("float32")
    run = compiled(cubed, x)

    def scaled(x):
        return x * 0.5

    half = compiled(scaled, x)

    def work():  # the mode belongs to the thread
        torch.set_flush_denormal(True)
        found.append((run(x), cubed(x), half(x), scaled(x)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    [(a, b, c, d)] = found
    assert_same_bits((a, c), (b, d))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_process_forked_during_a_task_starts_none():
    import subprocess

    code = """
import os, time
from anynet.arrays import background
background.submit(lambda: time.sleep(0.5))
pid = os.fork()
background.submit(lambda: print("ran", flush=True))
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "ran\n", done.stderr


def test_a_fused_function_on_small_and_large_arrays():
    @fused
    def function(x):
        return namespace(x).exp(x) * 0.5

    for size in (3, 2 * LARGE):
        x = np.linspace(-1, 1, size)
        np.testing.assert_array_equal(function(x), np.exp(x) * 0.5)

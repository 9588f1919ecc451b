"""Products on NumPy: the same bits on any number of threads."""

import os
import subprocess
import sys
import threading
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from anynet.arrays import blas, products
from anynet.arrays.blas import limited, openblas, thread_count
from anynet.arrays.products import LARGE, MAX_BLOCKS, is_large, matmul, split

pytestmark = pytest.mark.skipif(openblas() is None, reason="needs NumPy with OpenBLAS's own threads")

SHAPES = [
    ((128, 784), (784, 512)),
    ((784, 128), (128, 512)),
    ((2000, 700), (700, 9)),
    ((3, 4000), (4000, 1000)),
    ((65, 3000), (3000, 64)),
    ((200, 40, 80), (80, 30)),
    ((200, 40, 80), (200, 80, 30)),
    ((50, 80), (300, 80, 30)),
    ((1, 90, 400), (2, 400, 300)),
    ((2, 1, 90, 400), (3, 400, 150)),
]


def arrays(shapes, dtype="float32"):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [(), (0,), (1,)])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_a_large_product_has_the_same_bits_on_any_number_of_threads(shapes, transposed, dtype):
    factors = arrays(shapes, dtype)
    for i in transposed:
        factors[i] = np.ascontiguousarray(np.swapaxes(factors[i], -1, -2)).swapaxes(-1, -2)
    assert is_large(*factors)
    made = []
    for threads in (1, 2, 3, 8):
        with limited(threads):
            made.append(matmul(*factors))
    expected = np.matmul(*[a.astype("float64") for a in factors])
    assert made[0].shape == expected.shape and made[0].dtype == dtype
    size = np.abs(factors[0].astype("float64")) @ np.abs(factors[1].astype("float64"))
    assert np.max(np.abs(made[0] - expected) / size) < 4 * np.finfo(dtype).eps
    assert len({array.tobytes() for array in made}) == 1


def test_a_product_is_written_to_out():
    x1, x2 = arrays(SHAPES[0])
    out = np.empty((128, 512), "float32")
    assert matmul(x1, x2, out) is out
    np.testing.assert_array_equal(out, matmul(x1, x2))


@pytest.mark.parametrize(
    "shapes", [((20, 30), (30, 40)), ((5000,), (5000,)), ((4000, 3000), (3000,)), ((3000,), (3000, 4000))], ids=str
)
def test_other_products_are_numpys(shapes):
    x1, x2 = arrays(shapes)
    assert not is_large(x1, x2)
    with limited():
        np.testing.assert_array_equal(matmul(x1, x2), np.matmul(x1, x2))


def test_products_of_other_dtypes_and_wrong_shapes_are_left_to_numpy():
    x1, x2 = arrays(SHAPES[0])
    assert matmul(x1, x2.astype("float64")).dtype == "float64"
    assert matmul(x1.astype("int32"), x2.astype("int32")).dtype == "int32"
    with pytest.raises(ValueError, match="mismatch"):
        matmul(x1, x2[1:])


@given(st.integers(64, 10**6), st.integers(LARGE, 10**12), st.sampled_from([1, 16]))
def test_blocks_cover_an_axis(length, work, multiple):
    blocks = split(length, work, multiple)
    assert blocks[0].start == 0 and blocks[-1].stop == length
    assert all(before.stop == after.start < after.stop for before, after in pairwise(blocks))
    assert 2 <= len(blocks) <= MAX_BLOCKS
    assert all(block.start % multiple == 0 for block in blocks)


# Threads of BLAS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def outside():
    """Let BLAS use three threads outside of anynet."""
    before = openblas().get_threads()
    openblas().set_threads(3)
    yield 3
    assert openblas().get_threads() == 3
    openblas().set_threads(before)


def test_blas_has_one_thread_inside_and_its_own_number_outside(outside):
    with limited():
        assert openblas().get_threads() == 1 and thread_count() == 3
        with limited(2):
            assert openblas().get_threads() == 1 and thread_count() == 2
        assert openblas().get_threads() == 1 and thread_count() == 3
    assert openblas().get_threads() == 3 and thread_count() is None


def test_blas_has_its_own_number_after_an_error(outside):
    with pytest.raises(ZeroDivisionError), limited():
        _ = 1 / 0
    assert openblas().get_threads() == 3


def test_blas_has_its_own_number_after_the_last_of_several_threads(outside):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with limited(2):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with limited():
        thread.start()
        entered.wait()
        assert thread_count() == 3  # not the other thread's
    assert openblas().get_threads() == 1
    leave.set()
    thread.join()
    assert openblas().get_threads() == 3


def test_a_product_outside_of_a_model_leaves_blas_alone(outside):
    x1, x2 = arrays(SHAPES[0])
    with limited(1):
        expected = matmul(x1, x2)
    np.testing.assert_array_equal(matmul(x1, x2), expected)


def multiply_after_a_fork(is_locked):
    """Multiply in a child while another thread is inside, or is entering, `limited`."""
    openblas().set_threads(3)
    x1, x2 = arrays(SHAPES[0])
    expected = matmul(x1, x2)
    entered, leave = threading.Event(), threading.Event()

    def other():
        with limited(2):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    if is_locked:
        blas._lock.acquire()
    child = os.fork()
    if child == 0:
        is_equal = np.array_equal(matmul(x1, x2), expected)
        os._exit(100 * is_equal + 10 * products._helpers._count + openblas().get_threads())
    leave.set()
    if is_locked:
        blas._lock.release()
    thread.join()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("is_locked", [False, True])
def test_products_work_after_a_fork(is_locked):
    code = f"from {__name__} import multiply_after_a_fork; print(multiply_after_a_fork({is_locked}))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True) == "123\n"


# Helpers ----------------------------------------------------------------------------------------------------------------


def test_helpers_without_a_core_delay_nothing(monkeypatch):
    x1, x2 = arrays(SHAPES[0])
    expected = matmul(x1, x2)
    monkeypatch.setattr(products._helpers, "offer", lambda help, count: None)
    with limited(4):
        np.testing.assert_array_equal(matmul(x1, x2), expected)


def test_products_need_no_helpers(monkeypatch):
    """The number of threads of a process may be limited."""
    x1, x2 = arrays(SHAPES[0])
    expected = matmul(x1, x2)

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(products, "_helpers", products._Helpers())
    monkeypatch.setattr(threading.Thread, "start", start)
    with limited(4):
        np.testing.assert_array_equal(matmul(x1, x2), expected)


def test_several_threads_multiply_at_once():
    factors = [arrays(shapes) for shapes in SHAPES]
    expected = [matmul(*pair) for pair in factors]
    wrong = []

    def work(first):
        with limited(3):
            for i in range(3 * len(factors)):
                i = (i + first) % len(factors)
                if not np.array_equal(matmul(*factors[i]), expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("row", [0, -1])
def test_warnings_are_the_callers(row):
    x1, x2 = arrays(SHAPES[0])
    x1[row], x2[0], x2[1] = 1.0, np.inf, -np.inf
    with limited(4):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            for _ in range(5):
                matmul(x1, x2)
        with np.errstate(invalid="raise"):
            for _ in range(5):
                with pytest.raises(FloatingPointError):
                    matmul(x1, x2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_waits_for_helpers_that_write_to_the_result(monkeypatch, error):
    caller, started, multiply = threading.get_ident(), threading.Event(), np.matmul
    out = np.zeros((128, 512), "float32")

    def slow(*block):
        if threading.get_ident() == caller:
            started.wait()
            raise error
        started.set()
        time.sleep(0.05)
        multiply(*block)

    x1, x2 = arrays(SHAPES[0])
    monkeypatch.setattr(products.np, "matmul", slow)
    with limited(2), pytest.raises(error):
        matmul(x1, x2, out)
    after = out.copy()
    time.sleep(0.1)
    assert np.any(after)
    np.testing.assert_array_equal(out, after)


def test_an_error_of_a_helper_is_raised(monkeypatch):
    caller, failed, multiply = threading.get_ident(), threading.Event(), np.matmul

    def fail(*block):
        if threading.get_ident() == caller:
            failed.wait()
            return multiply(*block)
        failed.set()
        raise MemoryError("no memory")

    x1, x2 = arrays(SHAPES[0])
    monkeypatch.setattr(products.np, "matmul", fail)
    with limited(2), pytest.raises(MemoryError, match="no memory"):
        matmul(x1, x2)

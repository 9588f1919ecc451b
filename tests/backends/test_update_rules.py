"""Update rules, in tiles and compiled: the numbers are NumPy's, bit for bit."""

import numpy as np
import pytest

from anynet import Adam
from anynet.arrays import background, compiling
from anynet.arrays.elementwise import maximum
from anynet.arrays.namespace import namespace
from anynet.backends import cupy_rules
from anynet.backends.compiled_rules import CompiledRule
from anynet.backends.numpy import NumpyBackend
from anynet.backends.tiled_rules import run_tiled
from anynet.optimizers.base import out_of_place
from tests.conftest import KINDS
from tests.optimizers.cases import ELEMENTWISE

on_cupy = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))
RULES = {optimizer.rule: (optimizer, len(optimizer.slots)) for optimizer, _ in ELEMENTWISE}


def rows_and_coefficients(optimizer, slots, dtype, sizes=(7, 40_001)):
    rng = np.random.default_rng(0)
    rows = [
        tuple(
            [rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)]
            + [np.abs(rng.normal(size=n)).astype(dtype) for _ in range(slots)]
        )
        for n in sizes
    ]
    return rows, optimizer.coefficients(np.asarray(3.0, dtype=dtype))


def copied(rows):
    return [tuple(a.copy() for a in row) for row in rows]


def assert_same(rows, expected):
    for (p, g, *slots), (new_p, *new_slots) in zip(rows, expected, strict=True):
        assert g.size
        for actual, wanted in zip((p, *slots), (new_p, *new_slots), strict=True):
            np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_tiles_give_the_numbers_of_the_plain_rule(rule, dtype):
    rows, coefficients = rows_and_coefficients(*RULES[rule], dtype)
    expected = out_of_place(rule)(rows, coefficients)
    run_tiled(rule, tile=1000)(rows, coefficients)
    assert_same(rows, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_compiler_gives_the_numbers_of_the_plain_rule(rule, dtype):
    pytest.importorskip("llvmlite", reason="llvmlite, the extra 'fast', is not installed")
    rows, coefficients = rows_and_coefficients(*RULES[rule], dtype)
    expected = out_of_place(rule)(rows, coefficients)
    compiled(rule, rows, coefficients)(rows, coefficients)
    assert_same(rows, expected)


def compiled(rule, rows, coefficients):
    """Return the runner of a rule after the compiler has finished."""
    run = CompiledRule(rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "WORTHWHILE", 0.0)
        run(copied(rows), coefficients)
    background.wait()
    assert run.is_compiled(rows)
    return run


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_arrays_of_any_layout_are_written_to(rule, is_compiled):
    """Every second array lies in column order, gradients too."""
    if is_compiled:
        pytest.importorskip("llvmlite", reason="llvmlite, the extra 'fast', is not installed")
    optimizer, slots = RULES[rule]
    rows, coefficients = rows_and_coefficients(optimizer, slots, "float64", sizes=(12, 40_000))
    rows = [tuple(a.reshape(4, -1) for a in row) for row in rows]
    expected = out_of_place(rule)(rows, coefficients)
    run = compiled(rule, rows, coefficients) if is_compiled else run_tiled(rule, tile=1000)
    for parity in (0, 1):
        mixed = [tuple(np.array(a, order="CF"[(i + parity) % 2]) for i, a in enumerate(row)) for row in rows]
        run(mixed, coefficients)
        assert_same(mixed, expected)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_fused_on_a_gpu_writes_back_what_the_plain_rule_returns(rule):
    """The function that `cupy.fuse` traces, run on NumPy arrays."""
    from anynet.backends.cupy import in_place

    rows, coefficients = rows_and_coefficients(*RULES[rule], "float64")
    expected = out_of_place(rule)(rows, coefficients)
    for row in rows:
        assert in_place(rule, len(row) - 2)(*row, *coefficients) is None
    assert_same(rows, expected)


def test_a_short_run_does_not_compile(monkeypatch):
    monkeypatch.setattr(background, "submit", lambda task: pytest.fail("compiled"))
    backend, (optimizer, slots) = NumpyBackend(), next(iter(RULES.values()))
    for _ in range(3):
        backend.elementwise(optimizer.rule)(*rows_and_coefficients(optimizer, slots, "float32", sizes=(8,)))


def test_without_llvmlite_the_tiles_stay(monkeypatch):
    monkeypatch.setattr(compiling, "is_available", lambda: False)
    monkeypatch.setattr(compiling, "WORTHWHILE", 0.0)
    monkeypatch.setattr(background, "submit", lambda task: pytest.fail("compiled"))
    optimizer, slots = next(iter(RULES.values()))
    rows, coefficients = rows_and_coefficients(optimizer, slots, "float32")
    expected = out_of_place(optimizer.rule)(rows, coefficients)
    CompiledRule(optimizer.rule)(rows, coefficients)
    assert_same(rows, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@on_cupy
def test_one_kernel_for_all_parameters(rule, dtype, backend):
    """More parameters than one launch takes, of sizes around those of a block, one empty."""
    optimizer, slots = RULES[rule]
    sizes = [7, 0, 1023, 1024, 1025, 5000, *range(1, 100)]
    rows, coefficients = rows_and_coefficients(optimizer, slots, dtype, sizes)
    expected = out_of_place(rule)(rows, coefficients)
    placed = [tuple(map(backend.asarray, row)) for row in rows]
    mixed = [backend.asarray(c) if i % 2 and not isinstance(c, float) else c for i, c in enumerate(coefficients)]
    with backend.activate():
        assert backend.elementwise(rule)(placed, tuple(mixed)) is None
    for (p, g, *state), (_, gradient, *_), new in zip(placed, rows, expected, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(g), gradient)
        for actual, wanted in zip((p, *state), new, strict=True):
            assert actual.dtype == dtype
            np.testing.assert_allclose(backend.to_numpy(actual), wanted, rtol=2e-5 if dtype == "float32" else 1e-13)


@on_cupy
def test_rules_and_arrays_that_one_kernel_does_not_take(backend):
    """A function that is not in `anynet.arrays.elementwise`, a literal, arrays in column order: as on NumPy."""

    def with_tanh(p, g):
        return (p - namespace(p).tanh(g) * 0.5,)

    def plain(p, g):
        return (p - g,)

    rng = np.random.default_rng(0)
    for rule, order in ((with_tanh, "C"), (plain, "F")):
        p, g = (np.array(rng.normal(size=(3, 4)), order=order) for _ in range(2))
        with backend.activate():
            placed = tuple([backend.xp.asarray(a, order=order) for a in (p, g)])
            backend.elementwise(rule)([placed], ())
        np.testing.assert_allclose(backend.to_numpy(placed[0]), rule(p, g)[0], rtol=1e-14)


def test_a_traced_rule_propagates_nan_in_maximum():
    lines = cupy_rules.trace_rule(lambda p, g: (maximum(p, g),), slots=0, coefficients=0)
    assert lines == ["const T t0 = (a0 != a0 || a0 > a1) ? a0 : a1;", "a0 = t0;"]


def test_a_traced_rule_may_exchange_arrays():
    lines = cupy_rules.trace_rule(lambda p, g, s: (s, p), slots=1, coefficients=0)
    assert lines == ["const T t0 = a2;", "const T t1 = a0;", "a0 = t0;", "a2 = t1;"]


def unlike(rows):
    """Return rows in which gradients have another dtype or size, or addresses that do not fit their dtype."""
    p, g, *slots = rows[0]
    buffer = np.zeros(g.nbytes + 1, np.uint8)[1:]
    shifted = buffer.view(g.dtype)
    shifted[...] = g
    return {
        "float64 gradient": [(p, g.astype("float64"), *slots)],
        "one number": [(p, g[:1], *slots)],
        "unaligned": [(p, shifted, *slots)],
        "float64 row after float32": [rows[0], tuple(a.astype("float64") for a in rows[1])],
    }


@pytest.mark.parametrize("kind", ["float64 gradient", "one number", "unaligned", "float64 row after float32"])
@pytest.mark.parametrize("bound", [False, True])
def test_a_compiled_rule_reads_no_array_as_something_else(kind, bound):
    """A compiled program takes addresses alone, so it would read past an array, or bits of another dtype."""
    pytest.importorskip("llvmlite", reason="llvmlite, the extra 'fast', is not installed")
    rule = Adam().rule
    rows, coefficients = rows_and_coefficients(*RULES[rule], "float32", sizes=(7, 5))
    run = compiled(rule, rows, coefficients)
    rows = unlike(rows)[kind]
    expected = copied(rows)
    run_tiled(rule)(expected, coefficients)
    run.bind(rows)(coefficients) if bound else run(rows, coefficients)
    assert_same(rows, [(p, *slots) for p, _, *slots in expected])


def test_a_coefficient_of_numpy_is_a_number_before_and_after_compiling():
    pytest.importorskip("llvmlite", reason="llvmlite, the extra 'fast', is not installed")
    rule = Adam().rule
    rows, coefficients = rows_and_coefficients(*RULES[rule], "float32")
    run, numbers = compiled(rule, rows, coefficients), tuple(np.float64(c) for c in coefficients)
    before, after = copied(rows), copied(rows)
    CompiledRule(rule)(before, numbers)
    run(after, numbers)
    assert_same(after, [(p, *slots) for p, _, *slots in before])

"""The self-check passes on every backend, and fails on wrong operations, naming the case."""

import json

import pytest

import anynet.random
from anynet.backends import check
from anynet.backends.torch import TorchBackend
from anynet.selfcheck import compare
from tests.conftest import why_missing

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of wrong operations


def few(cases, *names):
    """Keep only the cases of these names, so that a check takes a second."""
    chosen = [(case, known) for case, known in cases() if case.name in names]
    return lambda: chosen


@pytest.fixture
def quick(monkeypatch):
    """Check three networks and three optimizers."""
    monkeypatch.setattr(compare, "_networks", few(compare._networks, "dense", "normalization", "convolution"))
    monkeypatch.setattr(compare, "_optimizers", few(compare._optimizers, "SGD momentum", "Adam", "LBFGS"))


def failures(backend):
    return {row.title for row in check(backend).failures}


@pytest.mark.without("jax", "numpy-readonly")
def test_every_backend_passes(backend, request):
    """All cases on NumPy, a part of them on the other backends."""
    if backend.name != "numpy":
        request.getfixturevalue("quick")
    report = check(backend)
    assert report.passed, str(report)
    assert report.speed["microseconds"] > 0
    assert (report.speed["synchronizations"] == 0) == backend.name.startswith("cupy")
    assert (report.speed["graph"] == "yes, 32 steps in 2 launches") == backend.name.startswith("cupy")
    assert report.speed["launches"] == (2 / 32 if backend.name.startswith("cupy") else None)
    groups = {row.group for row in report.rows}
    assert {"reference", "random", "networks", "optimizers"} <= groups
    assert ("mixed precision" in groups) == (not report.skipped) == (not backend.name.startswith("strict"))
    assert all(row.limit < 1e-3 for row in report.rows if row.limit and row.dtype == "float32")
    assert all(
        row.limit < 1e-10 for row in report.rows if row.limit and (row.group, row.dtype) == ("networks", "float64")
    )


def test_nine_networks_and_fourteen_optimizers_in_two_dtypes():
    rows = [(row.group, row.name, row.dtype) for row in check("numpy").rows]
    for group, count in (("networks", 9), ("optimizers", 14)):
        assert len({name for found, name, _ in rows if found == group}) == count
        assert {dtype for found, _, dtype in rows if found == group} == {"float32", "float64"}


@pytest.mark.without("jax", "numpy-readonly", "strict:device1")
def test_a_quick_check_compares_bits_and_one_network(backend):
    report = check(backend, quick=True)
    assert report.passed, str(report)
    assert [row.title for row in report.rows[-3:]] == [
        f"networks, normalization, {quantity}, float32" for quantity in ("gradients", "predictions", "3 epochs")
    ]
    assert len(report.rows) == 7 and report.speed == {}
    assert report.outcome.startswith(f"{report.backend}: 7 comparisons, all passed, ")


# -- wrong operations --------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    """PyTorch, whose functions the tests below replace: the reference on NumPy stays right."""
    if why_missing("torch"):
        pytest.skip(why_missing("torch"))
    import torch

    return torch


def test_a_sum_that_is_wrong_in_float32(torch, quick, monkeypatch):
    from anynet.arrays import torch_namespace as xp

    right = xp.sum

    def wrong(x, *args, **kwargs):
        return right(x, *args, **kwargs) * (1.001 if x.dtype == torch.float32 else 1)

    monkeypatch.setattr(xp, "sum", wrong)
    found = failures("torch")
    assert "networks, dense, gradients, float32" in found
    assert not [title for title in found if "float64" in title or title.startswith(("reference", "random"))]


def test_a_product_of_a_transposed_matrix_with_the_wrong_sign(torch, quick, monkeypatch):
    from anynet.arrays import torch_namespace as xp

    right = xp.matmul
    monkeypatch.setattr(xp, "matmul", lambda a, b: right(a, b) * (1 if a.is_contiguous() and b.is_contiguous() else -1))
    found = failures("torch")
    assert {
        f"networks, {name}, gradients, {d}" for name in ("dense", "convolution") for d in ("float32", "float64")
    } <= found
    assert "networks, dense, predictions, float64" not in found  # its product has no transposed factor


def test_a_product_in_few_bits(torch, quick, monkeypatch):
    """As TensorFloat-32 would compute it: ten bits."""
    from anynet.arrays import torch_namespace as xp

    right = xp.matmul

    def rounded(a, b):
        if a.dtype != torch.float32:
            return right(a, b)
        cut = [(x.contiguous().view(torch.int32) & -8192).view(torch.float32) for x in (a, b)]
        return right(*cut)

    monkeypatch.setattr(xp, "matmul", rounded)
    found = failures("torch")
    assert "networks, dense, predictions, float32" in found
    assert not [title for title in found if "float64" in title]


def test_a_rule_that_is_wrong_on_one_backend(torch, quick, monkeypatch):
    right = TorchBackend.elementwise

    def elementwise(self, rule):
        if rule is not anynet.optimizers.adam.adam:
            return right(self, rule)
        return right(self, lambda p, g, m, v, rate, *rest: rule(p, g, m, v, rate * 1.001, *rest))

    monkeypatch.setattr(TorchBackend, "elementwise", elementwise)
    assert failures("torch") == {f"optimizers, Adam, 3 epochs, {dtype}" for dtype in ("float32", "float64")}


def test_a_bit_of_threefry(quick, monkeypatch):
    monkeypatch.setattr(anynet.random, "_PARITY", anynet.random._PARITY ^ 1)
    assert failures("numpy") == {"random, threefry, known answers, int32"}


def test_bits_that_differ_from_numpy(torch, quick, monkeypatch):
    right = TorchBackend.compile

    def compile(self, function, **options):
        if getattr(function, "__name__", "") != "<lambda>" or "random" not in function.__code__.co_names:
            return right(self, function, **options)
        return lambda key: function(key ^ 1)

    monkeypatch.setattr(TorchBackend, "compile", compile)
    assert {f"random, threefry, {name}, int32" for name in ("words", "masks", "next key")} == failures("torch")


def test_a_wrong_backward_pass_of_the_reference(quick, monkeypatch):
    """Wrong on every backend alike, so only finite differences can show it."""
    right = anynet.Tanh.backward
    monkeypatch.setattr(
        anynet.Tanh, "backward", lambda *args, **kw: (lambda dx, grads: (dx * 1.001, grads))(*right(*args, **kw))
    )
    assert {title for title in failures("numpy") if title.startswith("reference")} == {
        f"reference, {name}, finite differences, float64" for name in ("dense", "normalization", "convolution")
    }


def test_a_step_that_raises_and_a_result_that_is_not_a_number(torch, quick, monkeypatch):
    def broken(self, function, **options):
        def run(*args):
            raise RuntimeError("no memory")

        return run

    with monkeypatch.context() as patch:
        patch.setattr(TorchBackend, "loop", broken)
        patch.setattr(compare, "measure", lambda backend: {})
        report = check("torch")
    row = next(row for row in report.failures if row.group == "optimizers")
    assert row.reason == "RuntimeError: no memory" and "no memory" in str(report)
    monkeypatch.setattr("anynet.arrays.torch_namespace.matmul", lambda a, b: torch.matmul(a, b) * float("nan"))
    report = check("torch")
    assert "networks, dense, predictions, float32" in {row.title for row in report.failures}
    json.dumps(report.as_dict(), allow_nan=False)

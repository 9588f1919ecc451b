"""The examples in docstrings run and print the output shown."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import anynet

MODULES = ["anynet", *(module.name for module in pkgutil.walk_packages(anynet.__path__, "anynet."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in {"cupy", "torch", "jax", "llvmlite", "sklearn"}:
            raise
        pytest.skip(f"{error.name} is not installed")
    for part, library in (
        ("anynet.plots", "matplotlib"),
        ("anynet.onnx", "onnx"),
        ("anynet.datasets.augment", "scipy"),
        ("anynet.sklearn", "pandas"),  # part of the extra sklearn
    ):
        if name.startswith(part):
            pytest.importorskip(library)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        indented = re.search(r"^ +.*\n +-{3,}$", inspect.cleandoc(test.docstring), re.M)
        assert not indented, f"{test.name}: expected no indentation before a section, got {indented[0]!r}"
        out: list[str] = []
        runner.run(test, out=out.append)
        assert runner.failures == 0, "".join(out)
